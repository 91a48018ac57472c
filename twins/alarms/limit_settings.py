"""Alarm limits by name: those of the signals table and those that a command sets."""

from collections.abc import Callable, Mapping
from math import isnan

from twins.records import SetLimits
from twins.signals import BY_NAME, FIRST_OF, Limits, Signal
from twins.units import examples, factor

__all__ = [
    "BOUNDS",
    "DURATIONS",
    "RATES",
    "SETTINGS",
    "default_limits",
    "flaw",
    "in_own_unit",
    "limits_given",
    "of_signal",
    "set_by",
]

BOUNDS: tuple[str, ...] = Limits.__struct_fields__
"""The names of the bounds, from lowest to highest."""
RATES = ("falling_per_min", "rising_per_min")
"""The names of the rates of change."""
DURATIONS = ("delay_s", "clear_s")
"""The names of the settings in seconds."""
LONGEST_CLEAR_S = 600.0
"""An alarm that goes on for longer after its cause is over tells nobody about the present."""
SETTINGS = (*BOUNDS, *DURATIONS, *RATES)
"""Everything with a number that a level may set for a signal."""


def default_limits(signal: str) -> dict[str, float]:
    """The limits of the signals table, by name, with the durations in seconds."""
    entry = BY_NAME[signal]
    return {name: getattr(entry.limits, name) for name in BOUNDS} | {name: getattr(entry, name) for name in DURATIONS}


def limits_given(command: SetLimits) -> dict[str, float]:
    """What a command sets, by name."""
    return {name: value for name in SETTINGS if (value := getattr(command, name)) is not None}


def set_by(command: SetLimits, before: Mapping[str, float]) -> dict[str, float]:
    """What a level sets for a signal after the command; ``before`` is what it set so far.

    >>> set_by(SetLimits(signal="heart_rate", high=110.0, keep=["low"]), {"low": 45.0, "high": 130.0, "delay_s": 5.0})
    {'low': 45.0, 'high': 110.0}
    """
    kept = {name: value for name, value in before.items() if name in command.keep}
    return kept | limits_given(command)


def of_signal(signal: str, find: Callable[[str], Mapping[str, float] | None]) -> dict[str, float]:
    """What one level sets for a signal. A bound that is not set for a second source is taken from the first source.

    >>> of_signal("second_oxygen_saturation", {"oxygen_saturation": {"low": 84.0}}.get)
    {'low': 84.0}
    """
    first = find(FIRST_OF[signal]) if signal in FIRST_OF else None
    return {**(first or {}), **(find(signal) or {})}


def in_own_unit(signal: Signal, given: Mapping[str, float], unit: str) -> dict[str, float]:
    """Convert bounds in ``unit`` to the signal's own; a delay is unchanged. Raises ``ValueError`` for a wrong unit.

    >>> in_own_unit(BY_NAME["body_temperature"], {"high": 104.0, "delay_s": 5.0}, "[degF]")
    {'high': 40.0, 'delay_s': 5.0}
    """
    conversion = factor(signal, unit)
    if conversion is None:
        raise ValueError(f"{signal.name} does not come in {unit!r}; known: {', '.join(examples(signal))}")
    scale, offset = conversion
    own = {name: round(value * scale + offset, 6) if name in BOUNDS else value for name, value in given.items()}
    return own | {name: round(value * scale, 6) for name, value in given.items() if name in RATES}


def flaw(signal: Signal, given: Mapping[str, float], unit: str = "") -> tuple[str, str]:
    """The first of ``given`` (bounds in ``unit``, the signal's own if empty) that may not be set, and a sentence why.

    ('', '') if all may be set. A bound that the signal cannot reach would switch the alarm off without notice. Usually
    it is in another unit, so the sentence suggests that unit.

    >>> flaw(BY_NAME["glucose"], {"low": 3.9})[1]
    'low: 3.9 mg/dL lies outside 20 to 600 mg/dL; did you mean 3.9 mmol/L? Then say "unit": "mmol/L"'
    """
    unit = unit or signal.unit
    own = in_own_unit(signal, given, unit)
    lowest, highest = signal.plausible
    for name, value in own.items():
        if name in DURATIONS:
            if name == "clear_s" and value > LONGEST_CLEAR_S:
                return name, f"{name}: at most {LONGEST_CLEAR_S:g} s"
            if name == "delay_s" and value > signal.longest_delay_s:
                return name, f"{name}: at most {signal.longest_delay_s:g} s for {signal.name}"
            continue
        if name in RATES:
            if not 0.0 < value <= highest - lowest:
                return name, f"{name}: {given[name]:g}: above 0 and at most {highest - lowest:g} {signal.unit} a minute"
            continue
        said = f"{name}: {given[name]:g} {unit}"
        if not lowest <= value <= highest:
            meant = [other for other in examples(signal) if other != unit and _within(signal, given[name], other)]
            ask = f'; did you mean {given[name]:g} {meant[0]}? Then say "unit": "{meant[0]}"' if meant else ""
            return name, f"{said} lies outside {lowest:g} to {highest:g} {signal.unit}{ask}"
        farthest = getattr(signal.farthest, name)
        if not isnan(farthest) and (value < farthest if "low" in name else value > farthest):
            least = "at least" if "low" in name else "at most"
            return name, f"{said}: {least} {farthest:g} {signal.unit}; an alarm beyond that would practically be off"
    return "", ""


def _within(signal: Signal, value: float, unit: str) -> bool:
    lowest, highest = signal.plausible
    return lowest <= in_own_unit(signal, {"low": value}, unit)["low"] <= highest
