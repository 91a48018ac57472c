"""Stated chances on trial: made every ten minutes, judged by what came, and what the patient's own offset learns from it.

A statement is judged when its time has come. "Within 30 min" came true if a reading within that time was beyond the
limit that was in force when it was made. It is judged by the first reading at or after its end. If that is not near,
and neither was the one before, nobody knows what was between, and the statement is dropped. Whether it is dropped never
depends on what came: else the last statements before every pause would only be those that came true.
"The next reading" is judged by that reading, unless it is so late that it says nothing about the chance stated.
"""

import math

import numpy as np

from twins.arrays import F4, F8, U1
from twins.bank.layout import (
    A_CHANCES,
    C_PRECISION,
    CHANCE_WIDTH,
    E_CONDITION,
    E_EXTRA,
    E_KIND,
    E_LIMIT,
    E_MEAN,
    E_ROW,
    E_TIME,
    E_VALUE,
    INTERVAL,
    JUDGED_CHANCE,
    LAST,
    LOW,
    PENDING_STATEMENTS,
    PREDICT_WITHIN_S,
    Q_AGAIN,
    Q_MADE,
    Q_NEXT,
    Q_OVER,
    Q_UNDER,
    S_BOUND,
    S_CHANCE,
    S_SPAN,
    VALUE,
)  # fmt: skip
from twins.compiled.jit import kernel
from twins.models.channel.chances import NEXT_READING, WITHIN, is_sparse, may_state, raw_chance, stated_of

__all__ = ["EVERY_US", "MOST_JUDGED", "OVERLAP", "drop", "judge", "learn", "make"]

MOST_JUDGED = 2 * PENDING_STATEMENTS
"""The most statements that one reading can judge."""
EVERY_US = 600e6
"""A channel makes a statement at most this often, in effective time."""
_LATEST = 1.5
"""The next reading judges if it comes within this many usual intervals."""
_LEAST_NEAR_US, _MOST_NEAR_US = 1e6, 150e6
"""A reading is near the end of a statement's time within half the usual interval, in these bounds."""
OVERLAP = 1.0 / PENDING_STATEMENTS
"""Statements about half an hour, made every ten minutes, share what they see: each counts as a third."""
MOST_PRECISION = 8.0
"""The precision that a patient's own offset can gain: beyond it older statements are forgotten."""


@kernel()
def learn(offset: F4, stated: float, came: int, prior: float, weight: float) -> None:
    """Update the patient's own offset (mean, gained precision) by one judged chance of ``weight`` statements.

    One step of an extended Kalman filter for the intercept of a logistic model: the precision grows by p (1 - p), the
    mean moves by (came - p) / precision.
    """
    gained = min(float(offset[1]) + weight * stated * (1.0 - stated), MOST_PRECISION)
    offset[1] = gained
    offset[0] += weight * (came - stated) / (prior + gained)


@kernel()
def _look_again(awaiting: F8, stated: F4) -> None:
    """Set when, and beyond which values, a reading may judge something."""
    following = under = over = math.nan
    for slot in range(PENDING_STATEMENTS):
        made, span_us = awaiting[Q_MADE + slot], float(stated[slot, S_SPAN]) * 1e6
        if math.isnan(made):
            continue
        end = made + 1.0 if span_us < 0.0 else made + span_us
        following = end if math.isnan(following) else min(following, end)
        if span_us < 0.0:
            continue
        low, high = float(stated[slot, S_BOUND]), float(stated[slot, S_BOUND + 1])
        if stated[slot, S_CHANCE] > 0.0:
            under = low if math.isnan(under) else max(under, low)
        if stated[slot, S_CHANCE + 1] > 0.0:
            over = high if math.isnan(over) else min(over, high)
    awaiting[Q_NEXT], awaiting[Q_UNDER], awaiting[Q_OVER] = following, under, over


@kernel()
def drop(awaiting: F8, stated: F4) -> None:
    """Drop the pending statements: they were made from readings that are wrong."""
    for slot in range(PENDING_STATEMENTS):
        awaiting[Q_MADE + slot] = math.nan
    _look_again(awaiting, stated)


