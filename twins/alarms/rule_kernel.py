"""The rules of a site over the patients that are due: three-valued truths, waits, and counts in a window.

A truth is false, true or unknown. A missing, silent, faulty or too old input makes a term unknown. Unknown begins no
alarm, ends none, and stops the clock of a wait.
"""

import math

from twins.alarms.rule_language import AND, ESTIMATE, NEWS2, NEWS2_PART, NOT, QUALITY, READING, TERM
from twins.alarms.rules import CLEARING, COUNTED, IS_ON, WAITING
from twins.alarms.sensor_faults import silence_us
from twins.arrays import F8, I1, I4, I8, U1, U4
from twins.bank.layout import (
    A_HIGH,
    A_LOW,
    COUNT,
    FAULT,
    LAG,
    LAST,
    M0,
    ON,
    RECENT_LEAST_US,
    SILENT,
    VALUE,
)  # fmt: skip
from twins.bank.layout import QUALITY as S_QUALITY
from twins.bank.layout import TREND as S_TREND
from twins.compiled.jit import kernel
from twins.models.deterioration.scoring import HIGHEST, PARAMETERS

__all__ = [
    "BEGINS", "ENDS", "FALSE", "KNOWN", "NOT_KNOWN", "TRUE", "UNKNOWN", "evaluate",
    "operand", "truth_of",
]  # fmt: skip

FALSE, TRUE, UNKNOWN = 0, 1, 2
BEGINS, ENDS, NOT_KNOWN, KNOWN = 1, -1, 2, 3
"""How a rule changed; the last two are of a rule that is on: its alarm stays, and it is (not) known whether it is true."""
FORGET_US = 300_000_000
"""A wait starts again after being unknown for longer than this."""


@kernel()
def _channel(  # noqa: PLR0911 - one reason after the other why it is unknown
    kind: int, row: int, now: int, state: F8, watch: F8, judged: F8, limit: F8, phase: U1, parameter: F8
) -> float:  # fmt: skip
    """The value of one channel that a term reads, NaN if it is unknown."""
    if row < 0 or not state[row, LAST] > 0.0 or phase[row, SILENT] == ON:
        return math.nan
    age = now - state[row, LAST] - judged[row, LAG]
    if age > max(silence_us(watch[row], limit[row]), RECENT_LEAST_US):
        return math.nan
    if kind == QUALITY:
        return float(state[row, S_QUALITY])
    if phase[row, FAULT] == ON:
        return math.nan
    if kind == READING:
        value = state[row, VALUE]
        return float(value) if value >= parameter[A_LOW] and value <= parameter[A_HIGH] else math.nan
    if not state[row, COUNT] > 0.0:
        return math.nan
    return float(state[row, M0]) if kind == ESTIMATE else 60.0 * float(state[row, S_TREND])


@kernel()
def operand(
    kind: int, code: int, p: int, now: int, slot: I4, state: F8, watch: F8, judged: F8, limit: F8, phase: U1,
    parameters: F8, parts: I1, unscored: U1, rise: I1,
) -> tuple[float, float]:  # fmt: skip
    """The least and the most that a value can be, NaN if it is unknown; they differ for a partial NEWS2."""
    if kind <= QUALITY:
        value = _channel(kind, slot[p, code], now, state, watch, judged, limit, phase, parameters[code])
        return value, value
    if unscored[p] != 0:
        return math.nan, math.nan
    if kind == NEWS2_PART:
        part = float(parts[p, code]) if parts[p, code] >= 0 else math.nan
        return part, part
    if kind == NEWS2:
        least = most = 0
        for column in range(PARAMETERS):
            part = int(parts[p, column])
            least += max(part, 0)
            most += part if part >= 0 else HIGHEST[column]
        return float(least), float(most)
    change = float(rise[p]) if rise[p] >= 0 else math.nan
    return change, change


@kernel(forceinline=True)
def _compare(compare: int, value: float, bound: float) -> bool:
    if compare == 0:
        return value < bound
    if compare == 1:
        return value <= bound
    return value > bound if compare == 2 else value >= bound


@kernel(forceinline=True)
def truth_of(compare: int, least: float, most: float, bound: float) -> int:
    """The truth of a comparison of a value between ``least`` and ``most``."""
    if math.isnan(least):
        return UNKNOWN
    first, last = _compare(compare, least, bound), _compare(compare, most, bound)
    if first != last:
        return UNKNOWN
    return TRUE if first else FALSE


@kernel()
def _truth(
    begin: int, end: int, operations: F8, p: int, now: int, slot: I4, state: F8, watch: F8, judged: F8, limit: F8, phase: U1,
    parameters: F8, parts: I1, unscored: U1, rise: I1,
) -> int:  # fmt: skip
    """Run one program; its stack is a number with two bits an entry."""
    stack = 0
    for at in range(begin, end):
        operation = int(operations[at, 0])
        if operation == TERM:
            least, most = operand(
                int(operations[at, 1]), int(operations[at, 2]), p, now, slot, state, watch, judged, limit, phase, parameters,
                parts, unscored, rise,
            )  # fmt: skip
            stack = stack << 2 | truth_of(int(operations[at, 3]), least, most, operations[at, 4])
            continue
        top = stack & 3
        if operation == NOT:
            stack = stack >> 2 << 2 | (UNKNOWN if top == UNKNOWN else 1 - top)
            continue
        below = stack >> 2 & 3
        decides = FALSE if operation == AND else TRUE
        truth = 1 - decides
        if top == decides or below == decides:  # noqa: PLR1714 - a kernel compares numbers
            truth = decides
        elif top == UNKNOWN or below == UNKNOWN:  # noqa: PLR1714
            truth = UNKNOWN
        stack = stack >> 4 << 2 | truth
    return stack & 3


