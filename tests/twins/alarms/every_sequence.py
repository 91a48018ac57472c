"""Two alarms of one patient, everything that can happen to them, and what must be true after each event.

``walk`` follows every sequence of events up to a depth through the functions of the lifecycle. Sequences that lead to
the same state go on once. What must be true is judged from the events alone: who has answered what, and what is true.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from twins.alarms import lifecycle, silencing
from twins.alarms.conditions import Condition
from twins.alarms.lifecycle import Alarm
from twins.records import Pause, Transition

S = 1_000_000
T0 = 1_700_000_000 * S
REMIND_S, PAUSE_S = 600, 120
LATE = 30 * S
"""Readings may come late: their time is earlier than that of the change before."""
LEVELS = {
    "plain": Condition("plain", "physiological", "medium", group="family", level=1),
    "critical": Condition("critical", "physiological", "high", latches=True, group="family", level=2),
}
OWN = (
    "begin plain", "begin critical", "end plain", "end critical", "worsen", "unknown", "known", "acknowledge", "take",
    "withdraw", "turn off", "pause audio", "pause alarm", "resume audio", "resume alarm",
)  # fmt: skip
OF_BOTH = ("patient pauses audio", "patient pauses alarm", "patient resumes audio", "patient resumes alarm", "discharge",
           "a minute", "eleven minutes")  # fmt: skip
EVENTS = (*(f"{name}: {what}" for name in "AB" for what in OWN), "B under A", "B by itself", *OF_BOTH)


@dataclass
class Known:
    """What an observer of the events alone knows of one alarm."""

    true: frozenset[str] = frozenset()
    latch: str = ""
    """The highest level that latches and was true since the last answer."""
    answered: bool = False
    quiet: dict[str, int] = field(default_factory=lambda: {"audio": 0, "alarm": 0})
    """Until when somebody silenced what is present now."""
    follows: dict[str, int] = field(default_factory=lambda: {"audio": 0, "alarm": 0})
    """Until when the alarm follows a pause of the patient; not one from which somebody has taken it out."""


@dataclass
class Patient:
    """Two alarms, the pauses of their patient, and what the observer knows."""

    now: int
    alarms: dict[str, Alarm]
    seen: dict[str, Known]
    pauses: dict[str, int]


def fresh(name: str, now: int) -> Alarm:
    return Alarm(
        id=f"{name}{now}", patient="p", condition="plain", family="family", signal=name, kind="physiological",
        priority="medium", presence="off", onset=now, time=now,
    )  # fmt: skip


def latching(*names: str) -> None:
    """Let exactly these levels latch, as a policy may say."""
    for name, level in LEVELS.items():
        LEVELS[name] = msgspec.structs.replace(level, latches=name in names)


def start() -> Patient:
    return Patient(T0, {name: fresh(name, T0) for name in "AB"}, {"A": Known(), "B": Known()}, {"audio": 0, "alarm": 0})


def copied(patient: Patient) -> Patient:
    alarms = {}
    for name, alarm in patient.alarms.items():
        alarms[name] = msgspec.structs.replace(alarm, levels=dict(alarm.levels))
    seen = {
        name: replace(known, quiet=dict(known.quiet), follows=dict(known.follows))
        for name, known in patient.seen.items()
    }
    return Patient(patient.now, alarms, seen, dict(patient.pauses))


def state(patient: Patient) -> tuple[Any, ...]:
    """What decides how it goes on; times as seconds from now."""

    def ahead(time: int) -> int:
        return max(0, time - patient.now) // S if time else -1

    parts: list[Any] = [ahead(patient.pauses[kind]) for kind in ("audio", "alarm")]
    for name, alarm in sorted(patient.alarms.items()):
        known = patient.seen[name]
        parts.append((
            alarm.presence, alarm.known, alarm.standing, alarm.priority, alarm.condition, tuple(alarm.levels), alarm.worst,
            alarm.latches, bool(alarm.under), alarm.changes > 0, bool(alarm.responder), ahead(alarm.audio_paused_until),
            ahead(alarm.paused_until), ahead(alarm.patient_audio_paused_until), ahead(alarm.patient_paused_until),
            ahead(alarm.reminds_at), known.latch, known.answered, ahead(known.quiet["audio"]), ahead(known.quiet["alarm"]),
            ahead(known.follows["audio"]), ahead(known.follows["alarm"]),
        ))  # fmt: skip
    return tuple(parts)


# -- what happens -------------------------------------------------------------------------------------------------------


def happen(patient: Patient, event: str) -> list[Transition]:
    """Let an event happen, through the lifecycle's functions as the step calls them; returns the transitions."""
    now, out = patient.now, []
    if event in OF_BOTH:
        out = _to_both(patient, event)
    elif event == "B under A":
        alarm, lead = patient.alarms["B"], patient.alarms["A"]
        if alarm.presence != "off" and lead.standing and lead.presence != "off" and lead.priority >= alarm.priority:
            out = [lifecycle.group(alarm, lead, "", now)]
    elif event == "B by itself":
        out = [lifecycle.group(patient.alarms["B"], None, "", now)] if patient.alarms["B"].presence != "off" else []
    else:
        name, _, what = event.partition(": ")
        out = _to_one(patient, name, what)
    for name, alarm in patient.alarms.items():
        if alarm.presence == "off" and alarm.event in {"withdrawn", "turned_off", "discharged"}:
            patient.alarms[name] = fresh(name, now)  # over for good: the next is another alarm
    lead = patient.alarms["A"]
    other = patient.alarms["B"]
    if (other.under and other.under != lead.id) or (other.under and lead.presence == "off"):
        out.append(lifecycle.group(other, None, "", now))
    return [one for one in out if one is not None]


