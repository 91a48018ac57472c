"""A thread with its own event loop and InfluxDB's client, for writing and reading.

So a caller's loop neither waits for InfluxDB nor parses its answers, and the client can be closed from any thread.
"""

import asyncio
import contextlib
import re
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, NamedTuple, TypeVar

import aiohttp
import structlog
from influxdb_client.client.influxdb_client_async import InfluxDBClientAsync
from influxdb_client.domain.dialect import Dialect
from influxdb_client.rest import ApiException

from streams.errors import HistoryUnavailable
from streams.settings import Settings

__all__ = ["Away", "LinesRefused", "Link", "Taken"]

_logger = structlog.get_logger(__name__)
_CSV = Dialect(header=True, annotations=[], delimiter=",", date_time_format="RFC3339")
_QUERY_S = 20.0
_WORDS = 200
"""At most this much of an error answer is repeated: it may contain every line that was sent."""
Answer = TypeVar("Answer")


class Taken(NamedTuple):
    """InfluxDB has stored the points of a request, except ``dropped`` of them."""

    dropped: int


class LinesRefused(NamedTuple):
    """Nothing of a request was stored, because of some of its lines or because it is too long."""

    reason: str


class Away(NamedTuple):
    """InfluxDB cannot take points now; send the same again after ``after_s`` or later."""

    reason: str
    after_s: float


class Link:
    """InfluxDB behind a thread of its own; raises ``HistoryUnavailable`` if InfluxDB does not answer."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client: InfluxDBClientAsync | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="influx", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.get_loop().run_forever()

    def submit(self, work: Coroutine[Any, Any, Answer]) -> "Future[Answer]":
        """Run something on the thread; a closed link raises ``HistoryUnavailable``."""
        if not self._thread.is_alive():
            work.close()
            raise HistoryUnavailable("the history is closed")
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    async def ask(self, work: Coroutine[Any, Any, Answer]) -> Answer:
        """Run something on the thread and wait for it without blocking the caller's loop."""
        return await asyncio.wrap_future(self.submit(work))

    def soon(self, event: asyncio.Event) -> None:
        """Set an event of the thread from any thread."""
        with contextlib.suppress(RuntimeError):  # closed meanwhile
            self._loop.call_soon_threadsafe(event.set)

    def close(self, within_s: float) -> None:
        """End the client and the thread."""
        if self._thread.is_alive():
            self.submit(self._end()).result(within_s)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(within_s)

    # -- on the thread --------------------------------------------------------------------------------------------

    async def _end(self) -> None:
        if self._client is not None:
            await self._client.close()
            self._client = None

    @property
    def _own(self) -> InfluxDBClientAsync:
        if self._client is None:
            settings = self._settings
            self._client = InfluxDBClientAsync(
                settings.influx_url, settings.influx_token.get_secret_value(), settings.influx_organisation,
                timeout=60_000,
            )  # fmt: skip
        return self._client

    async def query(self, flux: str) -> str:
        """The answer to a Flux query, as CSV without annotations."""
        try:
            async with asyncio.timeout(_QUERY_S):
                answer: str = await self._own.query_api().query_raw(flux, dialect=_CSV)
        except ApiException as error:
            raise HistoryUnavailable(f"InfluxDB does not answer: {_said(error)[:_WORDS]}") from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise HistoryUnavailable(f"InfluxDB does not answer: {_name(error)}") from error
        return answer

    async def write(self, bucket: str, body: bytes, precision: str, within_s: float) -> Taken | LinesRefused | Away:
        """Send lines once, and return what became of them."""
        try:
            async with asyncio.timeout(within_s):
                await self._own.write_api().write(bucket, record=body, write_precision=precision)
        except ApiException as error:
            return _outcome(error)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return Away(_name(error), 0.0)
        return Taken(0)


def _outcome(error: ApiException) -> Taken | LinesRefused | Away:
    said = _said(error)
    if error.status == 422:  # points of another type or too old were dropped, the rest was stored
        number = re.search(r"dropped=(\d+)", said)
        _logger.warning("InfluxDB dropped points", reason=said[:_WORDS])
        return Taken(int(number[1]) if number else 1)
    if error.status == 413 or (error.status == 400 and "unable to parse" in said):
        return LinesRefused(f"HTTP {error.status}")
    wait = str((error.headers or {}).get("Retry-After", ""))
    return Away(said[:_WORDS], float(wait) if wait.isdecimal() else 0.0)


def _said(error: ApiException) -> str:
    body = error.body or b""
    return f"{error.status} " + (body.decode("utf-8", "replace") if isinstance(body, bytes) else str(body))


def _name(error: Exception) -> str:
    return str(error) or ("it takes too long" if isinstance(error, TimeoutError) else type(error).__name__)
