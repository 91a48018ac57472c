"""Predicted crossings of a channel's limits: when the stated chance alone is an alarm condition."""

import math

import numpy as np

from twins.alarms.phases import note, turn
from twins.arrays import F4, F8, I8, U1
from twins.bank.layout import (
    A_CODE,
    A_FAST,
    A_MEAN,
    A_PREDICTIVE,
    A_S11,
    A_S12,
    A_S22,
    A_SLOW,
    COUNT,
    E_EXPECTED,
    E_EXTRA,
    E_KIND,
    FAULT,
    HEAD,
    HIGH,
    IDLE,
    INTERVAL,
    LAST,
    LOW,
    M0,
    M1,
    ON,
    P00,
    P01,
    P11,
    PREDICT_WITHIN_S,
    PREDICTED,
    PREDICTED_HIGH,
    PREDICTED_LOW,
    RING,
    RUN,
    VALUE,
    WARNED_CHANCE,
    WARNED_COUNT,
    WARNED_OWN,
    WARNED_RAISED,
    WARNED_TRIALS,
    WARNED_TRUE,
    WARNED_WANTED,
    T,
)  # fmt: skip
from twins.compiled.jit import kernel
from twins.models.channel import passage
from twins.models.channel.chances import (
    FEWEST,
    FLOOR,
    NEXT_READING,
    WITHIN,
    is_sparse,
    most_beyond,
    raw_chance,
    raw_of,
    stated_of,
)
from twins.signals import SIGNALS

__all__ = ["awaited", "predicted"]


PREDICT_ON, PREDICT_OFF = 0.5, 0.3
PREDICT_EVERY_US = 5e6
NEAR_US = 150e6
"""Readings that pause for longer than this about the end of the half hour do not judge a prediction."""
LATEST = 1.5
"""The next reading judges a prediction if it comes within this many usual intervals."""
PRECISION, MOST_TRIALS = 5.0, 60.0
"""The precision of the fit as a prior of a patient's own offset; beyond so many trials older ones are forgotten."""
_FITS = {
    ("glucose", WITHIN): ((0.5, 0.25), (0.55, 0.43)),
    ("glucose", NEXT_READING): ((0.5, -0.3), (0.5, -0.3)),
}
"""Slope and offset of the logit of the share that came true, for the low and the high side: how many predictions of
recorded patients (even places by id) came true, by the stated chance. Lows are treated, which the chance does not know.
"""
_OTHERS = {WITHIN: ((1.0, 0.0), (1.0, 0.0)), NEXT_READING: ((0.5, -1.0), (0.5, -1.0))}
_FITTED = np.array([
    [_FITS.get((signal.name, kind), _OTHERS[kind]) for kind in (WITHIN, NEXT_READING)] for signal in SIGNALS
])  # fmt: skip
"""By signal, kind and side."""
QUIET_US = 1800e6
"""No prediction begins while a limit is passed, or this long after: who was called for the limit needs no prediction."""


@kernel(forceinline=True)
def awaited(state: F8, parameter: F8, watch: F8) -> bool:
    """Whether the channel's crossing may be predicted now and has not been computed recently."""
    if parameter[A_PREDICTIVE] == 0.0 or state[COUNT] < FEWEST:
        return False
    if state[LAST] > state[T] and watch[RUN] > 0.0:
        return False  # the newest reading repeats the one before, so it confirms nothing
    return not state[LAST] - watch[PREDICTED] < PREDICT_EVERY_US


@kernel()
def _was_passed(t: float, bound: float, toward: float, watch: F8, ring: F8) -> bool:
    """Whether one of the newest readings, of the last ``QUIET_US``, was beyond the limit: its alarm may be one of the past."""
    head = int(watch[HEAD])
    for back in range(1, min(head, RING) + 1):
        time, value = ring[(head - back) % RING, 0], ring[(head - back) % RING, 1]
        if t - time > QUIET_US:
            break
        if toward * (value - bound) > 0.0:
            return True
    return False


@kernel(forceinline=True)
def _precision(chance: float, code: int, kind: int, side: int, warned: F4) -> float:
    """The share of such predictions that comes true, by the fit of recordings and by this patient's own."""
    fit = _FITTED[code, kind, side]
    chance = min(max(chance, FLOOR), 1.0 - FLOOR)
    return 1.0 / (1.0 + math.exp(-(fit[0] * math.log(chance / (1.0 - chance)) + fit[1] + float(warned[WARNED_OWN]))))


@kernel()
def _try(warned: F4, warned_at: I8, side: int, t: float, said: float, kind: int, raised: float) -> None:
    """Note a prediction, to be judged by what comes."""
    warned[WARNED_CHANCE] = -said if kind == NEXT_READING else said
    warned[WARNED_RAISED] = raised
    warned_at[side] = int(t)


