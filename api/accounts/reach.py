"""Whether the accounts' server answers, asked while nobody else asks it anything."""

import asyncio

import structlog
from sqlalchemy import text

from api.accounts.database import Database
from api.accounts.errors import StoreUnavailable

__all__ = ["Reach"]

_EVERY_S = 2.0
_WITHIN_S = 4.0
_AWAY = "the accounts database does not answer"
"""What it said names its place and its user: that is for the log, not for who asks for readiness."""

_log = structlog.get_logger(__name__)


class Reach:
    """Asks again and again; `trouble` says why there is no answer, empty where there is one."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.trouble = ""

    async def run(self) -> None:
        """Ask until cancelled. A file on this machine's disk is not asked: the log says how that is."""
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
                if not asking.done():  # it would open a connection that nobody closes
                    asking.cancel()
                    await asyncio.wait([asking], timeout=_WITHIN_S)
            await asyncio.sleep(_EVERY_S)
