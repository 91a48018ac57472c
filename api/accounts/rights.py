"""Who may do what, where: one table and two pure functions.

An actor may do something if two conditions hold. The action is in the row of the actor's role (people) or of one of its
scopes (devices). And the actor's wards, or a device's list of patients, cover the patient's ward. Administration concerns
no single ward: it needs the role and all wards.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Literal

import msgspec

from api.accounts.errors import Forbidden

ALL_WARDS = "*"
"""Stands for every ward, also for patients without a ward."""

Kind = Literal["account", "device", "demo", "system", "anonymous"]


class Role(StrEnum):
    """The role of a person; each role includes the rights of the ones before it."""

    VIEWER = "viewer"
    CLINICIAN = "clinician"
    ADMIN = "admin"


class Action(StrEnum):
    """An action that can be allowed or refused; the value is also its name in the audit trail."""

    PATIENT_READ = "patient.read"
    ALARM_ACKNOWLEDGE = "alarm.acknowledge"
    FACT_WRITE = "fact.write"
    LIMITS_WRITE = "limits.write"
    PATIENT_ADMIT = "patient.admit"
    PATIENT_MOVE = "patient.move"
    PATIENT_DISCHARGE = "patient.discharge"
    OBSERVATION_WRITE = "observation.write"
    ACCOUNTS_MANAGE = "accounts.manage"
    DEVICES_MANAGE = "devices.manage"
    AUDIT_READ = "audit.read"
    DEAD_LETTERS_READ = "dead_letters.read"
    RULES_WRITE = "rules.write"
    ESCALATION_WRITE = "escalation.write"
    ON_CALL_WRITE = "on_call.write"
    ALARM_PAUSE = "alarm.pause"
    WARD_SILENCE = "ward.silence"
    ALARM_POLICY_WRITE = "alarm_policy.write"


ADMINISTRATION = frozenset({
    Action.ACCOUNTS_MANAGE, Action.DEVICES_MANAGE, Action.AUDIT_READ, Action.DEAD_LETTERS_READ, Action.RULES_WRITE,
    Action.ALARM_POLICY_WRITE,
})  # fmt: skip
"""Actions that concern the whole service, so they need all wards."""

_VIEWER = frozenset({Action.PATIENT_READ})
_CLINICIAN = _VIEWER | {
    Action.ALARM_ACKNOWLEDGE,
    Action.ALARM_PAUSE,
    Action.FACT_WRITE,
    Action.LIMITS_WRITE,
    Action.PATIENT_ADMIT,
    Action.PATIENT_MOVE,
    Action.PATIENT_DISCHARGE,
    Action.ON_CALL_WRITE,
}

ROLES: Mapping[str, frozenset[Action]] = MappingProxyType(
    {Role.VIEWER.value: _VIEWER, Role.CLINICIAN.value: _CLINICIAN, Role.ADMIN.value: frozenset(Action)}
)
SCOPES: Mapping[str, frozenset[Action]] = MappingProxyType(
    {
        "observations:write": frozenset({Action.OBSERVATION_WRITE}),
        "observations:correct": frozenset({Action.OBSERVATION_WRITE}),
        "facts:write": frozenset({Action.FACT_WRITE}),
        "patients:read": frozenset({Action.PATIENT_READ}),
    }
)
"""What a device key may do. A key with the right to correct may also correct readings of other devices.

Administration is not a scope: a leaked key must not be able to create more keys."""


class Actor(msgspec.Struct, frozen=True, kw_only=True):
    """A person or program that acts: a signed-in person, a device, the command line.

    `key` names the session (its hash) or the device, and is used to revoke it. `expires` is in real seconds since 1970,
    infinity if it does not expire. A `second_source` measures the same quantity as another device of the patient. A device
    that `may_admit` admits an unknown patient by a reading. `units` maps a signal to the unit of readings without a unit.
    A session `by_link` was begun by a one-time link: its owner may set a password without knowing the old one.
    """

    kind: Kind
    name: str
    role: str = ""
    wards: frozenset[str] = frozenset()
    scopes: frozenset[str] = frozenset()
    patients: frozenset[str] = frozenset()
    second_source: bool = False
    may_admit: bool = False
    units: dict[str, str] = {}
    key: str = ""
    expires: float = math.inf
    by_link: bool = False

    def __hash__(self) -> int:
        """Hash the identity only: the dictionary of units cannot be hashed."""
        return hash((self.kind, self.name, self.key))

    @property
    def everywhere(self) -> bool:
        """Whether the actor reaches every patient: then the rows of a frame need no check."""
        return ALL_WARDS in self.wards

    @property
    def source(self) -> str:
        """The source name of the actor's readings: the device's key. A star marks a source that may correct other sources."""
        corrects = "observations:correct" in self.scopes or Action.OBSERVATION_WRITE in ROLES.get(self.role, ())
        return f"{'*' if corrects else ''}{f'{self.key}/' if self.kind == 'device' else ''}{self.name}"

    @property
    def admits(self) -> bool:
        """Whether a reading from this actor may admit an unknown patient."""
        return self.may_admit or Action.PATIENT_ADMIT in ROLES.get(self.role, ())

    def covers(self, ward: str | None, patient: str = "") -> bool:
        """Whether the actor reaches this ward or this patient.

        A patient without a ward is reached only by name, or with all wards.
        """
        wards = self.wards
        return ALL_WARDS in wards or (bool(ward) and ward in wards) or (bool(patient) and patient in self.patients)


def may(actor: Actor, action: Action, ward: str | None = None, patient: str = "") -> bool:
    """Whether the actor may do this there.

    Without ward and patient: whether the actor may do it anywhere. The ward `"*"` means all wards, the empty ward means
    patients without a ward.

    >>> nurse = Actor(kind="account", name="ada", role="clinician", wards=frozenset({"A"}))
    >>> [may(nurse, Action.ALARM_ACKNOWLEDGE, ward) for ward in (None, "A", "B")]
    [True, True, False]
    >>> may(nurse, Action.AUDIT_READ)
    False
    """
    if action not in ROLES.get(actor.role, ()) and not any(action in SCOPES.get(scope, ()) for scope in actor.scopes):
        return False
    if action in ADMINISTRATION:
        return actor.everywhere
    if ward is None and not patient:
        return bool(actor.wards or actor.patients)
    return actor.covers(ward, patient)


def require(actor: Actor, action: Action, ward: str | None = None, patient: str = "") -> None:
    """Check that the actor may do this there.

    Raises `Forbidden` otherwise, without revealing whether the ward or patient exists.
    """
    if not may(actor, action, ward, patient):
        raise Forbidden(f"{actor.kind} {actor.name} may not {action.value} here")


DEMO = Actor(kind="demo", name="demo", role=Role.ADMIN.value, wards=frozenset({ALL_WARDS}), key="demo")
SYSTEM = Actor(kind="system", name="command line", role=Role.ADMIN.value, wards=frozenset({ALL_WARDS}), key="system")


def anonymous(name: str) -> Actor:
    """An actor with an unproven name, without any right: for the audit trail only."""
    return Actor(kind="anonymous", name=name[:64])
