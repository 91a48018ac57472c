"""The state of a patient's twins as it was at a moment, from the log run again up to there."""

import math

import msgspec
import numpy as np

from streams.preview.course import Course, records_of
from streams.preview.job import Job, Part
from streams.preview.run import setup_of
from twins.bank import layout
from twins.bank.bank import Bank
from twins.models.channel import forecast
from twins.models.channel.fan import fan
from twins.signals import BY_NAME
from twins.step.dispatch import step

__all__ = ["Moment", "reopen"]


class Moment(msgspec.Struct, kw_only=True):
    """A channel's twin at a moment of the log (``time``, µs); without ``source`` it was not reopened.

    ``forecast`` has quantiles by horizon, as ``twins.records.HORIZONS_MIN`` and ``QUANTILES``.
    """

    time: int
    signal: str
    source: str = ""
    mean: float | None = None
    sd: float | None = None
    trend_per_min: float | None = None
    quality: float | None = None
    forecast: list[list[float | None]] = []


def reopen(job: Job, course: Course, parts: list[Part], moments: list[Moment]) -> list[Moment]:
    """Fill in what the log can reopen of one patient's moments, which are in order of time; the others stay empty."""
    log = next((part for part in parts if part.source == "log"), None)
    if log is None or not len(course):
        return moments
    bank, offset = Bank(), 0
    begin = int(course.arrived[0])
    for record in setup_of(job.patients, job.setup, begin):
        step(bank, record, offset)
        offset += 1
    done = 0
    for one in moments:
        upto = int(np.searchsorted(course.arrived, one.time, side="right"))
        for record in records_of(_part(course, done, upto, one.time), one.time):
            step(bank, record, offset)
            offset += 1
        done = upto
        if one.time >= log.start:
            _fill(bank, one)
    return moments


def _part(course: Course, first: int, last: int, until: int) -> Course:
    """The readings from ``first`` to before ``last``, with the other records that came by ``until`` and not before them."""
    since = int(course.arrived[first - 1]) if first else -1
    others = [one for one in course.others if since < one.received <= until]
    return Course(
        course.patients, course.patient[first:last], course.signal[first:last], course.time[first:last],
        course.value[first:last], course.arrived[first:last], others,
    )  # fmt: skip


def _fill(bank: Bank, one: Moment) -> None:
    code = BY_NAME[one.signal].code
    row = int(bank.slot[0, code])
    if row < 0:
        return
    state = bank.state[row]
    belief = np.empty((1, layout.BELIEF), np.float32)
    forecast.write_belief(
        state, layout.PARAMETERS[code], bank.stretch[row], bank.recent[row], belief[0], belief[0, layout.B_RECENT :]
    )
    one.source = "log"
    one.mean, one.sd = _plain(state[layout.M0]), _plain(math.sqrt(max(state[layout.P00], 0.0)))
    one.trend_per_min, one.quality = _plain(state[layout.TREND] * 60.0), _plain(state[layout.QUALITY])
    one.forecast = [[_plain(q) for q in row] for row in fan(belief, np.array([code], np.uint16))[0].tolist()]


def _plain(value: float) -> float | None:
    return round(float(value), 4) if math.isfinite(value) else None
