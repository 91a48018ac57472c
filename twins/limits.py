"""Alarm limits by name: those of the signals table, and those a command sets."""

from collections.abc import Callable
from typing import TypeVar

from twins.records import SetLimits
from twins.signals import BY_NAME, FIRST_OF, Limits

__all__ = ["default_limits", "limits_given", "of_signal"]

T = TypeVar("T")


def default_limits(signal: str) -> dict[str, float]:
    """The limits of the signals table, by name, with the delay in seconds."""
    entry = BY_NAME[signal]
    return {name: getattr(entry.limits, name) for name in Limits.__struct_fields__} | {"delay_s": entry.delay_s}


def limits_given(command: SetLimits) -> dict[str, float]:
    """What a command sets, by name."""
    names = (*Limits.__struct_fields__, "delay_s")
    return {name: value for name in names if (value := getattr(command, name)) is not None}


def of_signal(signal: str, find: Callable[[str], T | None]) -> T | None:
    """What one level sets for a signal; a second source without limits of its own there has those of the first.

    >>> of_signal("second_oxygen_saturation", {"oxygen_saturation": {"low": 84.0}}.get)
    {'low': 84.0}
    """
    return find(signal) or (find(FIRST_OF[signal]) if signal in FIRST_OF else None)
