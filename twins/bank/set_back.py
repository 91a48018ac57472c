"""A bank whose clock is set back: stored times later than now move back by the error of the clock."""

from typing import Any, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

from twins.bank.bank import BLOCK, Bank
from twins.records import AlarmOff, Pause, Profile

__all__ = ["set_back"]

T = TypeVar("T", AlarmOff, Pause)

_ALARM_TIMES = (
    "onset", "time", "ended", "audio_paused_until", "paused_until", "patient_audio_paused_until", "patient_paused_until",
    "reminds_at", "escalates_at", "waits_since", "called_at",
)  # fmt: skip
_AHEAD_US = 7_200_000_000
"""How far ahead of the wrong clock a stored time may be: a device's time, or the time of a forecast."""


def set_back(bank: Bank, now: int, by: int, offset: int) -> None:
    """Continue from ``now`` (µs), which is ``by`` earlier than the clock so far, from the record at ``offset``.

    Times up to ``now`` stay: they are from before the error, or from devices with a right clock. No other number is as
    large as a time, so times are recognised by their size, in every array of the bank alike.
    """
    last = now + by + _AHEAD_US
    live = bank.live != 0
    for array, owners in bank.held():
        for column in _columns(array):
            wrong = (column > now) & (column <= last)
            wrong &= live[owners].reshape(-1, *(1,) * (column.ndim - 1))
            if wrong.any():
                column[wrong] -= by
    for key, alarm in [*bank.alarms.items(), *bank.ended.items()]:
        if live[key[0]]:
            _earlier(alarm, _ALARM_TIMES, now, by)
            alarm.levels = {
                name: msgspec.structs.replace(level, since=level.since - by) if level.since > now else level
                for name, level in alarm.levels.items()
            }
    bank.alarms.note_all()
    for number, profile in enumerate(bank.profiles):
        if profile is not None and live[number]:
            _silenced_earlier(profile, now, by)
            _earlier(profile, ("admitted", "begin", "discharged", "oxygen_time", "consciousness_time"), now, by)
    bank.escalates_next = 0
    _clocks_back(bank, now, by)
    bank.time = now
    if offset > bank.time_kept_at:
        bank.time_kept = 0
    bank.dirty.update((np.flatnonzero(live[: bank.patients]) // BLOCK).tolist())


def _silenced_earlier(profile: Profile, now: int, by: int) -> None:
    """Move the times of pauses, and of alarms that are off."""
    profile.alarms_off = {what: _moved(off, now, by) for what, off in profile.alarms_off.items()}
    if profile.audio_pause is not None:
        profile.audio_pause = _moved(profile.audio_pause, now, by)
    if profile.alarm_pause is not None:
        profile.alarm_pause = _moved(profile.alarm_pause, now, by)


def _moved(silenced: T, now: int, by: int) -> T:
    times = {name: getattr(silenced, name) for name in ("until", "since")}
    return msgspec.structs.replace(silenced, **{name: time - by for name, time in times.items() if time > now})


def _clocks_back(bank: Bank, now: int, by: int) -> None:
    for key, clock in bank.clocks.items():
        if bank.live[key[0]]:
            _earlier(clock, ("first", "seen"), now, by)
    for key, past in bank.past.items():
        if bank.live[key[0]]:
            past.began, past.changed = min(past.began, now), min(past.changed, now)
    for key, others in bank.others.items():
        if bank.live[key[0]]:
            others.times = {time - by if time > now else time: whose for time, whose in others.times.items()}
            _earlier(others, ("floor",), now, by)
    for number, notices in bank.notices.items():
        for notice in notices if bank.live[number] else ():
            _earlier(notice, ("due", "expires", "changed"), now, by)
    # Claimed times of readings are not worth keeping here.
    bank.claims = {key: claims for key, claims in bank.claims.items() if not bank.live[key[0]]}


def _columns(array: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
    """The parts of an array that may contain times, as views."""
    if array.dtype.names is not None:
        return [column for name in array.dtype.names for column in _columns(array[name])]
    return [array] if array.dtype in (np.dtype("f8"), np.dtype("i8")) else []


def _earlier(of: object, names: tuple[str, ...], now: int, by: int) -> None:
    for name in names:
        if getattr(of, name) > now:
            setattr(of, name, getattr(of, name) - by)
