"""Parse times of observations, a whole column at once."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np

from twins.arrays import I8
from twins.compiled.times import read_utc

__all__ = ["column", "moment"]


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


_FORM = re.compile(r"\d{4}-?(\d\d-?\d\d|\d{3}|W\d\d-?\d)[Tt ]\d", re.ASCII)
"""An ISO 8601 date followed by a time of day: other forms that Python accepts are no clear moment."""

_WIDTHS = frozenset({20, *range(22, 28)})
"""Lengths of 0000-00-00T00:00:00Z without and with a fraction."""


def moment(text: str) -> int:
    """µs since 1970 of an ISO 8601 time with a zone.

    >>> moment("2026-01-01T01:00:00.25+01:00")
    1767225600250000

    Raises ``ValueError`` with the reason code as its text. Bare digits are refused: they may be seconds or milliseconds.
    """
    if not _FORM.match(text):
        raise ValueError("time_unreadable")
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
    """``moment`` of every text; a column in one common form is parsed at once. Raises ``ValueError``."""
    if texts and len(texts[0]) in _WIDTHS:
        width = len(texts[0])
        joined = "".join(texts)
        if joined.isascii() and set(map(len, texts)) == {width}:
            read = np.empty(len(texts), np.int64)
            if read_utc(np.frombuffer(joined.encode(), np.uint8), width, read):
                return read
    return np.fromiter(map(moment, texts), np.int64, len(texts))
