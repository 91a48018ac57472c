"""NEWS2 of many patients in one walk: inputs from the bank, parts, staleness, and the delays of the three thresholds."""

import numpy as np

from twins.arrays import B1, F8, I1, I4, I8, U1
from twins.bank.layout import (
    COUNT,
    CRITICAL_HIGH,
    CRITICAL_LOW,
    G_BIAS,
    G_PHASE,
    HIGH_VALUE,
    LOW_VALUE,
    M0,
    ON,
    T,
)  # fmt: skip
from twins.compiled.jit import kernel
from twins.models.deterioration import news2

__all__ = [
    "ABOUT",
    "BEGINS",
    "CONDITIONS",
    "ENDS",
    "IS_ON",
    "IS_WAITING",
    "PARAMETERS",
    "WORSENS",
    "evaluate",
    "gather",
]


PARAMETERS = 7
HIGHEST = np.array(news2.HIGHEST_PART)
BEGINS, WORSENS, ENDS = 1, 2, -1
"""How a condition changed."""
CONDITIONS = 3
"""By index: a total of 7 or more, one of 5 or 6, and a 3 in one parameter below that."""
_OXYGEN, _CONSCIOUSNESS = 2, 5
_ON, _WAITING, _WORSENING = 2, 1, 4
"""Bits of a score's phase: the condition is on; it is about to change; it is on and about to be reported again."""
ABOUT = _WAITING | _WORSENING
IS_ON, IS_WAITING = _ON, _WAITING
_HOLD_US = 60_000_000
"""A threshold must be reached, or left, for this long: one noisy minute raises no alarm."""
_WORSE_HOLD_US = 20_000_000
"""A score that is clearly worse than the reported one must be so for this long."""
_WORSE = 2
"""A total this much higher than the reported one, or a 3 in a parameter that had none, is reported again …"""
_RESTATE_US = 60_000_000
"""A score is sent again at least this often, so that its ages stay true."""


@kernel()
def gather(
    numbers: I8, now: int, slot: I4, state: F8, judged: F8, limit: F8, limits: U1, oxygen: F8, oxygen_time: I8,
    consciousness: F8, consciousness_time: I8, agreement: F8, sources: I8, paired: I8, forgotten: F8, value: F8, age: F8,
) -> None:  # fmt: skip
    """Value (7, patients) and age in s (patients, 7) of each NEWS2 input; NaN if there is none or it is too old.

    ``sources`` (7, n) are the signals that a parameter may come from, -1 for none. The newest measurement wins; of
    equally new ones, the first. ``paired`` (7, n) are the indices in ``agreement`` of each source's pair with the first
    source, -1 for none. Such a source is converted to the scale of the first by their usual difference, and is not used
    while they disagree. A value that is too old keeps its age. ``limits`` are the channels' phases: while a critical
    limit is passed, and the filter does not follow (two senders contradict each other), the value that passed it is
    used, not the estimate.
    """
    for i in range(len(numbers)):
        p = numbers[i]
        for column in range(PARAMETERS):
            newest = np.nan
            found = np.nan
            for k in range(sources.shape[1]):
                if sources[column, k] < 0:
                    break
                row = slot[p, sources[column, k]]
                if row < 0 or not state[row, COUNT] > 0.0:
                    continue
                theirs = now - state[row, T]
                theirs = 0.0 if theirs < 0.0 else theirs * 1e-6
                if not theirs >= newest:
                    pair = paired[column, k]
                    level = state[row, M0]
                    if limits[row, CRITICAL_LOW] == ON and not level < limit[row, CRITICAL_LOW]:
                        level = judged[row, LOW_VALUE]
                    elif limits[row, CRITICAL_HIGH] == ON and not level > limit[row, CRITICAL_HIGH]:
                        level = judged[row, HIGH_VALUE]
                    if pair >= 0:
                        if agreement[p, pair, G_PHASE] == ON:
                            continue
                        level -= agreement[p, pair, G_BIAS]
                    found = level
                    newest = theirs
            if column == _OXYGEN:
                found = oxygen[p]
                newest = np.nan if np.isnan(found) else max(now - oxygen_time[p], 0) * 1e-6
            elif column == _CONSCIOUSNESS:
                found = consciousness[p]
                newest = np.nan if np.isnan(found) else max(now - consciousness_time[p], 0) * 1e-6
            age[i, column] = newest
            value[column, i] = np.nan if newest > forgotten[column] else found


