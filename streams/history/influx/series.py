"""Read readings, estimates and forecasts back: raw, by page, and thinned by the storage itself."""

import numpy as np

from streams.history.base import (
    KEPT_HORIZONS_MIN,
    KEPT_QUANTILES,
    Buckets,
    EstimateSeries,
    ForecastSeries,
    Series,
    SeriesPage,
)
from streams.history.columns import standing
from streams.history.influx.flux import NOTHING, Answer, Column, answer, clipped, floats, selection, us
from streams.history.influx.line_protocol import FORECAST_FIELDS, signal_tag
from streams.history.influx.link import Link
from streams.history.thinning import NOT_BELIEVABLE, bucketed
from twins.arrays import F8, I8
from twins.records import Status

__all__ = ["buckets", "estimates", "forecasts", "observations", "page", "versions"]

Window = tuple[str, int, int, int]
"""patient, signal, start, end"""

_FIRST = ("value", "refused", "status")
_AGAIN, _OTHER = ("again", "again_status"), ("other", "other_status")
_OBSERVATION = (*_FIRST, *_AGAIN, *_OTHER)
_ESTIMATE = ("mean", "sd", "quality")
_FIELDS = {"observation": _OBSERVATION, "estimate": _ESTIMATE, "forecast": FORECAST_FIELDS}
_KEEP = '|> keep(columns: ["_time", "_value", "_field"])'
_NOUGHT = Column([], ["0"])


async def observations(link: Link, bucket: str, window: Window) -> Series:
    """All readings of a window."""
    return _standing(_versions(await _ask(link, bucket, window, "observation", _KEEP)))


async def versions(link: Link, bucket: str, window: Window) -> Series:
    """All readings of a window as they were sent, originals and corrections."""
    return _versions(await _ask(link, bucket, window, "observation", _KEEP))


async def page(link: Link, bucket: str, window: Window, limit: int) -> SeriesPage:
    """The first ``limit`` readings of a window."""
    # The first `limit` of every field: they include the first `limit` moments.
    found = await _ask(link, bucket, window, "observation", f"|> limit(n: {limit + 1}) {_KEEP}")
    series = _versions(found)
    moments = np.unique(series.time)
    if len(moments) <= limit:
        return SeriesPage(_standing(series), None)
    last = moments[limit - 1]
    cut = series.time <= last
    kept = Series(series.time[cut], series.value[cut], series.status[cut])
    return SeriesPage(_standing(kept), str(int(last)))


async def buckets(link: Link, bucket: str, window: Window, points: int) -> Buckets:
    """At most ``points`` summaries of believable readings.

    The storage computes them by field. If a reading was written again, and only one version was accepted or one is a
    correction, several fields have it: then, and only then, the raw readings are read.
    """
    patient, signal, start, end = window
    width = _width(start, end, points)
    given = clipped(start, end)
    if given is None:
        return bucketed(_versions({}), start, end, points)
    parts = [
        f"{_picked(bucket, given, patient, signal, 'observation', ('value',))}"
        f' {_spans(width, start, name)} |> yield(name: "{name}")'
        for name in ("mean", "min", "max", "count")
    ]
    parts.append(
        f"{_picked(bucket, given, patient, signal, 'observation', _OBSERVATION)}"
        ' |> count() |> keep(columns: ["_value", "_field"]) |> yield(name: "rows")'
    )
    found = answer(await link.query("\n".join(parts)))
    rows = {field: int(found.get(("rows", field), _NOUGHT).value[0]) for field in _OBSERVATION}
    if rows["value"] + rows["refused"] != rows["status"] or rows["again_status"] or rows["other_status"]:
        return bucketed(await observations(link, bucket, window), start, end, points)
    mean, low, high, count = (found.get((name, "value"), NOTHING) for name in ("mean", "min", "max", "count"))
    return Buckets(
        _begins(us(mean.time), start, width), floats(mean.value), floats(low.value), floats(high.value),
        np.array([int(number) for number in count.value], np.int64),
    )  # fmt: skip


async def estimates(link: Link, bucket: str, window: Window, points: int | None) -> EstimateSeries:
    """All estimates of a window or, if there are more than ``points``, at most that many averages."""
    patient, signal, start, end = window
    given = clipped(start, end)
    if given is None:
        return _estimates({})
    if points is None or await _count(link, bucket, window, given) <= points:
        return _estimates(await _ask(link, bucket, window, "estimate", _KEEP))
    width = _width(start, end, points)
    square = "|> map(fn: (r) => ({r with _value: r._value * r._value}))"
    parts = [
        f"{_picked(bucket, given, patient, signal, 'estimate', (field,))}"
        f' {square if field == "sd" else ""} {_spans(width, start, "mean")} |> yield(name: "{field}")'
        for field in _ESTIMATE
    ]
    found = answer(await link.query("\n".join(parts)))
    series = _estimates({("_result", field): found.get((field, field), NOTHING) for field in _ESTIMATE})
    return series._replace(time=_begins(series.time, start, width), sd=np.sqrt(series.sd))


