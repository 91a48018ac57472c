"""What the twin believes in hindsight: a signal's course given all its readings, at any time, with its spread."""

from typing import NamedTuple

import numpy as np

from twins.arrays import F8, I8, U1
from twins.bank import layout
from twins.models.channel import smoother
from twins.signals import FILTERED

__all__ = ["Course", "smooth"]


class Course(NamedTuple):
    """Mean and standard deviation of the patient's value at the times asked for; the ``Status`` of every reading."""

    mean: F8
    sd: F8
    status: U1


def smooth(signal: int, time_us: I8, value: F8, at_us: I8) -> Course:
    """The course of a signal (its code) at ``at_us``, given readings of one patient at ``time_us`` in the signal's unit.

    The filter judges the readings by event time and as live, so that what was gated counts for nothing here either; of
    two at one time the later in the column corrects the other, which is late or a duplicate. Between readings both sides
    tell, after the last it is the forecast, before the first the population leans on it. ``sd`` is that of the patient's
    value, not of a reading of it. Times in any order; NaN throughout where no reading was believed.

    Raises ``ValueError`` for a signal no channel twin follows, and for columns of unequal length.

    >>> heart_rate, minute = 0, 60_000_000
    >>> before_and_after = np.array([1, 2, 22, 23]) * minute, np.array([70.0, 70.0, 90.0, 90.0])
    >>> course = smooth(heart_rate, *before_and_after, np.array([2, 12, 22]) * minute)
    >>> course.mean.round().tolist(), int(course.sd.argmax())
    ([70.0, 80.0, 90.0], 1)
    """
    if not 0 <= signal < len(FILTERED) or not FILTERED[signal]:
        raise ValueError(f"no channel twin follows signal {signal}")
    if len(time_us) != len(value):
        raise ValueError("columns of unequal length")
    # By time, and of one time the last to come first, which the filter takes.
    order = len(value) - 1 - np.argsort(time_us[::-1], kind="stable")
    time, reading = time_us[order].astype(np.int64), value[order].astype(np.float64)
    parameter, count = layout.PARAMETERS[signal], len(time)
    prior, posterior, smoothed = (np.empty((count, smoother.MOMENTS)) for _ in range(3))
    state, judged = np.zeros(layout.STATE_WIDTH), np.zeros(count, np.uint8)
    mean, variance = np.full(len(at_us), np.nan), np.full(len(at_us), np.nan)
    if smoother.forward(state, parameter, time, reading, judged, prior, posterior):
        smoother.backward(parameter, time, prior, posterior, smoothed)
        at = at_us.astype(np.int64)
        smoother.interpolate(parameter, time, prior, posterior, smoothed, at, mean, variance)
    status = np.empty_like(judged)
    status[order] = judged
    return Course(mean, np.sqrt(variance), status)
