"""A door's spool: readings Kafka does not take now are acknowledged once they are on this machine's disk, and sent later.

While anything waits here, what comes goes behind it: the order stays. What was sent and not crossed out, because the door
ended in between, is sent again; to the twin it is a duplicate.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import aiokafka.errors
import msgspec
import structlog

from streams.errors import LogUnavailable
from streams.spool.spill import Spill, SpoolEntry

__all__ = ["Record", "Spool"]

_logger = structlog.get_logger(__name__)

Record = tuple[int, bytes]
"""A partition, and a record for it."""

_PAUSE_S = 0.5
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Record]).decode


class Spool:
    """Records in ``folder``, at most ``most_bytes`` of them."""

    def __init__(self, folder: Path, most_bytes: int) -> None:
        """Raises ``OSError`` where the folder cannot be used."""
        self._spill = Spill(folder, most_bytes, gives_up=False)
        self._using = asyncio.Lock()
        self.spooled = 0
        """Readings taken here so far."""

    @property
    def empty(self) -> bool:
        """Whether nothing waits."""
        return self._spill.empty

    @property
    def waiting_bytes(self) -> int:
        """What waits, about."""
        return self._spill.bytes

    async def keep(self, records: Sequence[Record], readings: int) -> None:
        """Return once the records survive a loss of power; raises ``LogUnavailable`` when they cannot be kept."""

        def kept() -> None:
            self._spill.append(SpoolEntry(0, min(readings, 0xFFFFFFFF), _encode(records)))
            self._spill.sync()

        async with self._using:
            try:
                await asyncio.to_thread(kept)
            except OSError as error:
                raise LogUnavailable(f"Kafka is away and the spool takes no more: {error.strerror or error}") from error
        self.spooled += readings

    async def run(self, send: Callable[[Sequence[Record]], Awaitable[object]]) -> None:
        """Have what waits sent, oldest first, until cancelled.

        ``send`` raises ``KafkaError`` or ``TimeoutError`` when it could not.
        """
        while True:
            try:
                async with self._using:
                    await asyncio.to_thread(self._spill.adopt)
                while (entry := await self._first()) is not None:
                    await send(_decode(entry.body))
                    async with self._using:
                        await asyncio.to_thread(self._spill.pop)
            except (aiokafka.errors.KafkaError, TimeoutError):
                pass  # whoever takes readings says that Kafka is away
            except (OSError, msgspec.MsgspecError):
                _logger.exception("the spool cannot be read")
            await asyncio.sleep(_PAUSE_S)

    async def _first(self) -> SpoolEntry | None:
        async with self._using:
            return await asyncio.to_thread(self._spill.first)

    def close(self) -> None:
        """What waits stays for whoever uses the folder next."""
        self._spill.close()
