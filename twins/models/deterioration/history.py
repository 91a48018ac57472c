"""How a NEWS2 total has changed in two hours: its rise above the lowest total at the end of the last quarters of an hour.

Only totals of the same inputs are compared: an input that was missing before, or is missing now, is no change of the
patient. A total within the present quarter is not yet compared with, so noise within minutes is no rise.
"""

from twins.arrays import I1, I8, U1, U4
from twins.compiled.jit import kernel

__all__ = ["QUARTERS", "WITHIN_S", "note"]

QUARTERS = 8
_QUARTER_US = 900_000_000
WITHIN_S = QUARTERS * _QUARTER_US // 1_000_000
_NONE = -1


@kernel()
def note(numbers: I8, now: int, parts: I1, past: I1, inputs: U1, begun: U4, rise: I1) -> None:
    """Store the totals of ``numbers`` at ``now`` (µs) and write their ``rise``; -1 if there is nothing to compare with.

    ``parts`` (patients, 7) are the points, -1 for missing. ``past`` and ``inputs`` (patients, 8) have the last total of
    each quarter (-1: none) and which inputs it had, a bit each; ``begun`` is the newest quarter that has one.
    """
    quarter = now // _QUARTER_US
    for i in range(len(numbers)):
        p = numbers[i]
        total = known = 0
        for column in range(parts.shape[1]):
            if parts[p, column] >= 0:
                total += parts[p, column]
                known |= 1 << column
        if known == 0:
            rise[p] = _NONE
            continue
        passed = quarter - int(begun[p])
        if passed != 0:
            for back in range(min(passed, QUARTERS) if passed > 0 else QUARTERS):
                past[p, (quarter - back) % QUARTERS] = _NONE
            begun[p] = quarter
        lowest = _NONE
        for k in range(QUARTERS):
            before = past[p, k]
            if k != quarter % QUARTERS and before >= 0 and inputs[p, k] == known and (lowest < 0 or before < lowest):
                lowest = before
        rise[p] = _NONE if lowest < 0 else max(total - lowest, 0)
        if past[p, quarter % QUARTERS] != total or inputs[p, quarter % QUARTERS] != known:
            past[p, quarter % QUARTERS] = total
            inputs[p, quarter % QUARTERS] = known
