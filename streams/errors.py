"""Errors of the streams package, all in one place.

StreamsError
├── FrameError          a frame that cannot be read: reason and where
├── LogUnavailable      the log cannot take records (disk full, read-only, closed)
├── Overloaded          too much is waiting; try again in ``retry_after_s``
├── NewerVersion        what is stored was written by a newer version, which this one must not change
├── LogInUse            another running service holds the log
├── ClockApart          the file's time is ahead of this machine's
├── ModelUnusable       a site's model that cannot be loaded
├── KafkaUnusable       no broker answers, it refuses, or its topics are wrong
├── HistoryUnavailable  the history's store does not answer
│   └── HistoryNotKept  no store is configured
└── RecordingError      a recorded file that cannot be read: line and reason
"""

__all__ = [
    "ClockApart", "FrameError", "HistoryNotKept", "HistoryUnavailable", "KafkaUnusable", "LogInUse", "LogUnavailable",
    "ModelUnusable", "NewerVersion", "Overloaded", "RecordingError", "StreamsError",
]  # fmt: skip


class StreamsError(Exception):
    """Anything that goes wrong in the moving of records."""


class FrameError(StreamsError):
    """A frame that cannot be read; ``reason`` is a code, ``where`` names the column or entry."""

    def __init__(self, reason: str, where: str, detail: str) -> None:
        super().__init__(f"{where}: {detail}")
        self.reason = reason
        self.where = where
        self.detail = detail


class LogUnavailable(StreamsError):
    """The log cannot take records now; nothing of the request was stored."""


class Overloaded(StreamsError):
    """More is waiting than the service may hold in memory; nothing of the request was stored."""

    def __init__(self, retry_after_s: float = 1.0, why: str = "too much is waiting") -> None:
        super().__init__(f"{why}; try again in {retry_after_s:g} s")
        self.retry_after_s = retry_after_s


class NewerVersion(StreamsError):
    """What is stored was written by a newer version; this one leaves it as it is."""


class LogInUse(StreamsError):
    """Another running service holds the log file."""


class ClockApart(StreamsError):
    """The file's time is ahead of this machine's: for its twins a reading taken now would be long past."""


class ModelUnusable(StreamsError):
    """A site's model cannot be loaded; the service does not start without it."""


class RecordingError(StreamsError):
    """A recorded file that cannot be read."""


class KafkaUnusable(StreamsError):
    """No broker answers, it refuses what is asked, or its topics are wrong."""


class HistoryUnavailable(StreamsError):
    """The store of the history does not answer; the current state is not affected."""


class HistoryNotKept(HistoryUnavailable):
    """No history is kept here, and asking again changes nothing."""
