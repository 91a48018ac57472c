"""A tick: what changes with time alone."""

import numpy as np

from twins.arrays import F8
from twins.bank import layout
from twins.bank.bank import BLOCK
from twins.models.deterioration import eligibility
from twins.records import (
    Tick,
)  # fmt: skip
from twins.step import arrival, devices, emission, past, rules, silencing, walk
from twins.step.effects import Effects, forget_ended
from twins.step.emission import emit
from twins.step.restate import check_ages, check_periods

__all__ = ["pass_time"]


_LATE_TICK_US = 5_000_000


def pass_time(effects: Effects, tick: Tick) -> None:
    """Update silence, delays and ages of scores, and send what waited for its second."""
    bank = effects.bank
    if tick.received < effects.now - _LATE_TICK_US:
        return  # delayed on its way to the log, as readings may be; a tick with the present time follows soon
    if tick.unheard > 0:
        _shift_last_heard(effects, tick.unheard)
    silencing.pass_time(effects)
    forget_ended(bank, effects.now)
    check_periods(effects)
    live = bank.live * bank.active
    at = 0
    waiting: list[F8] = []
    while at < bank.rows:
        at = walk.tick(
            at, bank.rows, effects.now, bank.patient_of_row, bank.signal_of_row, live, layout.PARAMETERS, bank.state,
            bank.watch, bank.ring, bank.limit, bank.judged, bank.mark, bank.phase, bank.since, effects.events, effects.counts,
        )  # fmt: skip
        if effects.counts[0]:
            waiting.append(effects.events[: effects.counts[0]].copy())
    effects.raised_by_time(waiting)
    effects.clocks(arrival.settled(bank, effects.now))
    if bank.unsettled:
        effects.add_past_episodes(past.settled(bank, effects.now))
    if effects.now // eligibility.DAY_US != bank.day:
        check_ages(effects)
    effects.escalate()
    numbers = emission.due_by_time(bank, live, effects.urgent, effects.now)
    bank.dirty.update((numbers // BLOCK).tolist())
    emit(effects, numbers)
    rules.pass_time(effects, live, numbers)
    devices.unheard(effects, live)


def _shift_last_heard(effects: Effects, unheard: int) -> None:
    """Nothing could be received for ``unheard`` µs: treat every channel as heard that much later."""
    bank = effects.bank
    rows = np.flatnonzero(bank.watch[: bank.rows, layout.RECEIVED] > 0.0)
    rows = rows[bank.live[bank.patient_of_row[rows]] > 0]
    bank.watch[rows, layout.RECEIVED] = np.minimum(bank.watch[rows, layout.RECEIVED] + unheard, effects.now)
    bank.dirty.update((bank.patient_of_row[rows] // BLOCK).tolist())
