"""Whose estimates go out when, and what goes out: predictions, scores and estimates.

A patient's estimates go out at most once a second, at once where an alarm has turned.
"""

from collections.abc import Set as AbstractSet

import numpy as np

from twins.alarms import agreement, explain
from twins.alarms.conditions import SCORE_CONDITIONS
from twins.arrays import I8, U1
from twins.bank import layout
from twins.bank.bank import Bank
from twins.models.deterioration import model as deterioration
from twins.models.deterioration import scoring as kernel
from twins.models.deterioration.scoring import ABOUT
from twins.step import retraction, site_models, walk
from twins.step.effects import Effects
from twins.step.estimates import estimates_of

__all__ = ["due", "due_by_time", "emit", "score"]


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


def emit(effects: Effects, numbers: I8) -> None:
    """Predictions, scores and estimates of the patients that are due."""
    bank = effects.bank
    if not len(numbers):
        return
    rows = walk.due_rows(numbers, bank.slot, bank.watch)
    effects.noted = False
    at = 0
    while at < len(rows):
        at = walk.predictions(
            at, rows, effects.now, bank.signal_of_row, bank.state, bank.judged, bank.stretch, bank.watch, bank.ring,
            bank.limit, bank.phase, bank.since, layout.PARAMETERS, bank.scratch, effects.events, effects.counts,
        )  # fmt: skip
        effects.raised()
    _compare(effects, numbers)
    score(effects, numbers)
    if effects.wrong:
        _rescored(effects)
    if effects.noted:
        # Events mark their rows dirty again; they go out here, so they are clean.
        bank.watch[rows, layout.DIRTY] = 0.0
    bank.emitted[numbers] = effects.now
    bank.pending[numbers] = 0
    if len(rows):
        effects.outcome.estimates = estimates_of(bank, rows, effects.now)
    if bank.models and (told := site_models.outputs_of(bank, numbers, effects.now)):
        effects.outcome.outputs = told


def _compare(effects: Effects, numbers: I8) -> None:
    """Where two sources of one quantity stand against each other."""
    bank = effects.bank
    at = 0
    while at < len(numbers):
        at = agreement.compare(
            at, numbers, effects.now, bank.slot, bank.state, bank.watch, bank.ring, bank.phase, layout.PARAMETERS,
            bank.agreement, effects.events, effects.counts,
        )  # fmt: skip
        effects.raised()


def score(effects: Effects, numbers: I8) -> None:
    """NEWS2 of ``numbers`` and what it alarms; those not to be scored are left out."""
    off = effects.bank.unscored[numbers]
    if np.count_nonzero(off):
        numbers = numbers[off == 0]
    scores, events = deterioration.evaluate(effects.bank, numbers, effects.now)
    effects.outcome.scores.extend(scores)
    for number, which, turn, score in events:
        condition, total = SCORE_CONDITIONS[which], float(score.total)
        if turn == kernel.ENDS:
            effects.end(number, condition.name, -1, effects.now, total)
            continue
        limit, why = (7.0, 5.0, None)[which], explain.of_score(score)
        if turn == kernel.WORSENS:
            effects.worsen(number, condition, -1, effects.now, total, limit, why)
        else:
            effects.begin(number, condition, -1, effects.now, condition.priority, total, limit, why)


def _rescored(effects: Effects) -> None:
    """Let alarms of scores go that rested on readings that turned out to be wrong."""
    for (number, code), reason in effects.wrong.items():
        for over in retraction.scores_over(effects.bank, number, code):
            if over.never:
                effects.withdraw(over.key, reason)
            else:
                effects.end(*over.key, effects.now)