def _to_one(patient: Patient, name: str, what: str) -> list[Transition | None]:  # noqa: PLR0911 - one an event
    alarm, now = patient.alarms[name], patient.now
    verb, _, rest = what.partition(" ")
    if verb == "begin":
        if rest in alarm.levels:
            return []
        if not alarm.levels:
            alarm.under = ""
            silencing.follow(alarm, *(_pause(patient.pauses[kind]) for kind in ("audio", "alarm")))
        level = LEVELS[rest]
        return [lifecycle.begin(alarm, level, level.priority, 1.0, {}, "", now)]
    if verb == "end":
        return [lifecycle.end(alarm, rest, "", now - LATE)]
    if verb == "worsen":
        top = max(alarm.levels, key=lambda one: LEVELS[one].level, default="")
        return [lifecycle.worsen(alarm, top, 1.0, {}, "", now - LATE)] if top else []
    if verb in {"pause", "resume"}:
        if alarm.presence == "off":
            return []
        if verb == "pause":
            return [silencing.pause(alarm, rest, now + PAUSE_S * S, "", now)]
        return [silencing.resume(alarm, "", now, rest)]
    acts: dict[str, Callable[[], Transition | None]] = {
        "unknown": lambda: lifecycle.set_known(alarm, False, "", now),
        "known": lambda: lifecycle.set_known(alarm, True, "", now),
        "acknowledge": lambda: lifecycle.acknowledge(
            alarm, "", now, "nurse", "", REMIND_S * S if alarm.standing else 0
        ),
        "take": lambda: silencing.take(alarm, "", now, "nurse"),
        "withdraw": lambda: lifecycle.withdraw(alarm, "", now, "corrected"),
        "turn off": lambda: lifecycle.close(alarm, "turned_off", "", now),
    }
    return [acts[what]()] if alarm.presence != "off" else []