@kernel()
def _settle(warned: F4, made: int, t: float, passed: int, watch: F8) -> None:
    """Judge the pending prediction at ``t`` (µs), if its time has come or the limit was passed; learn from it.

    It is dropped if nobody knows: the next reading came too late, or readings paused about the end of the half hour.
    """
    following = warned[WARNED_CHANCE] < 0.0
    end = made + (LATEST * watch[INTERVAL] if following else PREDICT_WITHIN_S) * 1e6
    if t <= made or (not following and t < end and not passed):
        return
    said = abs(float(warned[WARNED_CHANCE]))
    warned[WARNED_CHANCE] = 0.0
    if t > end + (0.0 if following else NEAR_US):
        return
    came = 1.0 if passed else 0.0
    warned[WARNED_TRIALS] += 1.0
    learnt = PRECISION + 0.2 * min(float(warned[WARNED_TRIALS]), MOST_TRIALS)
    warned[WARNED_OWN] += (came - said) / learnt
    if warned[WARNED_RAISED] != 0.0:
        warned[WARNED_COUNT] += 1.0
        warned[WARNED_TRUE] += came


@kernel(forceinline=True)
def predicted(
    row: int, state: F8, parameter: F8, offsets: F4, watch: F8, ring: F8, limit: F8, phase: U1, since: I8, warned: F4,
    warned_at: I8, scratch: F4, events: F8, n: int,
) -> int:  # fmt: skip
    """Predicted crossings of the low and high limit, for ``awaited`` rows; returns the event count.

    A stated chance of ``PREDICT_ON`` or above is a prediction. It is an alarm if what became of such predictions before
    says that the wanted share of them comes true. The alarm ends when the chance falls below ``PREDICT_OFF`` or when the
    limit itself is crossed.
    """
    t = state[LAST]
    watch[PREDICTED] = t
    kind = NEXT_READING if is_sparse(watch, ring) else WITHIN
    # Dense readings must agree for 20 s, because a chance that flickers would be many alarms. Others come too seldom to
    # wait for one more.
    delay = 20e6 if watch[INTERVAL] < 10.0 else 0.0
    for side in range(2):
        condition = PREDICTED_LOW if side == 0 else PREDICTED_HIGH
        bound = limit[LOW + side * (HIGH - LOW)]
        chance = 0.0
        itself = LOW if side == 0 else HIGH
        toward = -1.0 if side == 0 else 1.0
        passed = toward * (state[VALUE] - bound) > 0.0 or phase[itself] != IDLE
        if warned[side, WARNED_CHANCE] != 0.0:
            came = 1 if passed or abs(since[itself]) > warned_at[side] else 0
            _settle(warned[side], warned_at[side], t, came, watch)
        if phase[condition] == ON and passed and phase[itself] != ON:
            continue  # it is coming true; the limit's own alarm follows, after its delay
        # After its end, and after a delay that was not reached, a limit keeps when that was.
        quiet = not passed and (phase[condition] == ON or t - since[itself] >= QUIET_US)
        if quiet and phase[FAULT] != ON and not math.isnan(bound):
            own = float(offsets[side, 0])
            # A bound of the raw chance, which needs no exponentials of time, decides most.
            matters = raw_of(PREDICT_OFF if phase[condition] == ON else PREDICT_ON, parameter, kind, side, own)
            if kind == NEXT_READING or most_beyond(state, parameter, bound, toward) >= matters:
                raw = raw_chance(state, parameter, watch, bound, toward, kind)
                chance = stated_of(raw, parameter, kind, side, own)
        if chance >= PREDICT_ON and phase[condition] == IDLE and _was_passed(t, bound, toward, watch, ring):
            chance = 0.0
        said = _precision(chance, int(parameter[A_CODE]), kind, side, warned[side]) if chance >= PREDICT_ON else 0.0
        if said > 0.0 and warned[side, WARNED_CHANCE] == 0.0 and phase[condition] != ON:
            _try(warned[side], warned_at, side, t, said, kind, 0.0)
        raises = said > 0.0 and said >= warned[side, WARNED_WANTED]
        turned = turn(phase, since, condition, raises, chance < PREDICT_OFF, t, delay)
        if turned > 0:
            _try(warned[side], warned_at, side, t, said, kind, 1.0)
            chance = said
        if turned != 0:
            n = note(events, n, row, condition, 1.0 if turned > 0 else 0.0, t, bound, state, watch, ring)
            events[n - 1, E_EXTRA] = chance
            events[n - 1, E_EXPECTED] = watch[INTERVAL] if kind == NEXT_READING else math.nan
            if turned > 0 and kind == WITHIN:
                _, events[n - 1, E_EXPECTED] = passage.crossing(
                    state[M0], state[M1], state[P00], state[P01], state[P11], parameter[A_MEAN], parameter[A_FAST],
                    parameter[A_SLOW], parameter[A_S11], parameter[A_S12], parameter[A_S22], bound,
                    -1.0 if side == 0 else 1.0, PREDICT_WITHIN_S, scratch,
                )  # fmt: skip
            events[n - 1, E_KIND] = kind
    return n
