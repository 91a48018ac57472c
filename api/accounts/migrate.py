"""Bring the accounts tables to the newest revision with Alembic, without a configuration file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import column, inspect, select, table

from api.accounts.errors import StoreUnavailable

if TYPE_CHECKING:
    from alembic.config import Config
    from sqlalchemy import Connection, Engine

HEAD = "0006"
"""The newest revision in `migrations/versions`; a test checks this."""

VERSION_TABLE = "accounts_version"
"""Not Alembic's default name: the file is shared."""


def configuration(connection: Connection | None = None) -> Config:
    """Alembic's configuration of this package's scripts, on the given connection."""
    from alembic.config import Config  # noqa: PLC0415  late: most starts find nothing to do and need not wait for it

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def migrate(reading: Engine, writing: Engine) -> bool:
    """Run the missing revisions in one transaction. Returns whether there were any.

    Services that start at the same time wait for each other, and one of them does the work. Raises `StoreUnavailable` for a
    database that a newer version of the program has changed.
    """
    with reading.connect() as connection:
        if revision_of(connection) == HEAD:
            return False
    from alembic import command  # noqa: PLC0415  as above
    from alembic.util import CommandError  # noqa: PLC0415  as above

    with writing.begin() as connection:
        if revision_of(connection) == HEAD:
            return False  # another process was first
        try:
            command.upgrade(configuration(connection), "head")
        except CommandError as error:
            raise StoreUnavailable(f"the database was written by a newer version of the program: {error}") from error
    return True


def revision_of(connection: Connection) -> str | None:
    """The revision of the tables; `None` if there are no tables."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    return connection.execute(select(column("version_num")).select_from(table(VERSION_TABLE))).scalar()