@kernel()
def judge(
    row: int, t: float, value: float, before: float, interval_s: float, parameter: F8, awaiting: F8, stated: F4, offsets: F4,
    events: F8, n: int,
) -> int:  # fmt: skip
    """Judge pending statements by the plausible reading ``value`` at ``t`` (µs); returns the new event count.

    ``before`` is the time of the channel's newest reading before it. If ``t`` is not newer, the reading is a late one:
    it can make a statement come true, but its time does not come by it.
    """
    near = min(max(0.5e6 * interval_s, _LEAST_NEAR_US), _MOST_NEAR_US)
    reading = np.float32(value)  # as limits are stored: a reading at the limit is not beyond it
    for slot in range(PENDING_STATEMENTS):
        made, span_us = awaiting[Q_MADE + slot], float(stated[slot, S_SPAN]) * 1e6
        if math.isnan(made) or not t > made:
            continue
        end = made + abs(span_us)
        if t <= end:
            if reading < stated[slot, S_BOUND]:
                stated[slot, S_CHANCE] = -abs(stated[slot, S_CHANCE])
            if reading > stated[slot, S_BOUND + 1]:
                stated[slot, S_CHANCE + 1] = -abs(stated[slot, S_CHANCE + 1])
        if span_us > 0.0 and (t < end or t <= before):
            continue
        awaiting[Q_MADE + slot] = math.nan
        if span_us < 0.0 and t > end:
            continue
        if span_us > 0.0 and t > end + near and before < end - near:
            continue
        kind = NEXT_READING if span_us < 0.0 else WITHIN
        for side in range(2):
            chance = abs(float(stated[slot, S_CHANCE + side]))
            if math.isnan(chance):
                continue
            came = 1 if stated[slot, S_CHANCE + side] < 0.0 else 0
            prior = parameter[A_CHANCES + (2 * kind + side) * CHANCE_WIDTH + C_PRECISION]
            learn(offsets[side], chance, came, prior, 1.0 if kind == NEXT_READING else OVERLAP)
            event = events[n]
            event[E_ROW], event[E_CONDITION], event[E_TIME], event[E_MEAN] = row, JUDGED_CHANCE, t, made
            event[E_LIMIT], event[E_VALUE], event[E_EXTRA], event[E_KIND] = side, came, chance, kind
            n += 1
    _look_again(awaiting, stated)
    return n


@kernel()
def make(
    state: F8, parameter: F8, watch: F8, ring: F8, limit: F8, phase: U1, awaiting: F8, stated: F4, offsets: F4
) -> None:  # fmt: skip
    """State the chances of a channel as of its newest reading, if one of its pending statements has been judged.

    Nothing is stated of a side whose limit the newest reading is beyond, or that has no limit.
    """
    slot = 0
    while slot < PENDING_STATEMENTS and not math.isnan(awaiting[Q_MADE + slot]):
        slot += 1
    if slot == PENDING_STATEMENTS or not may_state(state, parameter, phase):
        return
    kind = NEXT_READING if is_sparse(watch, ring) else WITHIN
    some = False
    for side in range(2):
        bound = limit[LOW + side]
        toward = -1.0 if side == 0 else 1.0
        stated[slot, S_CHANCE + side] = math.nan
        stated[slot, S_BOUND + side] = bound
        if math.isnan(bound) or toward * (state[VALUE] - bound) > 0.0:
            continue
        raw = raw_chance(state, parameter, watch, bound, toward, kind)
        stated[slot, S_CHANCE + side] = stated_of(raw, parameter, kind, side, float(offsets[side, 0]))
        some = True
    awaiting[Q_AGAIN] = state[LAST] + EVERY_US
    if some:
        awaiting[Q_MADE + slot] = state[LAST]
        stated[slot, S_SPAN] = PREDICT_WITHIN_S if kind == WITHIN else -_LATEST * watch[INTERVAL]
        _look_again(awaiting, stated)
