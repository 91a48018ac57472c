"""Limits that would have alarmed less without missing an event that lasted: suggested from a patient's own readings.

A limit is only ever moved outward, never beyond the farthest that may be set, and never so far that an alarm that lasted 60 s
would have been missed. Each suggestion is checked by running the readings again with it.
"""

from collections.abc import Iterable

import msgspec

from streams.preview.course import Course
from streams.preview.episodes import Episodes, only_in, sustained
from streams.preview.job import Job
from streams.preview.run import episodes_of
from twins.records import Profile, SetLimits
from twins.signals import BY_NAME, Signal

__all__ = ["FEWEST_ALARMS", "LEAST_SAVED", "Present", "Suggestion", "candidate", "suggest"]

FEWEST_ALARMS = 5
"""With fewer alarms there is no reason to change a limit."""
LEAST_SAVED = 0.5
"""A suggestion must avoid at least this share of the alarms."""
_ENOUGH = 0.9
"""The smallest change is suggested that avoids this share of what the largest would avoid."""
_CONDITION = {"low": "limit.low", "high": "limit.high"}

Present = dict[str, dict[str, float | None]]
"""The limits in force, by signal and bound."""


class Suggestion(msgspec.Struct, kw_only=True):
    """One limit to set: with ``suggested`` instead of ``present`` so many alarms of this side instead of so many.

    ``sustained`` alarms lasted 60 s or more; with the suggestion none of them would have been missed.
    """

    patient: str
    signal: str
    bound: str
    present: float
    suggested: float
    alarms_present: int
    alarms_suggested: int
    sustained: int


def suggest(job: Job, course: Course, present: dict[str, Present]) -> list[Suggestion]:
    """Suggestions for the job's patients, whose limits in force are ``present``; the most useful first."""
    before = episodes_of(course, job, ())
    found = [
        one
        for profile in job.patients
        for signal, limits in present.get(profile.patient, {}).items()
        for bound in ("low", "high")
        if (one := _of_bound(profile, BY_NAME[signal], bound, limits, before, job.end)) is not None
    ]
    return _checked(found, job, course, before)


def _of_bound(  # noqa: PLR0917 - what is known of one limit
    profile: Profile, signal: Signal, bound: str, limits: dict[str, float | None], before: Episodes, until: int
) -> Suggestion | None:  # fmt: skip
    limit = limits.get(bound)
    episodes = [
        one
        for one in before.found
        if one.patient == profile.patient and one.signal == signal.name and one.family == bound
    ]
    if limit is None or len(episodes) < FEWEST_ALARMS:
        return None
    worst = [one.extreme for one in episodes if one.extreme is not None]
    lasting = [one.extreme for one in episodes if sustained(one, until) and one.extreme is not None]
    suggested = candidate(signal, bound, limit, limits.get(f"critical_{bound}"), worst, lasting)
    if suggested is None:
        return None
    return Suggestion(
        patient=profile.patient, signal=signal.name, bound=bound, present=limit, suggested=suggested,
        alarms_present=len(episodes), alarms_suggested=0, sustained=len(lasting),
    )  # fmt: skip


def candidate(  # noqa: PLR0917 - what is known of one limit
    signal: Signal, bound: str, limit: float, critical: float | None, worst: Iterable[float], lasting: Iterable[float]
) -> float | None:
    """The limit to suggest, ``None`` if none avoids enough.

    ``worst`` are the worst values of all alarms, ``lasting`` those of the alarms that lasted.

    >>> spo2 = BY_NAME["oxygen_saturation"]
    >>> candidate(spo2, "low", 92.0, 85.0, [91.0] * 38 + [89.0] * 3, [89.0, 89.0])
    91.0
    >>> candidate(spo2, "low", 92.0, 85.0, [91.0] * 41, [91.0]) is None
    True
    """
    out = -1.0 if bound == "low" else 1.0
    step = signal.step if signal.step > 0 else 1.0
    edge = getattr(signal.farthest, bound)
    # One step is left between a limit and the critical one, and between it and the worst value of an alarm that lasted.
    ends = [edge] if edge == edge else []  # noqa: PLR0124 - not a number: no farthest
    ends += [] if critical is None else [critical - out * step]
    ends += [one - out * step for one in lasting]
    last = min(ends, key=lambda end: out * (end - limit), default=None)
    if last is None:
        return None
    steps = int(out * (last - limit) / step + 1e-9)
    values = [out * one for one in worst]
    saved = [sum(value <= out * limit + at * step for value in values) for at in range(steps + 1)]
    if not steps or saved[-1] < LEAST_SAVED * len(values):
        return None
    enough = next(at for at, count in enumerate(saved) if count >= _ENOUGH * saved[-1])
    return round(limit + out * step * enough, 6) if enough else None


def _checked(found: list[Suggestion], job: Job, course: Course, before: Episodes) -> list[Suggestion]:
    """Only those that hold when the readings run again with all of them."""
    if not found:
        return []
    changes = [
        SetLimits(
            patient=one.patient, signal=one.signal,
            keep=[name for name in _ALL if name != one.bound], **{one.bound: one.suggested},  # type: ignore[arg-type] # a bound
        )
        for one in found
    ]  # fmt: skip
    after = episodes_of(course, job, changes)
    holds = []
    for one in found:
        mine = [of.found for of in (before, after)]
        ours = [
            [e for e in some if (e.patient, e.signal, e.family) == (one.patient, one.signal, one.bound)]
            for some in mine
        ]
        lost = only_in(ours[0], ours[1], job.end)
        if any(sustained(episode, job.end) for episode in lost):
            continue
        one.alarms_present, one.alarms_suggested = len(ours[0]), len(ours[1])
        one.sustained = sum(sustained(episode, job.end) for episode in ours[0])
        if one.alarms_suggested <= (1.0 - LEAST_SAVED) * one.alarms_present:
            holds.append(one)
    return sorted(
        holds, key=lambda one: (one.alarms_suggested - one.alarms_present, one.patient, one.signal, one.bound)
    )


_ALL = ("critical_low", "low", "high", "critical_high", "delay_s", "falling_per_min", "rising_per_min", "periods")