async def forecasts(link: Link, bucket: str, window: Window, points: int | None) -> ForecastSeries:
    """All forecasts made in a window or the first of each of at most ``points`` equal spans.

    A late forecast lacks its nearer horizons, but never the last one: the last horizon shows which forecast is the first
    of a span. Later values of other fields in the span belong to another forecast.
    """
    _, _, start, end = window
    first = ""
    if points is not None:
        width = _width(start, end, points)
        first = f"|> window(every: {width}us, offset: {start % width}us) |> first() |> window(every: inf)"
    found = await _ask(link, bucket, window, "forecast", f"{first} {_KEEP}")
    columns = [found.get(("_result", field), NOTHING) for field in FORECAST_FIELDS]
    time = us(columns[-1].time)
    values = [_at(time, us(column.time), floats(column.value)) for column in columns]
    shape = (len(time), len(KEPT_HORIZONS_MIN), len(KEPT_QUANTILES))
    return ForecastSeries(time, np.stack(values, axis=1).astype(np.float32).reshape(shape))


async def _count(link: Link, bucket: str, window: Window, given: tuple[int, int]) -> int:
    flux = _picked(bucket, given, window[0], window[1], "estimate", ("mean",))
    found = answer(await link.query(f'{flux} |> count() |> keep(columns: ["_value"])'))
    return int(found.get(("_result", ""), _NOUGHT).value[0])


async def _ask(link: Link, bucket: str, window: Window, measurement: str, rest: str) -> Answer:
    patient, signal, start, end = window
    given = clipped(start, end)
    if given is None:
        return {}
    picked = _picked(bucket, given, patient, signal, measurement, _FIELDS[measurement])
    return answer(await link.query(f"{picked} {rest}"))


def _picked(  # noqa: PLR0917 (the identity of a series)
    bucket: str, given: tuple[int, int], patient: str, signal: int, measurement: str, fields: tuple[str, ...]
) -> str:
    return selection(bucket, given, measurement, fields, patient=[patient], signal=[signal_tag(signal)])


def _width(start: int, end: int, points: int) -> int:
    return max(1, -(-(end - start) // points))


def _spans(width: int, start: int, function: str) -> str:
    """Summaries by spans of ``width`` µs that begin at ``start``."""
    return (
        f"|> aggregateWindow(every: {width}us, offset: {start % width}us, fn: {function}, createEmpty: false,"
        f' timeSrc: "_start") {_KEEP}'
    )


def _begins(time: I8, start: int, width: int) -> I8:
    """Where the spans begin; the first begins with the window, which may be clipped."""
    return (time - start) // width * width + start


def _versions(found: Answer) -> Series:
    """Every version of the readings of an answer: by time, and the original before the others of its moment."""
    first, again = _first(found), _paired(found, _AGAIN)
    if len(again.time):
        first, again = _marked(first, again)
    parts = [first, _paired(found, _OTHER), again]
    if not any(len(part.time) for part in parts[1:]):
        return first
    time, value, status = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.argsort(time, kind="stable")
    return Series(time[order], value[order], status[order])


def _marked(first: Series, again: Series) -> tuple[Series, Series]:
    """The originals and their later versions, with the mark of a retracted moment in both.

    A reading sent once more after that has its own status again, and the mark no longer counts.
    """
    gone = first.status == Status.RETRACTED
    mark = again.status == Status.RETRACTED
    again = Series(*(column[~mark | ~np.isin(again.time, first.time[~gone])] for column in again))
    original = gone & np.isfinite(first.value)
    return first._replace(status=np.where(original, Status.ACCEPTED, first.status).astype(np.uint8)), again


def _standing(series: Series) -> Series:
    """The readings that count, one per moment, as in the other store."""
    _, time, value, status = standing((np.zeros(len(series.time), np.uint16), *series))
    return Series(time, value, status)


def _paired(found: Answer, fields: tuple[str, str]) -> Series:
    value, status = (found.get(("_result", field), NOTHING) for field in fields)
    time = us(status.time)
    codes = np.array([int(code) for code in status.value], np.uint8)
    return Series(time, np.nan_to_num(_at(time, us(value.time), floats(value.value))), codes)


def _first(found: Answer) -> Series:
    value, refused, status = (found.get(("_result", field), NOTHING) for field in _FIRST)
    time = us(status.time)
    codes = np.array([int(code) for code in status.value], np.uint8)
    # Usually every reading is accepted: then the times are the same and need not be parsed twice.
    own = [time if column.time == status.time else us(column.time) for column in (value, refused)]
    believed, other = _at(time, own[0], floats(value.value)), _at(time, own[1], floats(refused.value))
    use_other = NOT_BELIEVABLE[codes] | np.isnan(believed)
    return Series(time, np.where(use_other, other, believed), codes)


def _estimates(found: Answer) -> EstimateSeries:
    columns = [found.get(("_result", field), NOTHING) for field in _ESTIMATE]
    times = [us(column.time) for column in columns]
    time = np.unique(np.concatenate(times))
    mean, sd, quality = (_at(time, own, floats(column.value)) for own, column in zip(times, columns, strict=True))
    return EstimateSeries(time, mean, sd, quality.astype(np.float32))


def _at(time: I8, own: I8, value: F8) -> F8:
    """Values at their own times among all times; NaN at the others."""
    found = np.full(len(time), np.nan)
    if len(time):
        place = np.searchsorted(time, own)
        known = place < len(time)  # a page may end before the last value of some fields
        place, value = place[known], value[known]
        same = time[place] == own[known]
        found[place[same]] = value[same]
    return found
