"""Times of observations as text, read by the column."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import numpy as np
import numpy.typing as npt

__all__ = ["column", "moment"]

I8 = npt.NDArray[np.int64]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_DAY_US = 86_400_000_000


class _Form:
    """One fixed-width form of ISO 8601 in UTC: its digits are weighed into (date, hour, minute, µs) at once."""

    def __init__(self, pattern: str) -> None:
        self.width = len(pattern)
        self.base = np.frombuffer(pattern.encode(), np.uint8)
        self.span = np.where(self.base == ord("0"), 9, 0).astype(np.uint8)
        weights = np.zeros((self.width, 4))
        for place, weight in zip((0, 1, 2, 3, 5, 6, 8, 9), (1e7, 1e6, 1e5, 1e4, 1e3, 1e2, 10, 1), strict=True):
            weights[place, 0] = weight
        weights[[11, 12], 1] = weights[[14, 15], 2] = (10, 1)
        weights[[17, 18], 3] = (1e7, 1e6)
        for place in range(20, self.width - 1):
            weights[place, 3] = 10.0 ** (25 - place)
        self.weights = weights


_FORMS = {len(pattern): _Form(pattern) for pattern in (
    "0000-00-00T00:00:00Z", "0000-00-00T00:00:00.000Z", "0000-00-00T00:00:00.000000Z",
)}  # fmt: skip


def moment(text: str) -> int:
    """µs since 1970 of an ISO 8601 time with a zone.

    >>> moment("2026-01-01T01:00:00.25+01:00")
    1767225600250000

    Raises ``ValueError``: its text is the reason code.
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("time_unreadable") from None
    if found.tzinfo is None:
        raise ValueError("time_without_zone")
    try:
        return (found - _EPOCH) // _MICROSECOND
    except OverflowError:
        raise ValueError("time_unreadable") from None


def column(texts: Sequence[str]) -> I8:
    """``moment`` of every text; a column of one common form is read by numpy at once. Raises ``ValueError``."""
    if texts:
        form = _FORMS.get(len(texts[0]))
        if form is not None:
            read = _uniform(texts, form)
            if read is not None:
                return read
    return np.fromiter(map(moment, texts), np.int64, len(texts))


def _uniform(texts: Sequence[str], form: _Form) -> I8 | None:
    joined = "".join(texts)
    if not joined.isascii() or set(map(len, texts)) != {form.width}:
        return None
    digits = np.frombuffer(joined.encode(), np.uint8).reshape(-1, form.width) - form.base
    if (digits > form.span).any():
        return None
    dates, hours, minutes, rest = (digits @ form.weights).T
    if hours.max() > 23 or minutes.max() > 59 or rest.max() >= 60e6:
        return None
    whole: I8 = (hours * 3_600e6 + minutes * 60e6 + rest).astype(np.int64)
    try:
        if dates.min() == dates.max():
            return whole + _day_us(int(dates[0]))
        found, which = np.unique(dates, return_inverse=True)
        return whole + np.array([_day_us(int(day)) for day in found], np.int64)[which]
    except ValueError:
        return None


def _day_us(day: int) -> int:
    return (date(day // 10_000, day // 100 % 100, day % 100).toordinal() - 719_163) * _DAY_US
