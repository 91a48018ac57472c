"""The policy in force for a ward's alarms: defaults, the site's own, the ward's own; and what a policy may say."""

from collections.abc import Mapping
from math import isfinite

import msgspec

from twins.alarms.conditions import BY_NAME, Condition
from twins.records import AlarmPolicy

__all__ = ["BOUNDS", "LONGEST_OFF_US", "LONGEST_PAUSE_US", "Flaw", "Policy", "flaws", "policy_of", "read_policy"]

_S = 1_000_000
REMIND_AFTER_S: Mapping[str, float] = {"high": 600.0, "medium": 3600.0, "low": 0.0}
"""High: once in 10 minutes, the rate of alarms that EEMUA 191 calls acceptable. Medium: after an hour, because NEWS2 asks
for observations at least hourly at 5 or 6. Low: never; the alarm stays on the screen, and nobody must come at once.
"""
BOUNDS: Mapping[str, tuple[float, float]] = {
    "longest_audio_pause_s": (10.0, 900.0),
    "longest_alarm_pause_s": (10.0, 900.0),
    "longest_alarm_off_s": (60.0, 86_400.0),
    "fold_s": (0.0, 3600.0),
    "precision_wanted": (0.1, 0.95),
    "unheard_after_s": (0.0, 86_400.0),
    "battery_below": (0.0, 50.0),
    "quality_below": (0.0, 0.7),
}
"""Least and most of each number of a policy."""
_REMIND = (60.0, 86_400.0)
LONGEST_PAUSE_US = int(BOUNDS["longest_audio_pause_s"][1]) * _S
LONGEST_OFF_US = int(BOUNDS["longest_alarm_off_s"][1]) * _S


class Policy(msgspec.Struct, kw_only=True, frozen=True):
    """A complete policy. Times in seconds; ``latches`` has the conditions that differ from ``conditions``."""

    latches: dict[str, bool] = {}
    remind_after_s: dict[str, float] = msgspec.field(default_factory=lambda: dict(REMIND_AFTER_S))
    longest_audio_pause_s: float = 120.0
    longest_alarm_pause_s: float = 180.0
    longest_alarm_off_s: float = 43_200.0
    """One shift: the next shift decides again."""
    fold_s: float = 600.0
    precision_wanted: float = 2 / 3
    unheard_after_s: float = 900.0
    """Long enough to attach a monitor after an admission was entered."""
    battery_below: float = 20.0
    quality_below: float = 0.4

    def longest_pause_us(self, kind: str) -> int:
        """The longest pause of a kind (``audio``, ``alarm``), µs."""
        return int((self.longest_audio_pause_s if kind == "audio" else self.longest_alarm_pause_s) * _S)

    def remind_us(self, priority: str) -> int:
        """After how long (µs) an acknowledged alarm of this priority sounds again; 0: never."""
        return int(self.remind_after_s.get(priority, 0.0) * _S)

    def applied(self, condition: Condition) -> Condition:
        """The condition, latching as the policy says."""
        latches = self.latches.get(condition.name, condition.latches)
        return condition if latches == condition.latches else msgspec.structs.replace(condition, latches=latches)


def policy_of(*levels: AlarmPolicy | None) -> Policy:
    """The policy that follows from the levels, the most general first: each sets what it names.

    >>> policy_of(AlarmPolicy(fold_s=60.0), AlarmPolicy(remind_after_s={"low": 900.0})).remind_after_s["low"]
    900.0
    """
    found = msgspec.structs.asdict(Policy())
    for level in levels:
        if level is None:
            continue
        for name, given in msgspec.structs.asdict(level).items():
            if isinstance(given, dict):
                found[name] = {**found[name], **given}
            elif given is not None:
                found[name] = given
    return Policy(**found)


class Flaw(msgspec.Struct, frozen=True):
    """What is wrong with a policy, and where."""

    field: str
    detail: str


def flaws(policy: AlarmPolicy) -> list[Flaw]:
    """Everything in a policy that is not allowed.

    >>> flaws(AlarmPolicy(fold_s=7200.0))[0].detail
    'must be 0 to 3600'
    """
    found = []
    for name, (least, most) in BOUNDS.items():
        given = getattr(policy, name)
        if given is not None and not (isfinite(given) and least <= given <= most):
            found.append(Flaw(name, f"must be {least:g} to {most:g}"))
    for priority, seconds in policy.remind_after_s.items():
        place = f"remind_after_s.{priority}"
        if priority not in REMIND_AFTER_S:
            found.append(Flaw(place, "no such priority; there are high, medium and low"))
        elif not (seconds == 0 or (isfinite(seconds) and _REMIND[0] <= seconds <= _REMIND[1])):
            found.append(Flaw(place, f"must be 0 (never) or {_REMIND[0]:g} to {_REMIND[1]:g}"))
    for name in policy.latches:
        if name not in BY_NAME and not (name.startswith("rule.") and len(name) > len("rule.")):
            known = ", ".join(sorted(BY_NAME))
            found.append(
                Flaw(f"latches.{name}", f"no such condition; there are {known}, and a site's rules as rule.<id>")
            )
    return found


def read_policy(given: object) -> tuple[AlarmPolicy | None, list[Flaw]]:
    """A policy from a document (TOML or JSON), and everything that is wrong with it.

    >>> read_policy({"fold": 60})[1][0].detail.partition(";")[0]
    'Object contains unknown field `fold`'
    """
    try:
        policy = msgspec.convert(given, AlarmPolicy)
    except msgspec.ValidationError as error:
        what, _, place = str(error).partition(" - at `$")
        if "unknown field" in what:
            what += f"; there are {', '.join(AlarmPolicy.__struct_fields__)}"
        return None, [Flaw(place.rstrip("`").lstrip("."), what)]
    return policy, flaws(policy)
