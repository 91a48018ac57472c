"""Read many times of one ISO 8601 form at once."""

import numpy as np
import numpy.typing as npt

from twins.compiled.jit import kernel

__all__ = ["read_utc"]

_PATTERN = np.frombuffer(b"0000-00-00T00:00:00.000000", np.uint8)
_DAYS_BEFORE = np.array([0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365], np.int64)
_ZERO, _NINE, _Z = 48, 57, 90


@kernel()
def _number(text: npt.NDArray[np.uint8], begin: int, end: int) -> int:
    number = 0
    for at in range(begin, end):
        number = 10 * number + int(text[at]) - _ZERO
    return number


@kernel()
def read_utc(text: npt.NDArray[np.uint8], width: int, out: npt.NDArray[np.int64]) -> bool:
    """Read ``len(out)`` texts of ``width`` ASCII characters, stored one after the other, into µs since 1970.

    The form is ``0000-00-00T00:00:00Z``, with or without a fraction of one to six digits before the Z. Returns False
    if any text has another form or is no valid date and time (year 1 to 9999, no leap seconds); ``out`` is then
    undefined.
    """
    for i in range(len(out)):
        begin = i * width
        if text[begin + width - 1] != _Z:
            return False
        for place in range(width - 1):
            wanted, found = _PATTERN[place], text[begin + place]
            if (found < _ZERO or found > _NINE) if wanted == _ZERO else found != wanted:
                return False
        year = _number(text, begin, begin + 4)
        month = _number(text, begin + 5, begin + 7)
        day = _number(text, begin + 8, begin + 10)
        hour = _number(text, begin + 11, begin + 13)
        minute = _number(text, begin + 14, begin + 16)
        second = _number(text, begin + 17, begin + 19)
        if year < 1 or month < 1 or month > 12 or day < 1 or hour > 23 or minute > 59 or second > 59:
            return False
        leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
        length = _DAYS_BEFORE[month] - _DAYS_BEFORE[month - 1] + (1 if leap and month == 2 else 0)
        if day > length:
            return False
        past = year - 1
        days = 365 * past + past // 4 - past // 100 + past // 400 + _DAYS_BEFORE[month - 1] + day - 719_163
        if leap and month > 2:
            days += 1
        fraction = 0
        for place in range(20, 26):
            fraction *= 10
            if place < width - 1:
                fraction += int(text[begin + place]) - _ZERO
        out[i] = 1_000_000 * (86_400 * days + 3_600 * hour + 60 * minute + second) + fraction
    return True
