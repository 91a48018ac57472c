"""Escalation: who is called next while nobody answers an alarm.

The state is in the alarm: ``step`` counts the calls so far, ``escalates_at`` is when the next is due. It moves only with
the records of the log, so a restart, another worker or a clock that jumps neither loses nor repeats a step: a step is
made once, on the first tick at which it is due, and the next wait starts then.

The wait counts only time in which the condition is true and nobody has answered. An alarm shown under another is not
escalated; the other one is. During a pause of the alarm nothing is due; the wait starts again at the end of the pause. A
latched alarm keeps its calls and waits for the condition. The unknown condition of an alarm is escalated like a true one.
"""

import msgspec

from twins.alarms import lifecycle, schedules
from twins.alarms.active import Key
from twins.alarms.lifecycle import Alarm
from twins.bank.bank import Bank
from twins.records import EscalationStep, Notice, SetEscalation, SetSchedule, Transition

__all__ = ["call", "chain_of", "due", "follow", "resolve"]

_EXPIRES_US = 900_000_000
"""A notice that could not be sent within this time is not sent any more: a later step has called somebody else."""
_NEVER = 1 << 62
_STARTS = frozenset({"began", "recurred", "rose", "worsened", "reminded", "ungrouped"})
_ANEW = frozenset({"rose", "worsened"})


def chain_of(bank: Bank, ward: str, priority: str) -> SetEscalation | None:
    """The chain for alarms of ``priority`` in ``ward``: the ward's own, else that of every ward; ``None`` if there is none."""
    by_key = bank.settings.by_key
    chain = by_key.get(("escalation", ward, priority)) or by_key.get(("escalation", "", priority))
    return chain if isinstance(chain, SetEscalation) else None


def step_at(chain: SetEscalation, step: int) -> tuple[EscalationStep, int] | None:
    """The step after ``step`` calls and its wait (µs); ``None`` if all calls were made.

    >>> chain = SetEscalation(priority="high", steps=[EscalationStep(60, ["role:clinician"])], repeat=1)
    >>> [step_at(chain, made) is not None and step_at(chain, made)[1] for made in (0, 1, 2)]
    [60000000, 300000000, False]
    """
    count = len(chain.steps)
    if not count or step >= count * (max(0, chain.repeat) + 1):
        return None
    there = chain.steps[step % count]
    wait_s = chain.repeat_after_s if step >= count and step % count == 0 else there.after_s
    return there, round(max(0.0, wait_s) * 1e6)


def follow(bank: Bank, number: int, transition: Transition, now: int) -> list[Notice]:
    """Start, stop or leave the escalation of an alarm after a transition, which gets the result; returns cancelled notices."""
    alarm = next((one for _, one in bank.alarms.of(number) if one.id == transition.alarm), None)
    cancelled: list[Notice] = []
    if transition.presence in ("acknowledged", "off") or transition.event in ("taken", "grouped"):
        cancelled = _cancel(bank, number, transition, now)
        if alarm is not None and transition.event in ("taken", "grouped"):
            alarm.escalates_at = 0
    elif alarm is not None and transition.presence == "on" and not alarm.under:
        _start(bank, alarm, transition, now)
        _note(bank, alarm)
    if alarm is not None:
        _show(bank, alarm, transition)
    return cancelled


def _start(bank: Bank, alarm: Alarm, transition: Transition, now: int) -> None:
    event = transition.event
    if event == "resumed" and alarm.escalates_at:
        found = _next(bank, alarm, transition.ward)
        if found is not None:
            alarm.escalates_at = min(alarm.escalates_at, now + found[1])
    if event not in _STARTS or (event == "worsened" and alarm.escalates_at and not alarm.responder):
        return
    if event == "recurred" and (alarm.escalates_at or alarm.step):
        if alarm.escalates_at:
            alarm.escalates_at += max(0, now - alarm.ended)
        return
    before = alarm.escalates_at
    alarm.step, alarm.waits_since, alarm.escalates_at = 0, now, 0
    found = _next(bank, alarm, transition.ward)
    if found is not None:
        alarm.escalates_at = now + found[1]
        if before and event in _ANEW:
            alarm.escalates_at = min(before, alarm.escalates_at)


