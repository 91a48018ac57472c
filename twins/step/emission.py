"""Which patients' estimates are sent when, and what is sent: predictions, scores and estimates.

A patient's estimates are sent at most once a second, but at once if an alarm has changed.
"""

from collections.abc import Set as AbstractSet

import numpy as np

from twins.alarms import agreement, explain, trends
from twins.alarms.conditions import SCORE_CONDITIONS
from twins.arrays import I8, U1
from twins.bank import layout
from twins.bank.bank import Bank
from twins.models.deterioration import model as deterioration
from twins.models.deterioration import scoring as kernel
from twins.models.deterioration.scoring import ABOUT
from twins.step import retraction, rules, site_models, walk
from twins.step.effects import Effects
from twins.step.estimates import estimates_of

__all__ = ["due", "due_by_time", "emit", "score"]


EMIT_US = 1_000_000
"""A patient's estimates are sent at most this often; the first change is sent at once."""
_OLD_US = 20_000_000
"""A patient without outcomes for this long is scored again by ticks, because the ages of inputs change with time."""


def due(bank: Bank, touched: I8, urgent: AbstractSet[int], now: int) -> I8:
    """Which of the touched patients are due now; the others are marked to wait for their second."""
    in_order = np.array(sorted(urgent), np.int64)
    numbers: I8 = walk.due_patients(touched, bank.emitted, bank.pending, in_order, now - EMIT_US)
    return numbers


def due_by_time(bank: Bank, live: U1, urgent: AbstractSet[int], now: int) -> I8:
    """Which of the ``live`` patients are due by time alone: they waited for their second, or their scores became older."""
    count = bank.patients
    here = live[:count] != 0
    waiting = here & (bank.pending[:count] != 0) & (now - bank.emitted[:count] >= EMIT_US)
    # Patients that are due anyway are scored anyway. Here are only those that no frame has touched for a while.
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
    """Send predictions, scores and estimates of the patients that are due."""
    bank = effects.bank
    if not len(numbers):
        return
    rows = walk.due_rows(numbers, bank.slot, bank.watch)
    effects.noted = False
    at = 0
    while at < len(rows):
        at = walk.predictions(
            at, rows, effects.now, bank.signal_of_row, bank.state, bank.judged, bank.stretch, bank.watch, bank.ring,
            bank.limit, bank.phase, bank.since, bank.awaiting, bank.stated, bank.offsets, bank.warned, bank.warned_at,
            layout.PARAMETERS, bank.scratch, effects.events, effects.counts,
        )  # fmt: skip
        effects.raised()
    at = 0
    while at < len(rows):
        at = trends.judge(
            at, rows, bank.rate, bank.rate_since, bank.rate_phase, bank.state, bank.watch, bank.ring, bank.limit, bank.phase,
            effects.events, effects.counts,
        )  # fmt: skip
        effects.raised()
    _compare(effects, numbers)
    score(effects, numbers)
    if effects.wrong:
        _rescored(effects)
    rules.judge(effects, numbers)
    if effects.noted:
        # Events mark their rows dirty again; they are sent here, so they are clean.
        bank.watch[rows, layout.DIRTY] = 0.0
    bank.emitted[numbers] = effects.now
    bank.pending[numbers] = 0
    if len(rows):
        effects.outcome.estimates = estimates_of(bank, rows, effects.now)
    if bank.models and (told := site_models.outputs_of(bank, numbers, effects.now)):
        effects.outcome.outputs = told


def _compare(effects: Effects, numbers: I8) -> None:
    """Compare two sources of one quantity."""
    bank = effects.bank
    at = 0
    while at < len(numbers):
        at = agreement.compare(
            at, numbers, effects.now, bank.slot, bank.state, bank.watch, bank.ring, bank.phase, layout.PARAMETERS,
            bank.agreement, effects.events, effects.counts,
        )  # fmt: skip
        effects.raised()


def score(effects: Effects, numbers: I8) -> None:
    """Score ``numbers`` and update the alarms of their scores; patients who are not scored are left out."""
    off = effects.bank.unscored[numbers]
    if np.count_nonzero(off):
        numbers = numbers[off == 0]
    scores, events = deterioration.evaluate(effects.bank, numbers, effects.now)
    effects.outcome.scores.extend(scores)
    # A higher level begins before a lower one ends, and the reverse, so that they are one alarm.
    for number, which, turn, score in sorted(events, key=lambda event: event[2] == kernel.ENDS):
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
    """Withdraw alarms of scores that were based on readings now known to be wrong."""
    for (number, code), reason in effects.wrong.items():
        for over in retraction.scores_over(effects.bank, number, code):
            if over.never:
                effects.withdraw(over.key, reason, [over.condition])
            else:
                effects.end(number, over.condition, -1, effects.now)
