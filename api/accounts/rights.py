"""Who may do what, where: one table and two pure functions.

A right has three parts: the action must stand in the row of the actor's role (people) or of one of its scopes
(devices), and the actor's wards, or for a device its list of patients, must cover the place. Administration has no
place: it needs the role and all wards.
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
"""Stands for every ward, also for patients who have none."""

Kind = Literal["account", "device", "demo", "system", "anonymous"]


class Role(StrEnum):
    """What a person is trusted with; each role holds the rights of the ones before it."""

    VIEWER = "viewer"
    CLINICIAN = "clinician"
    ADMIN = "admin"


class Action(StrEnum):
    """What can be allowed or refused; the value is also the action's name in the audit trail."""

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


ADMINISTRATION = frozenset({Action.ACCOUNTS_MANAGE, Action.DEVICES_MANAGE, Action.AUDIT_READ, Action.DEAD_LETTERS_READ})
"""Actions that concern the service as a whole: no ward makes them smaller, so they need all of them."""

_VIEWER = frozenset({Action.PATIENT_READ})
_CLINICIAN = _VIEWER | {
    Action.ALARM_ACKNOWLEDGE,
    Action.FACT_WRITE,
    Action.LIMITS_WRITE,
    Action.PATIENT_ADMIT,
    Action.PATIENT_MOVE,
    Action.PATIENT_DISCHARGE,
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
"""What a device key may do; one that may correct does so with others' readings too. Administration is no scope:
a leaked key must not be able to make more keys."""


class Actor(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody or something that acts: a signed-in person, a device, the command line.

    `key` names the session (its hash) or the device; what is revoked is revoked by it. `expires` is in real seconds
    since 1970, infinity for what does not expire. A `second_source` measures what another device of the patient does; a
    device that `may_admit` admits by a reading whom nobody has admitted; `units`, by signal, are those in which it sends
    what names none. A session `by_link` was begun by a one-time
    link: its owner may set a password without knowing one.
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
        """By who it is: the units it sends in are no key of a dictionary."""
        return hash((self.kind, self.name, self.key))

    @property
    def everywhere(self) -> bool:
        """Whether no patient is out of reach: spares the look at each row of a frame."""
        return ALL_WARDS in self.wards

    @property
    def source(self) -> str:
        """Whose its readings are: the device's, whatever it is called. Who may correct others' is marked by a star."""
        corrects = "observations:correct" in self.scopes or Action.OBSERVATION_WRITE in ROLES.get(self.role, ())
        return f"{'*' if corrects else ''}{f'{self.key}/' if self.kind == 'device' else ''}{self.name}"

    @property
    def admits(self) -> bool:
        """Whether a reading it brings may admit a stranger: whoever may admit, and a key that was told so."""
        return self.may_admit or Action.PATIENT_ADMIT in ROLES.get(self.role, ())

    def covers(self, ward: str | None, patient: str = "") -> bool:
        """Whether this ward or this patient is within the actor's reach.

        A patient without a ward is in nobody's but by name.
        """
        wards = self.wards
        return ALL_WARDS in wards or (bool(ward) and ward in wards) or (bool(patient) and patient in self.patients)


def may(actor: Actor, action: Action, ward: str | None = None, patient: str = "") -> bool:
    """Whether the actor may do this there.

    Without ward and patient: whether there is any place at all where it may. A ward of `"*"` asks for all wards, the
    empty ward for patients without one.

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
    """Let an actor pass that may do this there.

    Raises `Forbidden` otherwise, without telling whether the place exists.
    """
    if not may(actor, action, ward, patient):
        raise Forbidden(f"{actor.kind} {actor.name} may not {action.value} here")


DEMO = Actor(kind="demo", name="demo", role=Role.ADMIN.value, wards=frozenset({ALL_WARDS}), key="demo")
SYSTEM = Actor(kind="system", name="command line", role=Role.ADMIN.value, wards=frozenset({ALL_WARDS}), key="system")


def anonymous(name: str) -> Actor:
    """Somebody who gave this name and nothing that proves it: for the audit trail only, without any right."""
    return Actor(kind="anonymous", name=name[:64])