def _note(bank: Bank, alarm: Alarm) -> None:
    if alarm.escalates_at:
        bank.escalates_next = min(bank.escalates_next, alarm.escalates_at)


def _next(bank: Bank, alarm: Alarm, ward: str) -> tuple[EscalationStep, int] | None:
    chain = chain_of(bank, ward, alarm.priority)
    return step_at(chain, alarm.step) if chain is not None else None


def _show(bank: Bank, alarm: Alarm, transition: Transition) -> None:
    """Write the state of the escalation into a transition of the alarm."""
    waits = alarm.presence == "on" and not alarm.under
    found = _next(bank, alarm, transition.ward) if waits and alarm.escalates_at else None
    transition.step = alarm.step
    transition.escalates_at = alarm.escalates_at if found is not None else 0
    transition.escalates_to = list(found[0].to) if found is not None else []
    transition.called, transition.called_at = alarm.called, alarm.called_at


def due(bank: Bank, now: int) -> list[Key]:
    """The alarms whose next step is due, in the order of patients; costs nothing while none is."""
    if now < bank.escalates_next:
        return []
    found: list[Key] = []
    bank.escalates_next = _NEVER
    for key, alarm in bank.alarms.items():
        if not alarm.escalates_at or alarm.presence != "on" or alarm.under:
            continue
        if alarm.escalates_at <= now and bank.live[key[0]]:
            found.append(key)
        else:
            bank.escalates_next = min(bank.escalates_next, alarm.escalates_at)
    return sorted(found)


def call(bank: Bank, key: Key, now: int) -> tuple[Transition | None, Notice | None]:
    """Make the step that is due of an alarm: its transition, and the notice for those who are called."""
    alarm, ward = bank.alarms[key], bank.profile(key[0]).ward
    chain, found = chain_of(bank, ward, alarm.priority), _next(bank, alarm, ward)
    if chain is None or found is None or now - alarm.waits_since > chain.age_limit_s * 1e6:
        alarm.escalates_at = 0
        return lifecycle.change(alarm, "exhausted", ward, now), None
    if lifecycle.shown(alarm, now).remote == "paused":
        alarm.escalates_at = max(now, alarm.paused_until) + found[1]
        _note(bank, alarm)
        return None, None
    alarm.step += 1
    following = step_at(chain, alarm.step)
    alarm.escalates_at = now + following[1] if following is not None else 0
    _note(bank, alarm)
    people = resolve(bank, found[0].to, now)
    alarm.called, alarm.called_at = [*people, *(one for one in found[0].to if one.startswith("role:"))], now
    transition = lifecycle.change(alarm, "escalated", ward, now)
    if transition is None:
        return None, None
    notice = Notice(
        id=f"{transition.id}-{alarm.step}", alarm=alarm.id, patient=alarm.patient, ward=ward, condition=alarm.condition,
        signal=alarm.signal, priority=alarm.priority, step=alarm.step, to=list(found[0].to), people=people, due=now,
        expires=now + _EXPIRES_US, reason="unanswered", changed=now,
    )  # fmt: skip
    bank.notices.setdefault(key[0], []).append(notice)
    return transition, notice


def resolve(bank: Bank, to: list[str], now: int) -> list[str]:
    """The people whom targets name at ``now``: each person, and whoever is on call. Roles are known only to the doors."""
    people: list[str] = []
    for target in to:
        kind, _, name = target.partition(":")
        schedule = bank.settings.by_key.get(("schedule", name))
        if kind == "person":
            people.append(name)
        elif kind == "schedule" and isinstance(schedule, SetSchedule):
            people += schedules.on_call(schedule, now)
    return list(dict.fromkeys(people))


def _cancel(bank: Bank, number: int, transition: Transition, now: int) -> list[Notice]:
    """Cancel the pending notices of an alarm, in the record that answers it."""
    pending = bank.notices.get(number)
    if not pending:
        return []
    cancelled = [
        msgspec.structs.replace(one, state="cancelled", reason=transition.event, changed=now)
        for one in pending if one.alarm == transition.alarm
    ]  # fmt: skip
    left = [one for one in pending if one.alarm != transition.alarm]
    if left:
        bank.notices[number] = left
    else:
        del bank.notices[number]
    return cancelled
