"""Who is called when nobody answers an alarm: chains of steps, schedules of people on call, and the notices for them."""

from typing import Literal

import msgspec

__all__ = ["EscalationStep", "Notice", "Override", "Rotation", "SetEscalation", "SetSchedule"]


class EscalationStep(msgspec.Struct, frozen=True):
    """Call everybody in ``to`` if nobody has answered ``after_s`` after the step before, or after the alarm sounded.

    A target is ``role:NAME`` (everybody with this role who may see the ward), ``schedule:NAME`` (who is on call then) or
    ``person:NAME``.
    """

    after_s: float
    to: list[str]


class SetEscalation(msgspec.Struct, tag="set_escalation", kw_only=True):
    """The chain of steps for alarms of one priority in a ward, or in every ward without its own if ``ward`` is empty.

    After the last step the chain starts again ``repeat`` times, each time ``repeat_after_s`` later. An alarm that sounded
    longer than ``age_limit_s`` ago is not escalated any more. Without steps, the chain is removed. It is written to every
    partition.
    """

    priority: Literal["high", "medium", "low"]
    ward: str = ""
    steps: list[EscalationStep] = []
    repeat: int = 0
    repeat_after_s: float = 300.0
    age_limit_s: float = 14_400.0
    by: str = ""
    received: int = 0

    @property
    def patient(self) -> str:
        """Empty: the command belongs to no patient."""
        return ""

    @property
    def key(self) -> tuple[str, ...]:
        """What a later command of the same key replaces."""
        return ("escalation", self.ward, self.priority)

    @property
    def removes(self) -> bool:
        """Whether nothing is set: what was set before is removed."""
        return not self.steps


class Rotation(msgspec.Struct, frozen=True, kw_only=True):
    """People who take turns: the first of ``people`` from ``start`` (a date) on, each until the next hand-over.

    Hand-over is at ``handover`` (HH:MM) by the clocks of ``zone``, every ``length`` days; or weeks, on ``weekday``
    (0 is Monday). With ``hours`` (from, until), a person is on call only between them; they may go past midnight.
    """

    people: list[str]
    start: str
    handover: str = "08:00"
    every: Literal["day", "week"] = "week"
    weekday: int = 0
    length: int = 1
    zone: str = "UTC"
    hours: tuple[str, str] | None = None


class Override(msgspec.Struct, frozen=True, kw_only=True):
    """From ``start`` until ``end`` (µs) ``person`` is on call for ``instead_of``, or for everybody if that is empty."""

    start: int
    end: int
    person: str
    instead_of: str = ""


class SetSchedule(msgspec.Struct, tag="set_schedule", kw_only=True):
    """Who is on call under a name; all rotations count at once. Without rotations and overrides the schedule is removed.

    It is written to every partition.
    """

    name: str
    rotations: list[Rotation] = []
    overrides: list[Override] = []
    by: str = ""
    received: int = 0

    @property
    def patient(self) -> str:
        """Empty: the command belongs to no patient."""
        return ""

    @property
    def key(self) -> tuple[str, ...]:
        """What a later command of the same key replaces."""
        return ("schedule", self.name)

    @property
    def removes(self) -> bool:
        """Whether nothing is set: what was set before is removed."""
        return not (self.rotations or self.overrides)


class Notice(msgspec.Struct, tag="notice", kw_only=True):
    """A message that is due to people about an alarm.

    ``id`` comes from the alarm, the number of the transition and the step, so a notice that is sent again overwrites the
    first copy. ``to`` are the targets of the step, ``people`` those that were on call or named at ``due``; members of a
    role are added by the door that stores the notice. ``reason`` is why it was made or cancelled (an event of the alarm).
    Times are µs; after ``expires`` it must not be sent.
    """

    id: str
    alarm: str
    patient: str
    ward: str = ""
    condition: str = ""
    signal: str = ""
    priority: str = "high"
    step: int = 0
    to: list[str] = []
    people: list[str] = []
    due: int = 0
    expires: int = 0
    state: Literal["pending", "cancelled"] = "pending"
    reason: str = ""
    changed: int = 0
