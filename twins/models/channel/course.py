"""The smoothed course of a signal: its value and spread at any time, given all its readings."""

from typing import NamedTuple

import numpy as np

from twins.arrays import F8, I8, U1
from twins.bank import layout
from twins.models.channel import smoother
from twins.signals import FILTERED

__all__ = ["Course", "smooth"]


class Course(NamedTuple):
    """Mean and standard deviation of the patient's value at the requested times; the ``Status`` of every reading."""

    mean: F8
    sd: F8
    status: U1


def smooth(signal: int, time_us: I8, value: F8, at_us: I8) -> Course:
    """The course of a signal (its code) at ``at_us``, given readings of one patient at ``time_us`` in the signal's unit.

    The filter judges the readings in order of their times, as it does live, so a reading that was gated has no effect
    here either. If two readings have one time, the later in the column corrects the other, which becomes late or a
    duplicate. Between readings, the readings on both sides count. After the last, the result is the forecast. Before
    the first, it approaches the population. ``sd`` is the uncertainty of the patient's value, without the noise of a
    reading. Times may be in any order. The result is NaN throughout if no reading was believed.

    Raises ``ValueError`` for a signal without a channel twin, and for columns of unequal length.

    >>> heart_rate, minute = 0, 60_000_000
    >>> before_and_after = np.array([1, 2, 22, 23]) * minute, np.array([70.0, 70.0, 90.0, 90.0])
    >>> course = smooth(heart_rate, *before_and_after, np.array([2, 12, 22]) * minute)
    >>> course.mean.round().tolist(), int(course.sd.argmax())
    ([70.0, 80.0, 90.0], 1)
    """
    if not 0 <= signal < len(FILTERED) or not FILTERED[signal]:
        raise ValueError(f"no channel twin follows signal {signal}")
    if len(time_us) != len(value):
        raise ValueError("columns must have equal length")
    # Sorted by time; of several with one time the last one comes first, because the filter takes the first.
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
