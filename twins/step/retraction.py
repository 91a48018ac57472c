"""Readings retracted or corrected: their effects are removed from the filter, the limits and the alarms."""

import msgspec
import numpy as np

from twins.alarms.conditions import CHANNEL_CONDITIONS, SCORE_CONDITIONS
from twins.alarms.lifecycle import Alarm
from twins.bank import layout
from twins.bank.bank import Bank
from twins.models.channel import late
from twins.models.deterioration import model as deterioration
from twins.records import Retract, Status
from twins.signals import BY_NAME, SIGNALS

__all__ = ["Key", "empty", "note", "retract", "scores_over", "unsupported"]

Key = tuple[int, str, int]
"""The key of an alarm in the bank: patient, condition, signal."""

REMEMBERED = 1024
"""How many retracted or corrected readings of a channel are remembered by their times."""
_MARGIN_US = 60_000_000
_SCORED_US = 3_600_000_000
"""A score may depend on readings that are older than its alarm by this much."""
_LIMITS = {condition.name: at for at, condition in enumerate(CHANNEL_CONDITIONS[: layout.LIMIT_CONDITIONS])}
_PREDICTED = {CHANNEL_CONDITIONS[at].name for at in (layout.PREDICTED_LOW, layout.PREDICTED_HIGH)}
_FAULT = CHANNEL_CONDITIONS[layout.FAULT].name
_ABOUT_SENDERS = {"sensor.clock", "sensor.disagreement"}
"""Conditions that do not depend on one channel's readings: they are judged separately."""
_CRITICAL = (layout.CRITICAL_LOW, layout.CRITICAL_HIGH)
_PREDICT_AFTER = 6


def retract(bank: Bank, number: int, command: Retract) -> Status:
    """Retract a reading of patient ``number``, if the channel still stores it.

    RETRACTED; LATE if it is older than the stored readings; DUPLICATE if there is none at that time (any more);
    UNFILTERED if no twin follows the signal. An older reading is remembered as wrong. If all readings that are newer
    were retracted as well, the channel is emptied, because no value is better than a wrong one.
    """
    signal = BY_NAME.get(command.signal)
    row = int(bank.slot[number, signal.code]) if signal else -1
    if signal is None or row < 0:
        return Status.UNFILTERED
    t, parameter = float(command.time), layout.PARAMETERS[signal.code]
    verdict = late.retract(bank.state[row], parameter, bank.watch[row], bank.ring[row], bank.kept[row], t)
    if verdict == late.RETRACTED:
        note(bank, row, command.time, within=True)
        _forget(bank, row, t)
    elif verdict == Status.LATE:
        note(bank, row, command.time, within=False)
    taken = bank.taken.get((number, signal.code), {})
    if taken.get(int(bank.state[row, layout.LAST])) is False:
        bank.empty_channel(row)
        return Status.RETRACTED
    return Status(verdict)


def note(bank: Bank, row: int, time: int, *, within: bool) -> None:
    """Remember that the reading at ``time`` was wrong; if ``within`` reach, the filter has already run without it."""
    taken = bank.taken.setdefault((int(bank.patient_of_row[row]), int(bank.signal_of_row[row])), {})
    taken[time] = within
    while len(taken) > REMEMBERED:
        del taken[next(iter(taken))]


def empty(bank: Bank, row: int) -> bool:
    """Whether a channel has no readings left."""
    return bool(bank.watch[row, layout.HEAD] == 0.0)


def _forget(bank: Bank, row: int, t: float) -> None:
    """Remove the reading from everything that is still pending."""
    if empty(bank, row):
        bank.empty_channel(row)
        return
    state, watch = bank.state[row], bank.watch[row]
    if bank.shown[row, 0] == t:
        bank.shown[row] = 0.0
    if watch[layout.FLAT_SINCE] == t:
        # A flat line began with it: without the reading, its beginning is unknown.
        watch[layout.FLAT_SINCE] = state[layout.LAST]
    watch[layout.DIRTY] = 1.0


def unsupported(bank: Bank, row: int) -> list[tuple[Key, list[str]]]:
    """Conditions of a channel's alarms that have no support left after readings were corrected or retracted."""
    number, code = int(bank.patient_of_row[row]), int(bank.signal_of_row[row])
    found = []
    for key, alarm in bank.alarms.of(number):
        if key[2] != code or alarm.condition in _ABOUT_SENDERS:
            continue
        names = list(alarm.levels) or [alarm.condition]
        wrong = [name for name in names if empty(bank, row) or not stands(bank, row, alarm, name)]
        if wrong:
            found.append((key, wrong))
    return found


