"""The effects of one record so far: its outcome, and the alarms that changed."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from twins.alarms import explain, lifecycle
from twins.alarms.conditions import CHANNEL_CONDITIONS, Condition, priority_of
from twins.arrays import F8
from twins.bank import layout
from twins.bank.bank import Bank
from twins.records import (
    Outcome,
    Transition,
)  # fmt: skip
from twins.signals import SIGNALS
from twins.step import arrival, retraction

__all__ = ["Effects"]


class Effects:
    """The effects of one record so far."""

    def __init__(self, bank: Bank, now: int, offset: int) -> None:
        self.bank = bank
        self.now = now
        self.outcome = Outcome(partition=bank.partition, offset=offset, time=now)
        self.events = bank.events
        self.counts = np.zeros(1, np.int64)
        self.urgent: set[int] = set()
        self.noted = False
        self.wrong: dict[tuple[int, int], str] = {}
        """Patient and signal of readings that were found to be wrong, with the reason."""
        self.judged: list[F8] = []
        """Events of stated chances that were judged."""

    def raised(self) -> None:
        """Apply the events that a kernel has just written to the alarms."""
        bank = self.bank
        if not self.counts[0]:
            return
        self.noted = True
        events = self.events[: int(self.counts[0])]
        judged = events[:, layout.E_CONDITION] == layout.JUDGED_CHANCE
        if judged.any():
            self.judged.append(events[judged])
            events = events[~judged]
        for event in events:
            row = int(event[layout.E_ROW])
            number, code = int(bank.patient_of_row[row]), int(bank.signal_of_row[row])
            which = int(event[layout.E_CONDITION])
            condition = CHANNEL_CONDITIONS[which]
            time = int(event[layout.E_TIME])
            value = float(event[layout.E_VALUE])
            limit = float(event[layout.E_LIMIT]) if condition.side else None
            if event[layout.E_BEGIN] == layout.ENDS:
                self.end(number, condition.name, code, time, value)
            elif event[layout.E_BEGIN] == layout.WORSENS:
                self.worsen(number, condition, code, time, value, limit, explain.of_event(bank, event))
            else:
                self.begin(
                    number,
                    condition,
                    code,
                    time,
                    priority_of(which, code, value),
                    value,
                    limit,
                    explain.of_event(bank, event),
                )

    def begin(  # noqa: PLR0917 - everything an alarm is
        self, number: int, condition: Condition, code: int, time: int, priority: str, value: float | None,
        limit: float | None, explanation: dict[str, Any],
    ) -> None:  # fmt: skip
        """A condition became true. If its alarm is latched, the alarm comes back on within its episode."""
        profile = self.bank.profile(number)
        signal = SIGNALS[code].name if code >= 0 else ""
        key = (number, condition.name, code)
        alarm = self.bank.alarms.get(key)
        if alarm is None:
            alarm = lifecycle.Alarm(
                id=lifecycle.episode(profile.patient, condition.name, signal, time),
                patient=profile.patient, condition=condition.name, signal=signal, kind=condition.kind, priority=priority,
                presence="on", onset=time, time=time, latches=condition.latches,
            )  # fmt: skip
            self.bank.alarms[key] = alarm
        lifecycle.note_value(
            alarm, value if value is None or np.isfinite(value) else None, falling=condition.side == "low"
        )
        alarm.limit = limit
        alarm.explanation = explanation
        self.add_transition(number, lifecycle.begin(alarm, profile.ward, time))

    def worsen(  # noqa: PLR0917 - what is new of an alarm
        self, number: int, condition: Condition, code: int, time: int, value: float, limit: float | None,
        explanation: dict[str, Any],
    ) -> None:  # fmt: skip
        """A condition that is on became clearly worse: its alarm reports it, and sounds again if it was acknowledged."""
        alarm = self.bank.alarms.get((number, condition.name, code))
        if alarm is None or not alarm.standing:
            return
        lifecycle.note_value(alarm, value, falling=condition.side == "low")
        alarm.limit = limit
        alarm.explanation = explanation
        self.add_transition(number, lifecycle.worsen(alarm, self.bank.profile(number).ward, time))

    def end(self, number: int, condition: str, code: int, time: int, value: float | None = None) -> None:
        """A condition is no longer true."""
        key = (number, condition, code)
        alarm = self.bank.alarms.get(key)
        if alarm is None:
            return
        reason = self.wrong.get((number, code))
        if reason and not (alarm.latches and retraction.stands(self.bank, self.row(key), alarm)):
            self.withdraw(key, reason)
            return
        self.add_transition(number, lifecycle.end(alarm, self.bank.profile(number).ward, time, value))
        if alarm.presence == "off":
            del self.bank.alarms[key]

    def row(self, key: tuple[int, str, int]) -> int:
        """The channel of an alarm."""
        return int(self.bank.slot[key[0], key[2]])

    def withdraw(self, key: tuple[int, str, int], reason: str) -> None:
        """The readings behind an alarm were wrong."""
        alarm = self.bank.alarms.pop(key)
        self.add_transition(key[0], lifecycle.withdraw(alarm, self.bank.profile(key[0]).ward, self.now, reason))
        which = next((at for at, held in enumerate(CHANNEL_CONDITIONS) if held.name == key[1]), -1)
        if 0 <= which < layout.CONDITIONS:
            self.bank.phase[self.row(key), which] = layout.IDLE

    def add_transition(self, number: int, transition: Transition | None) -> None:
        """Add a transition to the outcome; the estimates of its patient are sent with it."""
        if transition is not None:
            transition.emitted = self.now
            self.outcome.transitions.append(transition)
            self.urgent.add(number)

    def add_past_episodes(self, episodes: Iterable[tuple[int, Transition]]) -> None:
        """Add episodes that were over before anybody could be alarmed."""
        for number, transition in episodes:
            if self.bank.live[number]:
                transition.emitted = self.now
                self.outcome.transitions.append(transition)

    def clocks(self, turned: Iterable[arrival.ClockChange]) -> None:
        """Apply what was noticed about senders' clocks to the alarms."""
        condition = CHANNEL_CONDITIONS[layout.CLOCK]
        for clock in turned:
            if clock.apart:
                explanation = explain.of_clock(clock.apart)
                self.begin(
                    clock.number, condition, clock.code, self.now, condition.priority, None, None, explanation
                )  # fmt: skip
            else:
                self.end(clock.number, condition.name, clock.code, self.now)
