"""Checks regularly whether the accounts' database server answers."""

import asyncio

import structlog
from sqlalchemy import text

from api.accounts.database import Database
from api.accounts.errors import StoreUnavailable

__all__ = ["Reach"]

_EVERY_S = 2.0
_WITHIN_S = 4.0
_AWAY = "the accounts database does not answer"
"""The server's own message names its address and user: it goes to the log, not into the readiness answer."""

_log = structlog.get_logger(__name__)


class Reach:
    """Asks the server again and again. `trouble` says why there is no answer; empty while it answers."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.trouble = ""

    async def run(self) -> None:
        """Ask until cancelled. A SQLite file is not checked: the log in the same file reports its state."""
        while self._database.is_server:
            asking = asyncio.ensure_future(
                self._database.read(lambda session: session.execute(text("SELECT 1")).scalar())
            )
            try:
                await asyncio.wait([asking], timeout=_WITHIN_S)
                if not asking.done():
                    self.trouble = _AWAY
                await asking
            except StoreUnavailable as error:
                if not self.trouble:
                    _log.warning("the accounts database does not answer", reason=str(error))
                self.trouble = _AWAY
            else:
                self.trouble = ""
            finally:
                if not asking.done():  # it would open a connection that is never closed
                    asking.cancel()
                    await asyncio.wait([asking], timeout=_WITHIN_S)
            await asyncio.sleep(_EVERY_S)
