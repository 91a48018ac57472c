"""Oxygen and consciousness for NEWS2: charted by a person or reported by a device; the newest by its own time counts.

A device reports the flow of oxygen, the inspired fraction or the Glasgow coma scale. The patient is on oxygen if a flow
is above 0, or if a fraction, rounded as it would be charted, is above 21 %. If two devices reported within
``TOGETHER_US`` of each other, the one that reports oxygen counts. A coma scale of 15 is alert. Less is not alert, which
scores 3 points; it does not say which of C, V, P or U on the chart it is.
"""

from math import floor, isnan

import numpy as np

from twins.arrays import I8, U4
from twins.bank.bank import Bank
from twins.models.deterioration import news2
from twins.records import Columns, Fact, MeasuredFact
from twins.signals import BY_NAME, SIGNALS

__all__ = ["chart", "forget", "take"]


FLOW, FRACTION, COMA = (
    BY_NAME[name].code for name in ("oxygen_flow", "inspired_oxygen_fraction", "glasgow_coma_scale")
)
"""Adjacent in the table: the index in ``bank.device`` is the distance from the first code."""
TOGETHER_US = 600_000_000
_AIR_PERCENT = 21
_ALERT = 15


def chart(bank: Bank, number: int, fact: Fact) -> bool:
    """Take a charted fact; whether it is of these kinds and not older than what was charted before."""
    profile = bank.profile(number)
    if fact.kind == "oxygen" and isinstance(fact.value, float | int) and fact.time >= profile.oxygen_time:
        profile.oxygen, profile.oxygen_time = float(fact.value), fact.time
    elif fact.kind == "consciousness" and fact.value in news2.CONSCIOUSNESS and fact.time >= profile.consciousness_time:
        profile.consciousness, profile.consciousness_time = str(fact.value), fact.time
    else:
        return False
    _decide(bank, number)
    return True


def take(bank: Bank, columns: Columns, patient: U4, numbers: I8) -> list[int]:
    """Take what devices report among readings; returns the patients for whom the facts changed.

    ``patient`` and ``numbers`` are as for ``walk.frame``: an entry without a patient's number is skipped.
    """
    (places,) = ((columns.signal >= FLOW) & (columns.signal <= COMA)).nonzero()
    changed: dict[int, None] = {}
    for place in places.tolist():
        entry = int(patient[place])
        number = int(numbers[entry]) if entry < len(numbers) else -1
        code, time, value = int(columns.signal[place]), int(columns.time[place]), float(columns.value[place])
        low, high = SIGNALS[code].plausible
        if number < 0 or not low <= value <= high:
            continue
        own = bank.device[number, code - FLOW]
        if isnan(own[0]) or time >= own[1]:
            own[:] = value, time
            if _decide(bank, number):
                changed[number] = None
            bank.touch(number)
    return list(changed)


def forget(bank: Bank, number: int, code: int, time: int) -> bool:
    """Retract a device's fact; whether it was the newest of its kind."""
    if not FLOW <= code <= COMA or bank.device[number, code - FLOW, 1] != time:
        return False
    bank.device[number, code - FLOW] = np.nan
    _decide(bank, number)
    bank.touch(number)
    return True


def _decide(bank: Bank, number: int) -> bool:
    """Write what counts for the score; whether the profile has changed."""
    profile = bank.profile(number)
    (flow, flow_time), (fraction, fraction_time), (coma, coma_time) = bank.device[number].tolist()
    oxygen = float("nan") if profile.oxygen is None else profile.oxygen
    time = profile.oxygen_time if profile.oxygen is not None else -1
    enriched = 0.0 if isnan(fraction) else float(floor(fraction + 0.5) > _AIR_PERCENT)
    heard = [(at, given) for at, given in ((flow_time, flow), (fraction_time, enriched)) if at > time]
    if heard:
        newest = max(at for at, _ in heard)
        given = [one for at, one in heard if newest - at <= TOGETHER_US]
        oxygen, time = next((one for one in given if one > 0), 0.0), int(newest)
    bank.oxygen[number], bank.oxygen_time[number] = oxygen, max(time, 0)
    mind, when = float("nan"), -1
    if profile.consciousness is not None:
        mind, when = float(news2.CONSCIOUSNESS[profile.consciousness]), profile.consciousness_time
    if coma_time > when:
        mind, when = (0.0 if floor(coma + 0.5) >= _ALERT else 1.0), int(coma_time)
    bank.consciousness[number], bank.consciousness_time[number] = mind, max(when, 0)
    told = {
        SIGNALS[FLOW + at].name: MeasuredFact(value=value, time=int(when))
        for at, (value, when) in enumerate(bank.device[number].tolist())
        if not isnan(value)
    }
    same = told.keys() == profile.measured.keys() and all(
        abs(fact.value - profile.measured[name].value) < 0.5 for name, fact in told.items()
    )
    if not same:
        profile.measured = told
    return not same
