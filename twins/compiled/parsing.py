"""Where the entries of a body begin and end, found in one pass over its bytes before anything is decoded.

A reader that decodes first and counts afterwards creates every object that was sent: 32 MB of ``[1,1,…]`` are 16
million objects. Here the count is known, and limited, after only two columns of offsets have been written.
"""

import numpy as np

from twins.arrays import I8, U1
from twins.compiled.jit import kernel

__all__ = ["MALFORMED", "TOO_DEEP", "TOO_MANY", "WHOLE", "cut_array", "cut_lines"]


WHOLE, MALFORMED, TOO_MANY, TOO_DEEP = 0, -1, -2, -3


@kernel(forceinline=True)
def _blank(byte: int) -> bool:
    return byte == 0x20 or byte == 0x0A or byte == 0x0D or byte == 0x09  # noqa: PLR1714 - numba has no fast set


@kernel()
def cut_array(body: U1, deepest: int, starts: I8, ends: I8, deep: U1) -> tuple[int, int]:
    """Return (entries, ``WHOLE``) of a JSON array, or the count so far and ``MALFORMED``, ``TOO_MANY`` or ``TOO_DEEP``.

    Entry i is ``body[starts[i]:ends[i]]`` without the white space around it. ``deep[i]`` is 1 if it has more than
    ``deepest`` levels of nesting. The scan only looks at brackets, commas and strings; whether an entry is valid JSON
    is checked by the decoder. An array that never ends is ``TOO_DEEP`` if its nesting is the reason. The columns must
    be as long as the largest number of entries that is allowed.
    """
    quote, backslash, comma = 0x22, 0x5C, 0x2C
    i, size = 0, len(body)
    while i < size and _blank(body[i]):
        i += 1
    if i == size or body[i] != 0x5B:
        return 0, MALFORMED
    i += 1
    count, level, first, last, reached = 0, 1, -1, -1, 0
    while i < size:
        byte = body[i]
        if _blank(byte):
            i += 1
            continue
        if level == 1 and (byte == comma or byte == 0x5D):  # noqa: PLR1714 - as above
            if first < 0:
                if byte == comma or count > 0:
                    return count, MALFORMED
            elif count == len(starts):
                return count, TOO_MANY
            else:
                starts[count], ends[count] = first, last + 1
                deep[count] = 1 if reached > deepest else 0
                count += 1
            first, reached = -1, 0
            i += 1
            if byte == comma:
                continue
            while i < size and _blank(body[i]):
                i += 1
            return count, WHOLE if i == size else MALFORMED
        if first < 0:
            first = i
        if byte == quote:
            i += 1
            while i < size and body[i] != quote:
                i += 2 if body[i] == backslash else 1
        elif byte == 0x5B or byte == 0x7B:  # noqa: PLR1714 - as above
            level += 1
            reached = max(reached, level)
        elif byte == 0x5D or byte == 0x7D:  # noqa: PLR1714 - as above
            if level == 1:
                return count, MALFORMED
            level -= 1
        last = i
        i += 1
    return count, TOO_DEEP if reached > deepest else MALFORMED


@kernel()
def cut_lines(body: U1, starts: I8, ends: I8) -> tuple[int, int]:
    """Return (lines, ``WHOLE`` or ``TOO_MANY``) of a body of lines; lines with only white space do not count."""
    count, first, last = 0, -1, -1
    size = len(body)
    for i in range(size + 1):
        byte = body[i] if i < size else np.uint8(0x0A)
        if byte == 0x0A:
            if first >= 0:
                if count == len(starts):
                    return count, TOO_MANY
                starts[count], ends[count] = first, last + 1
                count += 1
            first = -1
        elif byte != 0x20 and not 0x09 <= byte <= 0x0D:
            if first < 0:
                first = i
            last = i
    return count, WHOLE
