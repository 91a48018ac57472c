"""InfluxDB's line protocol: columns as joined lines, and text escaped so that it is neither misread nor merged.

A tag cannot contain a line break, and it has no escape for a backslash: one at its end would swallow the comma after it.
So the backslash, the percent sign, control characters and lone surrogates become ``%XX`` for every byte of UTF-8, as in
a URL, and an empty text becomes a lone ``%``. ``unescaped`` reverses it, so two texts never become the same.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from streams.history.base import BESIDE, KEPT_HORIZONS_MIN, KEPT_QUANTILES
from streams.history.columns import Segment
from streams.history.thinning import NOT_BELIEVABLE
from twins.arrays import F4, F8, I8
from twins.records import Status
from twins.signals import SIGNALS

__all__ = [
    "FORECAST_FIELDS",
    "LAST_US",
    "Lines",
    "Tags",
    "escaped",
    "estimate_lines",
    "forecast_lines",
    "observation_lines",
    "quoted",
    "signal_tag",
    "tag",
    "unescaped",
]

LAST_US = ((1 << 63) - 2) // 1000 - 1
"""InfluxDB counts nanoseconds: it can represent this many microseconds before and after 1970, 292 years."""
FORECAST_FIELDS = tuple(
    f"p{quantile * 100:02.0f}_{minutes}" for minutes in KEPT_HORIZONS_MIN for quantile in KEPT_QUANTILES
)
"""A forecast's quantiles as fields: ``p50_30`` is the median of the reading in thirty minutes."""
_TAGS_KEPT = 200_000
_ODD = re.compile(r"[%\\\x00-\x1f\x7f\ud800-\udfff]")
_SPECIAL = re.compile(r"[ ,=]")
_ESTIMATE_FIELDS = (b"mean=", b"sd=", b"quality=")
_FORECAST_FIELDS = tuple(f"{name}=".encode() for name in FORECAST_FIELDS)
_FORMS = (b"value=", b'refused="', b"again=", b"other=", b"")
_VALUE, _REFUSED, _AGAIN, _OTHER, _TAKEN_BACK = range(len(_FORMS))
_FORM_OF = np.zeros(256, np.int64)
_FORM_OF[Status.CORRECTED] = _AGAIN
_FORM_OF[list(BESIDE)] = _OTHER
_FORM_OF[Status.RETRACTED] = _TAKEN_BACK
_STATUS = (
    b",status=%di ",
    b'",status=%di ',
    b",again_status=%di ",
    b",other_status=%di ",
    b"status=%di,again_status=12i ",
)
_ENDS = [form % number for form in _STATUS for number in range(256)]


class Lines(NamedTuple):
    """Lines for one bucket, each with its line break; their number; the number of rows that could not become a line."""

    body: bytes
    lines: int
    lost: int = 0


def escaped(text: str) -> str:
    r"""A text in which everything a tag cannot contain is ``%XX``.

    >>> escaped("bed 7\\"), escaped("100 %"), escaped("")
    ('bed 7%5C', '100 %25', '%')
    """
    return (
        _ODD.sub(lambda odd: "".join(f"%{byte:02X}" for byte in odd[0].encode("utf-8", "surrogatepass")), text) or "%"
    )


def unescaped(text: str) -> str:
    r"""The inverse of ``escaped``.

    >>> unescaped("bed 7%5C")
    'bed 7\\'
    """
    if text == "%":
        return ""
    raw = re.sub(rb"%([0-9A-F]{2})", lambda odd: bytes.fromhex(odd[1].decode()), text.encode())
    return raw.decode("utf-8", "surrogatepass")


def tag(text: str) -> bytes:
    r"""A measurement, tag key or tag value as written in a line.

    >>> tag("a b,c=d")
    b'a\\ b\\,c\\=d'
    """
    return _SPECIAL.sub(r"\\\g<0>", escaped(text)).encode()


def quoted(text: bytes) -> bytes:
    r"""UTF-8 as a string field, with its quotation marks.

    >>> quoted(b'say "a"')
    b'"say \\"a\\""'
    """
    return b'"' + text.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


def signal_tag(signal: int) -> str:
    """A signal's name; for a code without a name, the code."""
    return SIGNALS[signal].name if signal < len(SIGNALS) else str(signal)


class Tags:
    """The beginning of the lines of each (patient, signal); computed once."""

    def __init__(self, measurement: str) -> None:
        self._begin = tag(measurement) + b",patient="
        self._known: dict[tuple[str, int], bytes] = {}

    def of(self, patient: str, signal: int) -> bytes:
        """Measurement and tags, with the space after them."""
        known = self._known.get((patient, signal))
        if known is None:
            if len(self._known) >= _TAGS_KEPT:
                self._known.clear()
            known = self._begin + tag(patient) + b",signal=" + tag(signal_tag(signal)) + b" "
            self._known[patient, signal] = known
        return known


