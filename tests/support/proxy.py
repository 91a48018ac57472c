"""A network that can be cut: a TCP proxy on loopback. While it is cut it loses nothing and closes nothing.

As in a real network partition, nobody is notified: connections stay, new ones are not accepted, and sent bytes arrive when
the network is back, because TCP sends them again.
"""

import asyncio
import contextlib
import threading
from typing import Self

from api.cli.output import Failure

__all__ = ["Proxy"]

_CHUNK = 1 << 16


class Proxy:
    """Forwards ``port`` to ``target`` on loopback, in its own thread; for a ``with`` block."""

    def __init__(self, port: int, target: int) -> None:
        self.port = port
        self._target = target
        self._loop = asyncio.new_event_loop()
        self._whole = asyncio.Event()
        self._end = asyncio.Event()
        self._begun = threading.Event()
        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(self._serve()), daemon=True)

    def cut(self) -> None:
        """From now on nothing passes, in either direction."""
        self._loop.call_soon_threadsafe(self._whole.clear)

    def mend(self) -> None:
        """Let everything pass again, first what waited."""
        self._loop.call_soon_threadsafe(self._whole.set)

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._begun.wait(10):
            raise Failure(f"nothing can listen at port {self.port}")
        return self

    def __exit__(self, *exc: object) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(10)

    async def _serve(self) -> None:
        self._whole.set()
        server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
        self._begun.set()
        await self._end.wait()
        server.close()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            await self._whole.wait()
            there, back = await asyncio.open_connection("127.0.0.1", self._target)
            await asyncio.gather(self._carry(reader, back), self._carry(there, writer))
        writer.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One direction, until its sender closes; the other side is closed too, but not while the proxy is cut."""
        with contextlib.suppress(OSError):
            while chunk := await reader.read(_CHUNK):
                await self._whole.wait()
                writer.write(chunk)
                await writer.drain()
        await self._whole.wait()
        writer.close()