@kernel()
def _settle(
    truth: int, now: int, wait: float, bit: int, p: int, c: int, phase: U1, before: U1, since: I8, moved: I8
) -> bool:  # fmt: skip
    """Whether ``truth`` has been true for ``wait`` µs. ``bit`` of the phase says that it waits; unknown stops the clock."""
    was = before[p, c]
    if truth != was:
        if was == UNKNOWN and truth == TRUE and (phase[p, c] & bit) != 0:
            unknown = now - moved[p, c]
            since[p, c] = now if unknown > FORGET_US else since[p, c] + unknown
        before[p, c] = truth
        moved[p, c] = now
    if truth == FALSE:
        phase[p, c] &= ~bit & 0xFF
        return False
    if truth == UNKNOWN:
        return False
    if (phase[p, c] & bit) == 0:
        phase[p, c] |= bit
        since[p, c] = now
    return bool(now - since[p, c] >= wait)


@kernel()
def _counted(times: int, window: float, now: int, happened: I8, new: bool) -> bool:  # noqa: FBT001
    """Whether so many occurrences lie in the window, after adding one if it is ``new``."""
    if new:
        for at in range(len(happened) - 1, 0, -1):
            happened[at] = happened[at - 1]
        happened[0] = now
    found = 0
    for at in range(len(happened)):
        if happened[at] != 0 and now - happened[at] <= window:
            found += 1
    return found >= times


@kernel()
def evaluate(
    numbers: I8, now: int, force: U4, operations: F8, spans: I8, figures: F8, columns: I8, slot: I4, state: F8, watch: F8,
    judged: F8, limit: F8, phase: U1, parameters: F8, parts: I1, unscored: U1, rise: I1, r_phase: U1, r_truth: U1,
    r_since: I8, r_moved: I8, r_happened: I8, turned: I1,
) -> int:  # fmt: skip
    """Judge the rules of ``numbers``; ``turned`` (numbers, rules) receives how each changed, 0 for not at all.

    ``force`` (numbers) has a bit per rule that is in force for the patient now. A rule that is no longer in force ends.
    ``columns`` are the rules' columns in the states. Returns how many changed.
    """
    changed = 0
    for i in range(len(numbers)):
        p = numbers[i]
        for r in range(len(spans)):
            c = columns[r]
            turned[i, r] = 0
            if (force[i] >> r & 1) == 0:
                if r_phase[p, c] != 0 or r_moved[p, c] != 0:
                    if (r_phase[p, c] & IS_ON) != 0:
                        turned[i, r] = ENDS
                        changed += 1
                    r_phase[p, c] = r_truth[p, c] = 0
                    r_since[p, c] = r_moved[p, c] = 0
                    r_happened[p, c, :] = 0
                continue
            on = (r_phase[p, c] & IS_ON) != 0
            before = r_truth[p, c]
            times = int(figures[r, 2])
            if times > 1:
                truth = _truth(
                    spans[r, 0], spans[r, 1], operations, p, now, slot, state, watch, judged, limit, phase, parameters, parts,
                    unscored, rise,
                )  # fmt: skip
                held = _settle(truth, now, figures[r, 0], WAITING, p, c, r_phase, r_truth, r_since, r_moved)
                if truth == FALSE:
                    r_phase[p, c] &= ~COUNTED & 0xFF
                new = held and (r_phase[p, c] & COUNTED) == 0
                if new:
                    r_phase[p, c] |= COUNTED
                enough = _counted(times, figures[r, 3], now, r_happened[p, c], new)
                if not on and new and enough:
                    r_phase[p, c] |= IS_ON
                    turned[i, r] = BEGINS
                    changed += 1
                elif on and not enough and truth == FALSE:
                    r_phase[p, c] &= ~IS_ON & 0xFF
                    turned[i, r] = ENDS
                    changed += 1
                elif on and (before == UNKNOWN) != (truth == UNKNOWN):
                    turned[i, r] = NOT_KNOWN if truth == UNKNOWN else KNOWN
                    changed += 1
                continue
            own = on and spans[r, 3] > spans[r, 2]
            side = 2 if own else 0
            truth = _truth(
                spans[r, side], spans[r, side + 1], operations, p, now, slot, state, watch, judged, limit, phase, parameters,
                parts, unscored, rise,
            )  # fmt: skip
            if on and not own and truth != UNKNOWN:
                truth = 1 - truth
            bit = CLEARING if on else WAITING
            if _settle(truth, now, figures[r, 1 if on else 0], bit, p, c, r_phase, r_truth, r_since, r_moved):
                r_phase[p, c] = 0 if on else IS_ON
                r_truth[p, c] = FALSE
                r_moved[p, c] = now
                turned[i, r] = ENDS if on else BEGINS
                changed += 1
            elif on and (before == UNKNOWN) != (truth == UNKNOWN):
                turned[i, r] = NOT_KNOWN if truth == UNKNOWN else KNOWN
                changed += 1
    return changed
