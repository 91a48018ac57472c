"""A preview in a process of its own, so that it does not disturb the service: a question on standard input, an answer out.

``ask`` is the service's side. The question is a ``Question`` as MessagePack; the answer is a ``Preview``, or a ``Refusal``
with a sentence.
"""

import asyncio
import os
import sys
from contextlib import suppress
from typing import Literal

import msgspec

from streams.errors import HistoryNotKept, StreamsError
from streams.history import SqliteHistory
from streams.history.base import History
from streams.preview.job import Job, Preview, TooLarge
from streams.preview.run import preview
from streams.preview.sources import load
from streams.settings import Settings

__all__ = ["Question", "Refusal", "answer", "ask", "history_of"]

_NICE = 10
_MOST_BYTES = 64 << 20


class Question(msgspec.Struct, kw_only=True):
    """A job, and where its history is: ``settings`` as JSON, ``store`` as the service has it."""

    job: Job
    store: Literal["sqlite", "influx"]
    settings: str


class Refusal(msgspec.Struct, tag="refusal"):
    """Why there is no preview; ``too_large``: because of its size."""

    detail: str
    too_large: bool = False


class _Done(msgspec.Struct, tag="done"):
    preview: Preview


def history_of(store: str, settings: Settings) -> History:
    """The history, opened for reading."""
    if store == "sqlite":
        return SqliteHistory(settings.database)
    from streams.history.influx import InfluxHistory  # noqa: PLC0415 - only distributed services have its client

    return InfluxHistory(settings, writes=False)


async def ask(question: Question, seconds: float) -> Preview:
    """Run a question in a process of its own, at most ``seconds``.

    Raises:
        TooLarge: it has too many readings, or took too long.
        StreamsError: the readings could not be read.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "streams.preview.child",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL, limit=_MOST_BYTES,
    )  # fmt: skip
    try:
        out, _ = await asyncio.wait_for(process.communicate(msgspec.msgpack.encode(question)), seconds)
    except TimeoutError:
        raise TooLarge(f"it took more than {seconds:.0f} s: choose a shorter period or fewer patients") from None
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    if process.returncode or not out:
        raise StreamsError("the preview ended without an answer; try a shorter period")
    found = msgspec.msgpack.decode(out, type=_Done | Refusal)
    if isinstance(found, Refusal):
        raise (TooLarge if found.too_large else StreamsError)(found.detail)
    return found.preview


def answer(question: Question) -> Preview:
    """Read the readings and run both runs, in this process; raises ``StreamsError``."""
    settings = Settings.model_validate_json(question.settings)
    history = history_of(question.store, settings)
    try:
        course, parts, missing = asyncio.run(load(question.job, history))
    finally:
        history.close()
    return preview(question.job, course, parts, missing)


def main() -> None:
    """Answer one question."""
    with suppress(OSError):
        os.nice(_NICE)
    question = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Question)
    said: _Done | Refusal
    try:
        said = _Done(answer(question))
    except HistoryNotKept as error:
        said = Refusal(str(error))
    except StreamsError as error:
        said = Refusal(str(error), isinstance(error, TooLarge))
    sys.stdout.buffer.write(msgspec.msgpack.encode(said, enc_hook=_plain))


def _plain(value: object) -> object:
    if hasattr(value, "tolist"):
        return value.tolist()
    raise NotImplementedError(type(value).__name__)


if __name__ == "__main__":
    main()
