"""The key all doors of one database seal their cursors with, so that each follows those of the others."""

from __future__ import annotations

import secrets

from sqlalchemy import select
from sqlalchemy.orm import Session

from api.accounts.database import Database
from api.accounts.models import SealRow

_NAME = "cursors"


async def sealing_key(database: Database) -> bytes:
    """Return the key, 32 random bytes; the first who asks makes it."""
    there = await database.read(_stored)
    return there if there is not None else await database.write(_made)


def _stored(session: Session) -> bytes | None:
    key = session.scalar(select(SealRow.key).where(SealRow.name == _NAME))
    return None if key is None else bytes.fromhex(key)


def _made(session: Session) -> bytes:
    there = _stored(session)  # of two who ask at once the second waited here
    if there is not None:
        return there
    key = secrets.token_bytes(32)
    session.add(SealRow(name=_NAME, key=key.hex()))
    return key
