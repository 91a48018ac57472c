"""Which limits are in force for a signal of a patient at a moment, and where each of them comes from.

From the general to the specific: the default (for adults or by age), the ward, the ward's period of the day, the
patient, the patient's period of the day. A more specific limit replaces a more general one, each bound on its own.
"""

from collections.abc import Mapping
from math import isnan

import msgspec

from twins.alarms.age_bands import AgeBand, band_of
from twins.alarms.age_limits import age_limits
from twins.alarms.limit_settings import default_limits, limits_given
from twins.alarms.rules import in_hours
from twins.records import Hours, LimitPeriod, SetAt, SetLimits
from twins.signals import FIRST_OF

__all__ = ["Layer", "OwnLimits", "in_force", "layers", "period_of"]


class OwnLimits(msgspec.Struct, frozen=True):
    """What is set for one patient, by signal: bounds, periods of the day, and who set them."""

    limits: Mapping[str, Mapping[str, float]]
    periods: Mapping[str, Mapping[str, LimitPeriod]]
    limits_set: Mapping[str, SetAt]


class Layer(msgspec.Struct, frozen=True, kw_only=True):
    """What one level sets: bounds by name, and its origin; ``time`` in µs."""

    level: str
    given: dict[str, float]
    period: str = ""
    by: str = ""
    time: int = 0
    band: AgeBand = "adult"
    source: str = ""


def layers(
    signal: str, age: int | None, ward: Mapping[str, SetLimits], own: OwnLimits | None, minute: int
) -> list[Layer]:  # fmt: skip
    """The levels that set something for a signal, the most general first.

    ``ward`` are the ward's settings by signal, ``own`` has those of the patient, ``minute`` is the minute of the week in
    the ward's time zone. A second source follows the first one, as far as nothing is set for it.
    """
    found = [_default(signal, age)]
    names = (*((FIRST_OF[signal],) if signal in FIRST_OF else ()), signal)
    for name in names:
        command = ward.get(name)
        if command is not None:
            found += _both("ward", limits_given(command), command.periods, SetAt(command.by, command.received), minute)
    for name in names:
        if own is not None:
            given, periods = dict(own.limits.get(name, {})), own.periods.get(name, {})
            found += _both("patient", given, periods, own.limits_set.get(name, SetAt("", 0)), minute)
    return found


def in_force(found: list[Layer]) -> tuple[dict[str, float], dict[str, Layer]]:
    """The bounds in force by name, and the level that each comes from."""
    force: dict[str, float] = {}
    origin: dict[str, Layer] = {}
    for layer in found:
        force |= layer.given
        origin |= dict.fromkeys(layer.given, layer)
    return force, origin


def period_of(periods: Mapping[str, LimitPeriod], minute: int) -> str:
    """The name of the period that includes a minute of the week; "" if none does.

    >>> period_of({"night": LimitPeriod(begin="22:00", end="06:00")}, 23 * 60)
    'night'
    """
    return next(
        (name for name, one in periods.items() if in_hours(Hours(one.begin, one.end), (), minute)), ""
    )  # fmt: skip


def _default(signal: str, age: int | None) -> Layer:
    given, row = default_limits(signal), age_limits(signal, age)
    if row is None:
        return Layer(level="default", given=given)
    given |= {name: value for name, value in msgspec.structs.asdict(row.limits).items() if name in given}
    return Layer(level="default", given=given, band=band_of(age), source=row.source)


def _both(
    level: str, given: dict[str, float], periods: Mapping[str, LimitPeriod], who: SetAt, minute: int
) -> list[Layer]:  # fmt: skip
    found = [Layer(level=level, given=given, by=who.by, time=who.time)] if given else []
    period = period_of(periods, minute)
    if period:
        bounds = {
            name: value for name, value in msgspec.structs.asdict(periods[period]).items()
            if isinstance(value, int | float) and not isnan(value)
        }  # fmt: skip
        found.append(Layer(level=level, given=bounds, period=period, by=who.by, time=who.time))
    return found