def _to_both(patient: Patient, event: str) -> list[Transition | None]:
    out: list[Transition | None] = []
    active = [alarm for alarm in patient.alarms.values() if alarm.presence != "off"]
    verb, _, kind = event.partition(" ")[2].partition(" ")
    if event == "discharge":
        patient.pauses = {"audio": 0, "alarm": 0}
        return [lifecycle.close(one, "discharged", "", patient.now) for one in active]
    if event.startswith("patient"):
        patient.pauses[kind] = patient.now + PAUSE_S * S if verb == "pauses" else 0
        for alarm in active:
            if verb == "pauses":
                out.append(silencing.pause_patient(alarm, kind, patient.pauses[kind], "", patient.now))
            else:
                out.append(silencing.resume_patient(alarm, kind, "", patient.now, early=True))
        return out
    patient.now += (60 if event == "a minute" else 660) * S
    for kind in ("audio", "alarm"):
        if 0 < patient.pauses[kind] <= patient.now:
            patient.pauses[kind] = 0
            out += [silencing.resume_patient(one, kind, "", patient.now, early=False) for one in active]
    for alarm in active:
        out += [silencing.resume(alarm, "", patient.now), silencing.remind(alarm, "", patient.now)]
    return out


def _pause(until: int) -> Pause | None:
    return Pause(until=until, since=0, by="nurse", reason="") if until else None


# -- what must be true ---------------------------------------------------------------------------------------------------


def observe(patient: Patient, before: Patient, event: str, told: list[Transition]) -> None:
    """Update what the observer knows; only ``reminded`` is taken from the transitions."""
    for name in "AB":
        mine = event.startswith(f"{name}: ")
        what = event.partition(": ")[2] if mine else event
        if mine or event in OF_BOTH:
            _learn(patient, name, what)
        if any(one.event == "reminded" and one.signal == name for one in told):
            _new(patient.seen[name])


def _top(levels: frozenset[str]) -> str:
    return max(levels, key=lambda one: LEVELS[one].level, default="")


def _learn(patient: Patient, name: str, what: str) -> None:  # noqa: PLR0912 - one branch an event
    known, now = patient.seen[name], patient.now
    active = bool(known.true or known.latch)
    verb, _, rest = what.partition(" ")
    if verb == "begin" and rest not in known.true:
        above = _top(known.true)
        known.true |= {rest}
        if not above:
            known.follows = dict(patient.pauses)
        if not above or LEVELS[rest].level > LEVELS[above].level:
            _new(known)
        elif not known.answered:
            _may_latch(known)
    elif verb == "end":
        known.true -= {rest}
        if not known.true and not known.latch:
            _over(known)
    elif verb == "worsen" and known.true:
        _new(known)
    elif verb == "acknowledge" and active and not known.answered:
        known.latch, known.answered = "", bool(known.true)
        if not known.true:
            _over(known)
    elif what in {"withdraw", "turn off", "discharge"} and active:
        known.true = frozenset()
        _over(known)
    elif verb in {"pause", "resume"} and active:
        known.quiet[rest] = max(now + PAUSE_S * S, known.follows[rest]) if verb == "pause" else 0
        if verb == "resume":
            known.follows[rest] = 0
    elif verb == "patient" and active:
        _, _, kind = rest.partition(" ")
        known.quiet[kind] = max(known.quiet[kind], patient.pauses[kind]) if rest.startswith("pauses") else 0
        known.follows[kind] = patient.pauses[kind]


def _new(known: Known) -> None:
    """Something is new: only what the whole patient's pause silences is silent, and of a critical level not the sound."""
    known.answered = False
    _may_latch(known)
    known.quiet = dict(known.follows)
    if "critical" in {known.latch, *known.true}:
        known.quiet["audio"] = 0


def _may_latch(known: Known) -> None:
    latching = frozenset(one for one in known.true if LEVELS[one].latches)
    known.latch = _top(latching | ({known.latch} if known.latch else frozenset()))


def _over(known: Known) -> None:
    known.latch, known.answered = "", False
    known.quiet, known.follows = {"audio": 0, "alarm": 0}, {"audio": 0, "alarm": 0}


