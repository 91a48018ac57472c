"""The effects of one record so far: its outcome, and the alarms that changed."""

from collections.abc import Collection, Iterable
from typing import Any

import numpy as np

from twins.alarms import escalation, explain, grouping, lifecycle, off, silencing
from twins.alarms.active import Key
from twins.alarms.conditions import CHANNEL_CONDITIONS, RANK, Condition, family_of, priority_of
from twins.arrays import F8
from twins.bank import layout
from twins.bank.bank import Bank
from twins.bank.memory import Withheld
from twins.records import (
    Outcome,
    Transition,
)  # fmt: skip
from twins.signals import BY_NAME, SIGNALS
from twins.step import arrival, retraction

__all__ = ["Effects", "fold_us", "forget_ended"]

_SILENT, _FAULT = CHANNEL_CONDITIONS[layout.SILENT].name, CHANNEL_CONDITIONS[layout.FAULT].name
_SIDES = ("low", "high", "rate.falling", "rate.rising")


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
        if not self.counts[0]:
            return
        self.noted = True
        events = self.events[: int(self.counts[0])]
        judged = events[:, layout.E_CONDITION] == layout.JUDGED_CHANCE
        if judged.any():
            self.judged.append(events[judged])
            events = events[~judged]
        self._apply(events)

    def raised_by_time(self, waiting: list[F8]) -> None:
        """Apply events of a walk over all rows, in the order of patients and signals.

        The order of rows in memory has no meaning, and which of two alarms goes under the other must not depend on it.
        """
        if not waiting:
            return
        self.noted = True
        events = np.concatenate(waiting)
        rows = events[:, layout.E_ROW].astype(np.int64)
        self._apply(events[np.lexsort((self.bank.signal_of_row[rows], self.bank.patient_of_row[rows]))])

    def _apply(self, events: F8) -> None:
        bank = self.bank
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

    def key(self, number: int, condition: str, code: int) -> Key:
        """The key of the alarm that ``condition`` is a level of."""
        alone = (number, condition, code)
        # An earlier version made an alarm of every condition. Such an alarm keeps its key until it is over.
        return alone if alone in self.bank.alarms else (number, family_of(condition), code)

    def begin(  # noqa: PLR0917 - everything an alarm is
        self, number: int, condition: Condition, code: int, time: int, priority: str, value: float | None,
        limit: float | None, explanation: dict[str, Any], text: dict[str, str] | None = None,
    ) -> None:  # fmt: skip
        """A condition became true: its alarm begins, recurs within its episode, or rises. ``text`` is that of a rule."""
        profile = self.bank.profile(number)
        if profile.alarms_off and off.off_of(profile, condition, code):
            self.withhold(number, code, Withheld(
                condition=condition, priority=priority, value=value, limit=limit, explanation=explanation, text=text or {}
            ))  # fmt: skip
            return
        condition = self.bank.policies.of(profile.ward).applied(condition)
        key = self.key(number, condition.name, code)
        alarm = self.bank.alarms.get(key) or self._again(key, time) or self._new(key, condition, priority, time)
        self.bank.alarms[key] = alarm
        lifecycle.note_value(
            alarm, value if value is None or np.isfinite(value) else None, falling=condition.side == "low"
        )
        if text is not None:
            alarm.text = text
        ward = profile.ward
        begins = not alarm.levels
        if begins:
            alarm.under = ""
            silencing.follow(alarm, profile.audio_pause, profile.alarm_pause)
        transition = lifecycle.begin(alarm, condition, priority, limit, explanation, ward, time)
        if transition is not None and self._grouped(key, alarm, begins=begins):
            transition = lifecycle.snapshot(alarm, ward)
        self.add_transition(number, transition)
        if condition.name in (_SILENT, _FAULT):
            self._measured(number, code, time)

    def _new(self, key: Key, condition: Condition, priority: str, time: int) -> lifecycle.Alarm:
        patient, signal = self.bank.profile(key[0]).patient, SIGNALS[key[2]].name if key[2] >= 0 else ""
        return lifecycle.Alarm(
            id=lifecycle.episode(patient, condition.family, signal, time),
            patient=patient, condition=condition.name, family=condition.family, signal=signal, kind=condition.kind,
            priority=priority, presence="off", onset=time, time=time,
        )  # fmt: skip

    def _again(self, key: Key, time: int) -> lifecycle.Alarm | None:
        """The alarm of this key that ended within the fold time before ``time``."""
        alarm = self.bank.ended.pop(key, None)
        return alarm if alarm is not None and time - alarm.ended <= fold_us(self.bank, key[0]) else None

    def worsen(  # noqa: PLR0917 - what is new of an alarm
        self, number: int, condition: Condition, code: int, time: int, value: float, limit: float | None,
        explanation: dict[str, Any],
    ) -> None:  # fmt: skip
        """A condition that is on became clearly worse: its alarm reports it, and sounds again if it was acknowledged."""
        withheld = self.bank.withheld.get((number, condition.name, code))
        if withheld is not None:
            withheld.value, withheld.limit, withheld.explanation = value, limit, explanation
            self.bank.touch(number)
            return
        alarm = self.bank.alarms.get(self.key(number, condition.name, code))
        if alarm is None or not alarm.standing:
            return
        lifecycle.note_value(alarm, value, falling=condition.side == "low")
        ward = self.bank.profile(number).ward
        self.add_transition(number, lifecycle.worsen(alarm, condition.name, limit, explanation, ward, time))

    def end(self, number: int, condition: str, code: int, time: int, value: float | None = None) -> None:
        """A condition is no longer true."""
        if self.bank.withheld.pop((number, condition, code), None) is not None:
            self.bank.touch(number)
            return
        key = self.key(number, condition, code)
        alarm = self.bank.alarms.get(key)
        if alarm is None:
            return
        reason = self.wrong.get((number, code))
        if reason and not (alarm.latches and retraction.stands(self.bank, self.row(key), alarm)):
            self.withdraw(key, reason, [condition])
            return
        self.add_transition(number, lifecycle.end(alarm, condition, self.bank.profile(number).ward, time, value))
        if alarm.presence == "off":
            self.remove(key, time, again=True)
        if condition in (_SILENT, _FAULT):
            self._measured(number, code, time)

    def remove(self, key: Key, time: int, *, again: bool = False) -> None:
        """Remove an alarm that is off; those under it show by themselves. ``again``: it may continue if it recurs."""
        alarm = self.bank.alarms[key]
        del self.bank.alarms[key]
        if again:
            self.bank.ended.pop(key, None)
            self.bank.ended[key] = alarm
        self._lead_is_over(key[0], alarm, time)

    def _lead_is_over(self, number: int, lead: lifecycle.Alarm, time: int) -> None:
        """Show the oldest alarm that was under ``lead`` by itself, and the others under it."""
        ward = self.bank.profile(number).ward
        for key, alarm in grouping.members(self.bank, number, lead):
            alarm.under = ""
            successor = grouping.lead_of(self.bank, key, alarm)
            alarm.under = lead.id
            self.add_transition(number, lifecycle.group(alarm, successor, ward, time))
            if successor is None and lead.by and lead.event == "ended" and alarm.presence == "on":
                # Whoever acknowledged the lead has seen the cause of this alarm too.
                self.acknowledge(number, alarm, lead.by, lead.note, time)

    def acknowledge(self, number: int, alarm: lifecycle.Alarm, by: str, note: str, time: int) -> None:
        """Somebody has acknowledged an alarm; the policy says when it sounds again."""
        ward = self.bank.profile(number).ward
        priority = max((level.priority for level in alarm.levels.values()), key=RANK.__getitem__, default="")
        remind = self.bank.policies.of(ward).remind_us(priority)
        self.add_transition(number, lifecycle.acknowledge(alarm, ward, time, by, note, remind))

    def close(self, key: Key, event: str) -> None:
        """End an alarm for good: ``turned_off``."""
        alarm = self.bank.alarms[key]
        self.add_transition(key[0], lifecycle.close(alarm, event, self.bank.profile(key[0]).ward, self.now))
        self.remove(key, self.now)

    def withhold(self, number: int, code: int, withheld: Withheld) -> None:
        """Remember a condition that is true while its alarm is turned off."""
        self.bank.withheld[number, withheld.condition.name, code] = withheld
        self.bank.touch(number)

    def _grouped(self, key: Key, alarm: lifecycle.Alarm, *, begins: bool) -> bool:
        """Put an alarm that begins under its lead, and take out one that became more than its lead says; whether it moved."""
        before = alarm.under
        if begins:
            lead = grouping.lead_of(self.bank, key, alarm)
            alarm.under = lead.id if lead else ""
        elif before and not grouping.still_under(self.bank, key, alarm):
            alarm.under = ""
        return alarm.under != before

    def _measured(self, number: int, code: int, time: int) -> None:
        """Mark the limit alarms of a channel as known or unknown, after its sensor's alarms have changed.

        They are unknown while the sensor is silent, or gives values that no patient can have.
        """
        alarms = self.bank.alarms
        fault = alarms.get((number, _FAULT, code))
        known = (number, _SILENT, code) not in alarms and (
            fault is None or not fault.standing or fault.explanation["fault"]["reason"] != "implausible"
        )
        for key in ((number, side, code) for side in _SIDES):
            if key in alarms:
                ward = self.bank.profile(number).ward
                self.add_transition(number, lifecycle.set_known(alarms[key], known, ward, time))

    def row(self, key: Key) -> int:
        """The channel of an alarm."""
        return int(self.bank.slot[key[0], key[2]])

    def withdraw(self, key: Key, reason: str, names: Collection[str]) -> None:
        """The readings behind these conditions of an alarm were wrong; without other conditions, it ends for good."""
        alarm, ward = self.bank.alarms[key], self.bank.profile(key[0]).ward
        for which, condition in enumerate(CHANNEL_CONDITIONS[: layout.CONDITIONS]):
            if condition.name in names:
                self.bank.phase[self.row(key), which] = layout.IDLE
        if alarm.levels.keys() - set(names):
            for name in names:
                self.add_transition(key[0], lifecycle.forget(alarm, name, ward, self.now))
            return
        self.add_transition(key[0], lifecycle.withdraw(alarm, ward, self.now, reason))
        self.remove(key, self.now)

    def add_transition(self, number: int, transition: Transition | None) -> None:
        """Add a transition to the outcome; the estimates of its patient are sent with it."""
        if transition is not None:
            transition.emitted = self.now
            self.outcome.notices += escalation.follow(self.bank, number, transition, self.now)
            self.outcome.transitions.append(transition)
            self.urgent.add(number)
            code = BY_NAME[transition.signal].code if transition.signal in BY_NAME else -1
            self.bank.alarms.note((number, transition.family, code))

    def escalate(self) -> None:
        """Call the next ones for the alarms that nobody has answered in time."""
        for key in escalation.due(self.bank, self.now):
            transition, notice = escalation.call(self.bank, key, self.now)
            self.add_transition(key[0], transition)
            if notice is not None:
                self.outcome.notices.append(notice)
            self.bank.touch(key[0])

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


def forget_ended(bank: Bank, now: int) -> None:
    """Forget alarms that ended so long ago that their condition would begin a new one."""
    if bank.ended:
        bank.ended = {key: alarm for key, alarm in bank.ended.items() if now - alarm.ended <= fold_us(bank, key[0])}


def fold_us(bank: Bank, number: int) -> int:
    """How long after its end (µs) an alarm of this patient continues if its condition becomes true again."""
    return int(bank.policies.of(bank.profile(number).ward).fold_s * 1e6)
