"""Technical conditions of a patient's devices: nothing was ever received, or a battery is low."""

import numpy as np

from twins.alarms.conditions import PATIENT_CONDITIONS
from twins.arrays import I8, U1
from twins.bank.bank import Bank
from twins.bank.layout import RECENT_MOST_US
from twins.records import Columns
from twins.signals import BY_NAME
from twins.step.effects import Effects

__all__ = ["BATTERY", "take_batteries", "unheard"]

BATTERY = BY_NAME["device_battery"].code
_UNHEARD, _BATTERY = PATIENT_CONDITIONS
URGENT = 0.5
"""Below this share of the limit, a battery is of medium priority."""
_BACK = 5.0
"""A battery is charged again at this many percent above the limit."""


def unheard(effects: Effects, live: U1) -> None:
    """On a tick: patients whose devices never sent anything for as long as the policy of the ward says."""
    bank, now = effects.bank, effects.now
    count = bank.patients
    # Most patients have a heart rate: only the others are looked at closely.
    some = np.flatnonzero((bank.slot[:count, 0] < 0) & (live[:count] != 0))
    silent = some[(bank.slot[some] < 0).all(axis=1)].tolist()
    for number in silent:
        profile = bank.profile(number)
        after_s = bank.policies.of(profile.ward).unheard_after_s
        key = (number, _UNHEARD.name, -1)
        if after_s > 0.0 and now - profile.admitted >= after_s * 1e6 and key not in bank.alarms:
            waited_s = round((now - profile.admitted) * 1e-6)
            why = {"unheard": {"since": profile.admitted // 1000, "waited_s": waited_s, "after_s": after_s}}
            effects.begin(number, _UNHEARD, -1, now, _UNHEARD.priority, None, None, why)
            bank.touch(number)
    for number in sorted(key[0] for key in bank.alarms if key[1] == _UNHEARD.name):
        if live[number] and (bank.slot[number] >= 0).any():
            effects.end(number, _UNHEARD.name, -1, now)
            bank.touch(number)


def take_batteries(effects: Effects, columns: Columns, numbers: I8) -> None:
    """Judge batteries among the readings of a frame; the newest reading in the frame counts, if it is recent.

    ``numbers`` is as for ``walk.frame``: an entry without a patient's number is skipped.
    """
    bank = effects.bank
    newest: dict[int, tuple[int, float]] = {}
    for place in np.flatnonzero(columns.signal == BATTERY).tolist():
        entry, value, time = int(columns.patient[place]), float(columns.value[place]), int(columns.time[place])
        number = int(numbers[entry]) if entry < len(numbers) else -1
        recent = effects.now - time <= RECENT_MOST_US
        if number >= 0 and recent and 0.0 <= value <= 100.0 and time >= newest.get(number, (time, 0.0))[0]:
            newest[number] = (time, value)
    for number, (time, value) in newest.items():
        _judge(effects, bank, number, time, value)


def _judge(effects: Effects, bank: Bank, number: int, time: int, value: float) -> None:
    below = bank.policies.of(bank.profile(number).ward).battery_below
    alarm = bank.alarms.get((number, _BATTERY.name, -1))
    if value < below:
        priority = "medium" if value < URGENT * below else "low"
        if alarm is None or not alarm.standing or (priority == "medium" and alarm.priority == "low"):
            why = {"battery": {"percent": value, "below": below, "time": time // 1000}}
            effects.begin(number, _BATTERY, -1, effects.now, priority, value, below, why)
    elif alarm is not None and value >= min(below + _BACK, 100.0):
        effects.end(number, _BATTERY.name, -1, effects.now, value)
    bank.touch(number)