def observation_lines(tags: Tags, segment: Segment) -> Lines:
    """Readings: ``value`` where it can be the patient's, else the text ``refused``; always ``status``.

    A reading for a moment that has one already uses other fields, so that the original stays: ``again`` for a correction,
    ``other`` for a reading that may replace nothing, each with its status. A retraction mark has no value.
    """
    signal, time, value, status = segment.columns
    valid, lost = _in_time(time)
    patient, signal, time, value, status = (column[valid] for column in (segment.patient, signal, time, value, status))
    if not len(time):
        return Lines(b"", 0, lost)
    form = np.where(NOT_BELIEVABLE[status] | ~np.isfinite(value), _REFUSED, _FORM_OF[status])
    heads, place = _heads(tags, segment.patients, patient, signal)
    begin = [head + field for head in heads for field in _FORMS]
    numbers = _numbers(value)
    for row in (form == _TAKEN_BACK).nonzero()[0].tolist():
        numbers[row] = b""
    return _joined(
        [
            list(map(begin.__getitem__, (place * len(_FORMS) + form).tolist())), numbers,
            list(map(_ENDS.__getitem__, (status + 256 * form).tolist())), _numbers(time),
        ],
        lost,
    )  # fmt: skip


def estimate_lines(tags: Tags, segment: Segment) -> Lines:
    """Estimates: ``mean``, ``sd`` and ``quality``, each only if it is a number."""
    return _number_lines(tags, segment, _ESTIMATE_FIELDS)


def forecast_lines(tags: Tags, segment: Segment) -> Lines:
    """Forecasts: ``FORECAST_FIELDS``, each only if it is a number."""
    return _number_lines(tags, segment, _FORECAST_FIELDS)


def _number_lines(tags: Tags, segment: Segment, names: Sequence[bytes]) -> Lines:
    """The columns after the time as number fields; a row without any number is lost."""
    signal, time, *fields = segment.columns
    valid, lost = _in_time(time)
    finite = [np.isfinite(column) for column in fields]
    nothing = valid & ~np.logical_or.reduce(finite)
    lost += int(nothing.sum())
    valid &= ~nothing
    patient, signal, time = (column[valid] for column in (segment.patient, signal, time))
    if not len(time):
        return Lines(b"", 0, lost)
    heads, place = _heads(tags, segment.patients, patient, signal)
    columns = [list(map(heads.__getitem__, place.tolist()))]
    before = np.zeros(len(time), np.bool_)
    for name, column, good in zip(names, fields, finite, strict=True):
        kept = good[valid]
        begins = [b"", b"", name, b"," + name]
        columns += [list(map(begins.__getitem__, (kept * 2 + before).tolist())), _numbers(column[valid], b"")]
        before |= kept
    return _joined([*columns, [b" "] * len(time), _numbers(time)], lost)


def _in_time(time: I8) -> tuple[np.ndarray[tuple[int], np.dtype[np.bool_]], int]:
    """Which rows have a time that InfluxDB can represent, and how many have not."""
    valid = (time >= -LAST_US) & (time <= LAST_US)
    return valid, len(time) - int(valid.sum())


def _heads(tags: Tags, patients: Sequence[str], patient: np.ndarray, signal: np.ndarray) -> tuple[list[bytes], I8]:
    """The different beginnings of lines, and the one of each row."""
    pairs, place = np.unique(patient.astype(np.int64) << 16 | signal, return_inverse=True)
    return [tags.of(patients[pair >> 16], pair & 0xFFFF) for pair in pairs.tolist()], place


def _numbers(column: F8 | F4 | I8, odd: bytes | None = None) -> list[bytes]:
    """Each number as the shortest text that gives it back; NaN and infinity as ``odd`` or by their name."""
    values = column.tolist()
    texts = msgspec.json.encode(values)[1:-1].split(b",")
    if column.dtype.kind == "f":
        for place in np.flatnonzero(~np.isfinite(column)).tolist():
            texts[place] = repr(values[place]).encode() if odd is None else odd
    return texts


def _joined(columns: list[list[bytes]], lost: int) -> Lines:
    rows, width = len(columns[0]), len(columns) + 1
    parts = [b"\n"] * (rows * width)
    for number, column in enumerate(columns):
        parts[number::width] = column
    return Lines(b"".join(parts), rows, lost)
