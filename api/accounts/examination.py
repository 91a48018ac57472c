"""The accounts database looked at from outside; nothing in it is changed."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Select, column, create_engine, inspect, select, table
from sqlalchemy.exc import SQLAlchemyError

from api.accounts.errors import StoreUnavailable
from api.accounts.migrate import HEAD, VERSION_TABLE

__all__ = ["Seen", "examine"]


class Seen(NamedTuple):
    """Where the tables are (without the password), the server's name and version, and the revisions they have and need."""

    where: str
    server: str
    revision: str | None
    wanted: str


def examine(url: str) -> Seen:
    """What is found at a SQLAlchemy URL; raises `StoreUnavailable` when nothing answers there."""
    try:
        engine = create_engine(url)
        try:
            with engine.connect() as connection:
                there = inspect(connection).has_table(VERSION_TABLE)
                version: Select[str] = select(column("version_num")).select_from(table(VERSION_TABLE))
                revision = connection.execute(version).scalar() if there else None
                server = ".".join(map(str, connection.dialect.server_version_info or ()))
        finally:
            engine.dispose()
    except (SQLAlchemyError, ImportError, ValueError) as error:
        reason = str(getattr(error, "orig", None) or error).splitlines()[0]
        raise StoreUnavailable(f"the accounts database does not answer: {reason}") from error
    return Seen(engine.url.render_as_string(hide_password=True), f"{engine.dialect.name} {server}", revision, HEAD)
