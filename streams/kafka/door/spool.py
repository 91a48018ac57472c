"""A door's spool: while Kafka is away, readings are stored on this machine's disk, acknowledged, and sent later.

While anything waits here, new readings go behind it, so the order stays. If the door ends after sending and before
removing an entry, the entry is sent again; for the twin it is a duplicate.
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
"""A partition and a record for it."""

_PAUSE_S = 0.5
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Record]).decode


class Spool:
    """Records in ``folder``, at most ``most_bytes`` of them."""

    def __init__(self, folder: Path, most_bytes: int) -> None:
        """Raises ``OSError`` if the folder cannot be used."""
        self._spill = Spill(folder, most_bytes, gives_up=False)
        self._using = asyncio.Lock()
        self.spooled = 0
        """Number of readings taken so far."""

    @property
    def empty(self) -> bool:
        """Whether nothing waits."""
        return self._spill.empty

    @property
    def waiting_bytes(self) -> int:
        """What waits, about."""
        return self._spill.bytes

    async def keep(self, records: Sequence[Record], readings: int) -> None:
        """Return once the records survive a loss of power; raises ``LogUnavailable`` if they cannot be stored."""

        def kept() -> None:
            self._spill.append(SpoolEntry(0, min(readings, 0xFFFFFFFF), _encode(records)))
            self._spill.sync()

        async with self._using:
            try:
                await asyncio.to_thread(kept)
            except OSError as error:
                raise LogUnavailable(
                    f"Kafka is away and the spool cannot take more: {error.strerror or error}"
                ) from error
        self.spooled += readings

    async def run(self, send: Callable[[Sequence[Record]], Awaitable[object]]) -> None:
        """Send what is waiting, oldest first, until cancelled.

        ``send`` raises ``KafkaError`` or ``TimeoutError`` if it fails.
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
                pass  # the gatherer logs that Kafka is away
            except (OSError, msgspec.MsgspecError):
                _logger.exception("the spool cannot be read")
            await asyncio.sleep(_PAUSE_S)

    async def _first(self) -> SpoolEntry | None:
        async with self._using:
            return await asyncio.to_thread(self._spill.first)

    def close(self) -> None:
        """Close the folder; waiting records stay for the next process that uses it."""
        self._spill.close()