def stands(bank: Bank, row: int, alarm: Alarm, name: str = "") -> bool:
    """Whether a condition still has support: a valid reading, or readings that are too old to be known.

    Without a name, it is the condition that the alarm shows.
    """
    name = name or alarm.condition
    level = alarm.levels.get(name)
    limit, onset = (level.limit, level.since) if level else (alarm.limit, alarm.onset)
    if name in _PREDICTED:
        return bool(bank.state[row, layout.COUNT] >= _PREDICT_AFTER)
    which = _LIMITS.get(name)
    if which is None or limit is None:
        return name != _FAULT or _fault_stands(bank, row, alarm)
    return _limit_stands(bank, row, alarm, which, limit, onset)


def _limit_stands(bank: Bank, row: int, alarm: Alarm, which: int, bound: float, onset: int) -> bool:  # noqa: PLR0917 - one level of it
    """Whether a valid reading of the episode is beyond its limit, or the episode begins before the stored readings.

    In the second case the alarm ends only if readings from about its onset were retracted.
    """
    low_side = CHANNEL_CONDITIONS[which].side == "low"
    level = bank.state[row, layout.M0]
    if which not in _CRITICAL and alarm.standing and (level < bound if low_side else level > bound):
        return True
    times, values = _readings(bank, row)
    delay = bank.limit[row, layout.CRITICAL_DELAY if which in _CRITICAL else layout.DELAY]
    begin = onset - delay - 1
    within = (times >= begin) & ((times <= alarm.ended) | alarm.standing)
    if (within & (values < bound if low_side else values > bound)).any():
        return True
    if len(times) == bank.watch[row, layout.HEAD] or (len(times) and times.min() <= begin):
        return False
    taken = bank.taken.get((int(bank.patient_of_row[row]), int(bank.signal_of_row[row])), {})
    return not any(begin - _MARGIN_US <= time <= onset + 1 for time in taken)


def _readings(bank: Bank, row: int) -> tuple[np.ndarray, np.ndarray]:
    """Times and values of a channel's stored readings that a patient can have."""
    ring = bank.ring[row]
    low, high = SIGNALS[int(bank.signal_of_row[row])].plausible
    ring = ring[(ring[:, 0] > 0.0) & (ring[:, 1] >= low) & (ring[:, 1] <= high)]
    return ring[:, 0], ring[:, 1]


def _fault_stands(bank: Bank, row: int, alarm: Alarm) -> bool:
    if alarm.explanation.get("fault", {}).get("reason") == "flat" or bank.state[row, layout.REJECTS] != 0.0:
        return True
    ring = bank.ring[row]
    low, high = SIGNALS[int(bank.signal_of_row[row])].plausible
    unusable = (ring[:, 0] >= bank.since[row, layout.FAULT]) & ~((ring[:, 1] >= low) & (ring[:, 1] <= high))
    return bool((unusable & (ring[:, 0] > 0.0)).any())


class EndedScore(msgspec.Struct, frozen=True):
    """End a condition of a score; ``never`` if it was based on readings that no longer count."""

    key: Key
    condition: str
    never: bool


def scores_over(bank: Bank, number: int, code: int) -> list[EndedScore]:
    """End alarms of NEWS2 without support after readings of signal ``code`` were corrected or retracted.

    The score has been computed again: a condition that waits to end, ends now.
    """
    column = deterioration.column_of(code)
    found = []
    for which, condition in enumerate(SCORE_CONDITIONS):
        key = next(
            (key for key in ((number, condition.name, -1), (number, condition.family, -1)) if key in bank.alarms), None
        )
        alarm = bank.alarms[key] if key else None
        if key is None or alarm is None or alarm.condition != condition.name or column < 0:
            continue
        never = _all_readings_wrong(bank, number, code, alarm)
        phase = int(bank.score_phase[number, which])
        if deterioration.turns_off(phase):
            bank.score_phase[number, which] = 0
            found.append(EndedScore(key, condition.name, never))
        elif not alarm.standing and never and _depends_on(alarm, column, condition.least):
            found.append(EndedScore(key, condition.name, never))
    return found


def _all_readings_wrong(bank: Bank, number: int, code: int, alarm: Alarm) -> bool:
    """Whether all readings of ``code`` that were about to raise ``alarm`` no longer count."""
    taken = bank.taken.get((number, code), {})
    row = int(bank.slot[number, code])
    if empty(bank, row):
        return any(time >= alarm.onset - _SCORED_US for time in taken)
    if not any(alarm.onset - _SCORED_US <= time <= alarm.onset for time in taken):
        return False
    times, _ = _readings(bank, row)
    oldest = min(time for time in taken if alarm.onset - _SCORED_US <= time)
    left = times[(times >= oldest) & (times <= alarm.onset)]
    return all(int(time) in taken for time in left.tolist())


def _depends_on(alarm: Alarm, column: int, least: int) -> bool:
    """Whether the score would not reach the threshold without its part of input ``column``."""
    told = alarm.explanation.get("news2", {})
    part = told.get("parts", {}).get(deterioration.name_of(column), 0)
    return bool(part > 0 and told.get("score", 0) - part < least)
