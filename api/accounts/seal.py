"""The keys with which the doors of one database seal cursors and cookies, so that each door can verify the others'."""

from __future__ import annotations

import secrets

from sqlalchemy import select
from sqlalchemy.orm import Session

from api.accounts.database import Database
from api.accounts.models import SealRow

CURSORS = "cursors"
BROWSERS = "browsers"


async def sealing_key(database: Database, name: str = CURSORS) -> bytes:
    """Return the key of this name, 32 random bytes; created at the first request."""
    there = await database.read(lambda session: _stored(session, name))
    return there if there is not None else await database.write(lambda session: _made(session, name))


def _stored(session: Session, name: str) -> bytes | None:
    key = session.scalar(select(SealRow.key).where(SealRow.name == name))
    return None if key is None else bytes.fromhex(key)


def _made(session: Session, name: str) -> bytes:
    there = _stored(session, name)  # of two simultaneous requests the second waited here
    if there is not None:
        return there
    key = secrets.token_bytes(32)
    session.add(SealRow(name=name, key=key.hex()))
    return key
