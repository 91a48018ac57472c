"""The deterioration twin: NEWS2 of every patient from the channel twins and charted facts, and its alarm conditions."""

from math import isnan

import numpy as np
import numpy.typing as npt

from twins.alarms import agreement
from twins.arrays import F8, I8
from twins.bank.bank import Bank
from twins.models.deterioration import history, news2
from twins.models.deterioration import scoring as kernel
from twins.records import Score
from twins.signals import BY_NAME

__all__ = ["SOURCE_OF", "column_of", "evaluate", "forget", "inputs", "mark_seen", "name_of", "score_of", "turns_off"]


_SOURCES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("respiratory_rate", ("respiratory_rate",)),
    ("oxygen_saturation", ("oxygen_saturation", "second_oxygen_saturation")),
    ("systolic_bp", ("arterial_systolic_bp", "systolic_bp")),
    ("pulse", ("heart_rate", "pulse_rate")),
    ("temperature", ("body_temperature",)),
)
"""Channels that a parameter may come from: the newest measurement wins; for two of one quantity see the kernel."""

SOURCE_OF = {name: (parameter, place) for parameter, names in _SOURCES for place, name in enumerate(names)}
"""By channel, the parameter that it feeds, and its index among the sources of that parameter."""

_CODES = np.array([
    [BY_NAME[source].code for source in sources] + [-1] * (2 - len(sources))
    for sources in (dict(_SOURCES).get(name, ()) for name in news2.PARAMETERS)
])  # fmt: skip
"""Their codes, one row per parameter. -1 fills up a row; a row of only -1 means that a charted fact is the source."""
_PAIRED = np.array([[agreement.place(row[0], code) for code in row] for row in _CODES.tolist()])
"""The pair of each source with the first source of its parameter, see ``twins.alarms.agreement``."""
_FORGOTTEN = np.array([news2.FORGOTTEN_AFTER_S[name] for name in news2.PARAMETERS])
_STALE = np.array([news2.STALE_AFTER_S[name] for name in news2.PARAMETERS])


def column_of(code: int) -> int:
    """The input of NEWS2 that a signal feeds, -1 if none."""
    return next((at for at, row in enumerate(_CODES.tolist()) if code >= 0 and code in row), -1)


def name_of(column: int) -> str:
    """The name of an input."""
    return str(news2.PARAMETERS[column])


def turns_off(phase: int) -> bool:
    """Whether a condition in this phase is on and waits to end."""
    return phase & kernel.IS_ON != 0 and phase & kernel.IS_WAITING != 0


def inputs(bank: Bank, numbers: I8, now: int) -> tuple[F8, F8]:
    """Value and age in seconds of each NEWS2 input, shape (patients, 7); NaN if there is none or it is too old."""
    value, age = np.empty((kernel.PARAMETERS, len(numbers))), np.empty((len(numbers), kernel.PARAMETERS))
    kernel.gather(
        numbers, now, bank.slot, bank.state, bank.judged, bank.limit, bank.phase, bank.oxygen, bank.oxygen_time,
        bank.consciousness, bank.consciousness_time, bank.agreement, _CODES, _PAIRED, _FORGOTTEN, value, age,
    )  # fmt: skip
    return value.T, age


def evaluate(bank: Bank, numbers: I8, now: int) -> tuple[list[Score], list[tuple[int, int, int, Score]]]:
    """Score ``numbers`` at ``now``: scores to send, and conditions that changed (number, which, turn, score)."""
    count = len(numbers)
    if not count:
        return [], []
    value, age = np.empty((kernel.PARAMETERS, count)), np.empty((count, kernel.PARAMETERS))
    prescribed, parts = np.empty(count, np.bool_), np.empty((count, kernel.PARAMETERS), np.int8)
    speak, turned = np.empty(count, np.bool_), np.empty((count, kernel.CONDITIONS), np.int8)
    kernel.evaluate(
        numbers, now, bank.slot, bank.state, bank.judged, bank.limit, bank.phase, bank.oxygen, bank.oxygen_time,
        bank.consciousness, bank.consciousness_time, bank.scale2, bank.parts, bank.known_parts, bank.stale, bank.scored,
        bank.score_phase, bank.score_since, bank.score_told, bank.agreement, _CODES, _PAIRED, _FORGOTTEN, _STALE, value, age,
        prescribed, parts, speak, turned,
    )  # fmt: skip
    history.note(numbers, now, bank.parts, bank.score_past, bank.score_inputs, bank.score_quarter, bank.score_rise)
    scores: list[Score] = []
    events: list[tuple[int, int, int, Score]] = []
    for at in speak.nonzero()[0].tolist():
        number = int(numbers[at])
        score = score_of(bank.profile(number).patient, parts[at], age[at], now, rise=int(bank.score_rise[number]))
        scores.append(score)
        events += [(number, which, turn, score) for which, turn in enumerate(turned[at].tolist()) if turn]
    return scores, events


def mark_seen(bank: Bank, number: int) -> None:
    """Somebody has seen the present score: from now on, worsening is measured from it."""
    parts = bank.parts[number].tolist()
    reds = sum(1 << column for column, part in enumerate(parts) if part == 3)
    bank.score_told[number] = sum(part for part in parts if part > 0), reds


def forget(bank: Bank, number: int) -> None:
    """Reset the patient to the state before the first score."""
    bank.parts[number] = bank.known_parts[number] = bank.score_told[number] = -1
    bank.stale[number] = bank.score_phase[number] = 0
    bank.score_rise[number] = bank.score_past[number] = -1


def score_of(patient: str, parts: npt.NDArray[np.int8], age: F8, now: int, *, rise: int = -1) -> Score:
    """The record of one patient's score; ``rise`` as in ``history.note``."""
    ages = {name: seconds for name, seconds in zip(news2.PARAMETERS, age.tolist(), strict=True) if not isnan(seconds)}
    summary = news2.summarise(parts.tolist(), ages)
    newest = min((ages[name] for name in news2.VITALS if name in summary.parts), default=None)
    fresh = any(name in summary.parts and name not in summary.stale for name in news2.VITALS)
    return Score(
        patient=patient,
        time=now,
        total=summary.total,
        risk=summary.risk,
        partial=summary.partial,
        parts=summary.parts,
        missing=list(summary.missing),
        stale=list(summary.stale),
        ages_s=ages,
        state="void" if newest is None else "current" if fresh else "old",
        measured=now - round(newest * 1e6) if newest is not None else 0,
        rise=rise if rise >= 0 else None,
    )
