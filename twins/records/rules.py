"""A site's own alarm rules as they are in the log, and the time zone that their hours are in."""

from hashlib import blake2b
from typing import Literal

import msgspec

__all__ = ["Hours", "Rule", "SetRules", "SetZone", "Zone"]

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
AgeBand = Literal["infant", "child", "adult"]


class Zone(msgspec.Struct, frozen=True):
    """A time zone as a table, so that a replay needs no other source: from each time (µs) on, seconds ahead of UTC.

    Before the first entry, and without entries, it is UTC.
    """

    name: str = "UTC"
    changes: list[tuple[int, int]] = []


class Hours(msgspec.Struct, frozen=True, rename={"begin": "from", "end": "to"}):
    """A part of the day in local time, ``HH:MM``; it passes midnight if ``to`` is not after ``from``."""

    begin: str
    end: str


class Rule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One condition of a site, see ``docs/rules.md``. ``when`` and ``clear`` are expressions over the twins' values.

    The alarm begins when ``when`` was true for ``for_s`` seconds; with ``times``, when that has happened so often within
    ``within_s``. It ends when ``clear`` (without it: not ``when``) was true for ``clear_after_s``. ``hours`` and ``days``
    say when the rule is in force. ``wards`` and ``ages`` say for whom; empty: for everybody. ``text`` has one line per
    language, in which ``{oxygen_saturation}`` stands for that value.
    """

    id: str
    when: str
    clear: str = ""
    for_s: float = 0.0
    clear_after_s: float = 0.0
    times: int = 1
    within_s: float = 0.0
    priority: Literal["high", "medium", "low"] = "medium"
    latches: bool = False
    hours: Hours | None = None
    days: list[Day] = []
    wards: list[str] = []
    ages: list[AgeBand] = []
    text: dict[str, str] = {}

    def __post_init__(self) -> None:
        """Whole numbers of seconds as decimals: a rule is the same before and after it was in the log."""
        for name in ("for_s", "clear_after_s", "within_s"):
            msgspec.structs.force_setattr(self, name, float(getattr(self, name)))

    @property
    def key(self) -> str:
        """Names the rule and what decides whether it is true: with another key, its state starts anew."""
        decides = (
            self.when, self.clear, self.for_s, self.clear_after_s, self.times, self.within_s, self.hours, self.days,
            self.wards, self.ages,
        )  # fmt: skip
        return f"{self.id}@{_digest(decides)}"


class SetRules(msgspec.Struct, tag="set_rules", kw_only=True):
    """Replace all rules of the site; written to every partition. ``zone`` is for wards without a time zone of their own."""

    rules: list[Rule]
    zone: Zone = Zone()
    by: str = ""
    received: int = 0

    @property
    def patient(self) -> str:
        """Empty: the command belongs to no patient."""
        return ""

    @property
    def version(self) -> str:
        """The version of the rules: the same rules have the same version, whoever sets them."""
        return _digest((self.rules, self.zone.name))


class SetZone(msgspec.Struct, tag="set_zone", kw_only=True):
    """Set the time zone of a ward; ``None`` follows the site again. Written to every partition."""

    ward: str
    zone: Zone | None = None
    by: str = ""
    received: int = 0

    @property
    def patient(self) -> str:
        """Empty: the command belongs to no patient."""
        return ""


def _digest(content: object) -> str:
    return blake2b(msgspec.json.encode(content), digest_size=5).hexdigest()
