"""Alarm limits by name: those of the signals table, and those a command sets."""

from twins.records import SetLimits
from twins.signals import BY_NAME, Limits

__all__ = ["default_limits", "limits_given"]


def default_limits(signal: str) -> dict[str, float]:
    """The limits of the signals table, by name, with the delay in seconds."""
    entry = BY_NAME[signal]
    return {name: getattr(entry.limits, name) for name in Limits.__struct_fields__} | {"delay_s": entry.delay_s}


def limits_given(command: SetLimits) -> dict[str, float]:
    """What a command sets, by name."""
    names = (*Limits.__struct_fields__, "delay_s")
    return {name: value for name in names if (value := getattr(command, name)) is not None}