def check(patient: Patient, before: Patient, event: str, told: list[Transition]) -> None:
    """Fail if something is not as it must be."""
    for name in "AB":
        alarm, known, was = patient.alarms[name], patient.seen[name], before.alarms[name]
        mine = [one for one in told if one.signal == name]
        _numbered(mine, was, alarm)
        touched = event in OF_BOTH or event.startswith(f"{name}: ") or (name == "B" and (was.under or alarm.under))
        if not touched:
            assert alarm == was, f"{event} changed {name}"
        presence = "off"
        if known.true:
            presence = "acknowledged" if known.answered else "on"
        elif known.latch:
            presence = "latched"
        assert alarm.presence == presence
        assert alarm.standing == bool(known.true) or not alarm.changes
        _silenced(patient, alarm, known, event)
        _way_out(alarm, patient.now)


def _numbered(mine: list[Transition], was: Alarm, alarm: Alarm) -> None:
    numbers = [one.number for one in mine]
    first = was.changes if mine and mine[0].alarm == was.id else 0
    assert numbers == list(range(first + 1, first + 1 + len(mine)))
    times = [was.time, *(one.time for one in mine)]
    assert times == sorted(times)
    assert all(one.id == f"{one.alarm}-{one.number}" for one in mine)
    if not mine and alarm.id == was.id:
        assert (alarm.presence, alarm.priority, alarm.known) == (was.presence, was.priority, was.known)


def _silenced(patient: Patient, alarm: Alarm, known: Known, event: str) -> None:
    """Nothing is silent but what somebody has silenced, and what is silent has a cause and an end."""
    signals = lifecycle.shown(alarm, patient.now)
    if alarm.presence == "off":
        left = (
            alarm.audio_paused_until,
            alarm.paused_until,
            alarm.patient_audio_paused_until,
            alarm.patient_paused_until,
        )
        assert (*left, alarm.reminds_at, alarm.under) == (0, 0, 0, 0, 0, "")
        assert signals == lifecycle.table.Signals("off", "off", "off")
        return
    assert max(alarm.audio_paused_until, alarm.paused_until) <= patient.now + PAUSE_S * S
    if alarm.presence == "acknowledged":
        assert alarm.standing
        assert alarm.reminds_at > patient.now or not alarm.known or alarm.under or "minute" not in event
        return
    assert (alarm.priority == "high") == ("critical" in {known.latch, *known.true})
    hidden = known.quiet["alarm"] > patient.now
    quiet = hidden or known.quiet["audio"] > patient.now
    assert (signals.visible == "paused") == hidden
    if not alarm.under:
        assert (signals.audible == "paused") == quiet
        assert hidden or signals.visible == alarm.presence
        assert quiet or signals.audible == alarm.presence


def _way_out(alarm: Alarm, now: int) -> None:
    """When everything has ended and was acknowledged, the alarm is off; and it can begin again."""
    out = msgspec.structs.replace(alarm, levels=dict(alarm.levels))
    for name in list(out.levels):
        lifecycle.end(out, name, "", now)
    if out.presence != "off":
        assert lifecycle.acknowledge(out, "", now, "nurse") is not None
    assert out.presence == "off"
    silencing.follow(out, None, None)
    lifecycle.begin(out, LEVELS["critical"], "high", 1.0, {}, "", now)
    assert lifecycle.shown(out, now) == lifecycle.table.Signals("on", "on", "on")


def walk(depth: int, events: tuple[str, ...] = EVENTS) -> Counter[tuple[tuple[str, bool], str]]:
    """Follow all sequences of ``depth`` events; how often each move of the table was made."""
    moves: Counter[tuple[tuple[str, bool], str]] = Counter()
    visited = {state(start())}
    front = [start()]
    for _ in range(depth):
        following = []
        for before in front:
            for event, patient, told in _each(before, events):
                for one in told:
                    was = before.alarms[one.signal]
                    moves[(was.presence, was.known), one.event] += 1
                check(patient, before, event, told)
                here = state(patient)
                if here not in visited:
                    visited.add(here)
                    following.append(patient)
        front = following
    return moves


def _each(before: Patient, events: tuple[str, ...]) -> Iterator[tuple[str, Patient, list[Transition]]]:
    for event in events:
        patient = copied(before)
        told = happen(patient, event)
        observe(patient, before, event, told)
        yield event, patient, told
