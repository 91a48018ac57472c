"""Running readings again in a process of its own, so that it does not disturb the service.

``ask`` is the service's side. The question comes on standard input as MessagePack. The answer is a ``Preview``, a
``Suggested`` or a ``Reopened``, as asked, or a ``Refusal`` with a sentence.
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
from streams.preview.job import Job, Part, Preview, TooLarge
from streams.preview.moments import Moment, reopen
from streams.preview.run import preview
from streams.preview.sources import load
from streams.preview.suggest import Present, Suggestion, suggest
from streams.settings import Settings

__all__ = ["Answer", "Question", "Refusal", "Reopened", "Suggested", "answer", "ask", "history_of"]

_NICE = 10
_MOST_BYTES = 64 << 20


class Question(msgspec.Struct, kw_only=True):
    """A job, and where its history is: ``settings`` as JSON, ``store`` as the service has it.

    With the limits in force ``present``, by patient, it asks for suggestions; with ``moments`` to reopen those.
    """

    job: Job
    present: dict[str, Present] | None = None
    moments: list[Moment] | None = None
    store: Literal["sqlite", "influx"]
    settings: str


class Refusal(msgspec.Struct, tag="refusal"):
    """Why there is no preview; ``too_large``: because of its size."""

    detail: str
    too_large: bool = False


class Suggested(msgspec.Struct, tag="suggested"):
    """Suggestions of limits, and where the readings came from."""

    found: list[Suggestion]
    parts: list[Part]
    readings: int


class Reopened(msgspec.Struct, tag="reopened"):
    """The moments that could be reopened from the log, in the order of the question."""

    moments: list[Moment]


class _Previewed(msgspec.Struct, tag="previewed"):
    preview: Preview


Answer = Suggested | Reopened | Preview


def history_of(store: str, settings: Settings) -> History:
    """The history, opened for reading."""
    if store == "sqlite":
        return SqliteHistory(settings.database)
    from streams.history.influx import InfluxHistory  # noqa: PLC0415 - only distributed services have its client

    return InfluxHistory(settings, writes=False)


async def ask(question: Question, seconds: float) -> Answer:
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
    found = msgspec.msgpack.decode(out, type=_Previewed | Suggested | Reopened | Refusal)
    if isinstance(found, Refusal):
        raise (TooLarge if found.too_large else StreamsError)(found.detail)
    return found.preview if isinstance(found, _Previewed) else found


def answer(question: Question) -> Answer:
    """Read the readings and run them again, in this process; raises ``StreamsError``."""
    settings = Settings.model_validate_json(question.settings)
    history = history_of(question.store, settings)
    try:
        course, parts, missing = asyncio.run(load(question.job, history))
    finally:
        history.close()
    if question.moments is not None:
        return Reopened(reopen(question.job, course, parts, question.moments))
    if question.present is not None:
        return Suggested(suggest(question.job, course, question.present), parts, len(course))
    return preview(question.job, course, parts, missing)


def main() -> None:
    """Answer one question."""
    with suppress(OSError):
        os.nice(_NICE)
    question = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Question)
    said: _Previewed | Suggested | Reopened | Refusal
    try:
        found = answer(question)
        said = _Previewed(found) if isinstance(found, Preview) else found
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
