"""Examines the accounts database from outside, without changing it."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import make_url
from sqlalchemy.orm import Session

from api.accounts.database import Database
from api.accounts.migrate import HEAD, revision_of

__all__ = ["Seen", "examine"]


class Seen(NamedTuple):
    """Where the tables are (without the password), the server's name and version, and the revisions they have and need."""

    where: str
    server: str
    revision: str | None
    wanted: str


async def examine(url: str) -> Seen:
    """Examine the database at a SQLAlchemy URL; raises `StoreUnavailable` when nothing answers there."""
    database = Database(url)
    try:
        server, revision = await database.read(_seen)
    finally:
        await database.close()
    return Seen(make_url(url).render_as_string(hide_password=True), server, revision, HEAD)


def _seen(session: Session) -> tuple[str, str | None]:
    connection = session.connection()
    version = ".".join(map(str, connection.dialect.server_version_info or ()))
    return f"{connection.dialect.name} {version}", revision_of(connection)