@kernel()
def _settle(
    numbers: I8, now: int, fresh: I1, age: F8, stale_after: F8, parts: I1, known_parts: I1, stale: U1, scored: I8, phase: U1,
    since: I8, told: I1, speak: B1, turned: I1,
) -> None:  # fmt: skip
    """Write ``fresh`` parts to the bank; ``speak`` (patients) marks scores to send, ``turned`` (patients, 3) changes.

    A missing part never begins a condition and never ends one: if a part had points when it was last known and is
    missing now, it counts with the most points possible.
    """
    for i in range(len(numbers)):
        p = numbers[i]
        total = held = 0
        known = False
        reds = held_reds = 0
        speaks = False
        for column in range(PARAMETERS):
            part = int(fresh[i, column])
            aged = part >= 0 and age[i, column] >= stale_after[column]
            if part >= 0:
                known = True
                total += part
                if part == 3:
                    reds |= 1 << column
                if part != known_parts[p, column]:
                    known_parts[p, column] = part
            elif known_parts[p, column] > 0:
                held += HIGHEST[column]
                held_reds = 1
            # Patients are far apart in memory: an unchanged value is not written.
            if part != parts[p, column] or aged != (stale[p, column] != 0):
                speaks = True
                parts[p, column] = part
                stale[p, column] = aged
        if known and now - scored[p] >= _RESTATE_US:
            speaks = True
        reached = 0 if total >= 7 else 1 if total >= 5 else 2 if reds != 0 else -1
        on_now = (phase[p, 0] | phase[p, 1] | phase[p, 2]) & _ON
        held += total
        for which in range(CONDITIONS if on_now != 0 else 0):
            if which == reached:
                break
            could = held >= 7 if which == 0 else held >= 5 or (which == 2 and held_reds != 0)
            if (phase[p, which] & _ON) != 0 and could:
                reached = which
                break
        for which in range(CONDITIONS):
            truth = which == reached
            on = (phase[p, which] & _ON) != 0
            turned[i, which] = 0
            if truth == on:
                if on and told[p, 0] < 0:
                    told[p, 0], told[p, 1] = total, reds
                elif on and (total >= int(told[p, 0]) + _WORSE or (reds & ~int(told[p, 1])) != 0):
                    if (phase[p, which] & _WORSENING) == 0:
                        since[p, which] = now
                        phase[p, which] = _ON | _WORSENING
                        continue
                    if now - since[p, which] < _WORSE_HOLD_US:
                        continue
                    told[p, 0], told[p, 1] = total, reds
                    turned[i, which] = WORSENS
                    speaks = True
                phase[p, which] = _ON if on else 0
                continue
            if (phase[p, which] & _WAITING) == 0:
                since[p, which] = now
            if now - since[p, which] < _HOLD_US:
                phase[p, which] = (_ON if on else 0) | _WAITING
                continue
            phase[p, which] = _ON if truth else 0
            turned[i, which] = BEGINS if truth else ENDS
            speaks = True
            if truth:
                told[p, 0], told[p, 1] = total, reds
        speak[i] = speaks
        if speaks:
            scored[p] = now


@kernel()
def evaluate(
    numbers: I8, now: int, slot: I4, state: F8, judged: F8, limit: F8, limits: U1, oxygen: F8, oxygen_time: I8,
    consciousness: F8, consciousness_time: I8, scale2: U1, parts: I1, known_parts: I1, stale: U1, scored: I8, phase: U1,
    since: I8, told: I1, agreement: F8, sources: I8, paired: I8, forgotten: F8, stale_after: F8, value: F8, age: F8,
    prescribed: B1, fresh: I1, speak: B1, turned: I1,
) -> None:  # fmt: skip
    """Score distinct patients ``numbers`` at ``now`` (µs) and store parts, staleness, phases and times in the bank.

    Also written, with a row per patient: ``age`` as in ``gather``, ``fresh`` parts (patients, 7), ``speak`` if the
    score changed or is due again, and ``turned`` (patients, 3): ``BEGINS``, ``WORSENS`` or ``ENDS`` for a condition,
    else 0. ``value`` (7, patients) and ``prescribed`` (patients) are scratch.
    """
    gather(
        numbers, now, slot, state, judged, limit, limits, oxygen, oxygen_time, consciousness, consciousness_time, agreement,
        sources, paired, forgotten, value, age,
    )  # fmt: skip
    for i in range(len(numbers)):
        prescribed[i] = scale2[numbers[i]] != 0
    # The rows of value are in the order of news2.PARAMETERS, as are the columns there.
    news2.score_parts(value[0], value[1], value[2], value[3], value[4], value[5], value[6], prescribed, fresh)
    _settle(numbers, now, fresh, age, stale_after, parts, known_parts, stale, scored, phase, since, told, speak, turned)
