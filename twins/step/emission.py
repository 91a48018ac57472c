"""Who is spoken of when: a patient's estimates go out at most once a second, at once where an alarm has turned."""

from collections.abc import Set as AbstractSet

import numpy as np

from twins.arrays import I8, U1
from twins.bank.bank import Bank
from twins.models.deterioration.scoring import ABOUT

__all__ = ["due", "due_by_time"]


EMIT_US = 1_000_000
"""A patient's estimates go out at most this often; the first change goes at once."""
_OLD_US = 20_000_000
"""A patient nobody has spoken of for so long is scored again by ticks: inputs grow old by themselves."""


def due(bank: Bank, touched: I8, urgent: AbstractSet[int], now: int) -> I8:
    """Which of the touched patients may speak now; the others are marked to wait for their second."""
    speak = now - bank.emitted[touched] >= EMIT_US
    if urgent:
        speak |= np.isin(touched, np.fromiter(urgent, np.int64))
    if np.count_nonzero(speak) == len(speak):
        return touched
    bank.pending[touched[~speak]] = 1
    return touched[speak]


def due_by_time(bank: Bank, live: U1, urgent: AbstractSet[int], now: int) -> I8:
    """Which of the ``live`` patients time alone makes speak: what waited for its second, scores growing old."""
    count = bank.patients
    here = live[:count] != 0
    waiting = here & (bank.pending[:count] != 0) & (now - bank.emitted[:count] >= EMIT_US)
    # Who is spoken of anyway is scored anyway: only what no frame has touched for a while grows old here.
    silent = now - np.maximum(bank.scored[:count], bank.emitted[:count]) >= _OLD_US
    old = np.zeros(count, bool)
    (candidates,) = (here & silent).nonzero()
    old[candidates] = (bank.parts[candidates] >= 0).any(axis=1)
    phase = bank.score_phase[:count]
    held = here & (((phase[:, 0] | phase[:, 1] | phase[:, 2]) & ABOUT) != 0)
    if urgent:
        waiting[list(urgent)] = True
    numbers: I8 = (waiting | old | held).nonzero()[0]
    return numbers
