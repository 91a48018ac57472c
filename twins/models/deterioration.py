"""The deterioration twin: NEWS2 of every patient from the channel twins and charted facts, and its alarm conditions."""

from typing import Any

import numpy as np
import numpy.typing as npt

from twins import news2
from twins.bank import Bank
from twins.kernels import layout
from twins.records import Score
from twins.signals import BY_NAME

__all__ = ["evaluate", "score_of"]

I8 = npt.NDArray[np.int64]

_SOURCES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("respiratory_rate", ("respiratory_rate",)),
    ("oxygen_saturation", ("oxygen_saturation",)),
    ("systolic_bp", ("arterial_systolic_bp", "systolic_bp")),
    ("pulse", ("heart_rate", "pulse_rate")),
    ("temperature", ("body_temperature",)),
)
"""Channels a parameter may come from: the newest measurement wins."""

_FORGOTTEN = np.array([news2.FORGOTTEN_AFTER_S[name] for name in news2.PARAMETERS])
_STALE = np.array([news2.STALE_AFTER_S[name] for name in news2.PARAMETERS])
_HOLD_US = 20_000_000
"""A threshold must be reached, or left, for so long: one noisy minute makes no alarm."""
_RESTATE_US = 60_000_000
"""A score is stated anew at least this often, so that its ages stay true."""


def inputs(bank: Bank, numbers: I8, now: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Value and age in seconds of each NEWS2 input, shape (patients, 7); NaN where there is none or it is forgotten."""
    count = len(numbers)
    value = np.full((count, 7), np.nan)
    age = np.full((count, 7), np.nan)
    for name, sources in _SOURCES:
        column = news2.PARAMETERS.index(name)
        for source in sources:
            rows = bank.slot[numbers, BY_NAME[source].code]
            held = np.flatnonzero(rows >= 0)
            own = rows[held]
            measured = bank.state[own, layout.COUNT] > 0
            held, own = held[measured], own[measured]
            theirs = np.maximum(now - bank.state[own, layout.T], 0.0) * 1e-6
            newer = ~(theirs >= age[held, column])
            value[held[newer], column] = bank.state[own[newer], layout.M0]
            age[held[newer], column] = theirs[newer]
    for column, fact, when in (
        (news2.PARAMETERS.index("oxygen"), bank.oxygen, bank.oxygen_time),
        (news2.PARAMETERS.index("consciousness"), bank.consciousness, bank.consciousness_time),
    ):
        value[:, column] = fact[numbers]
        age[:, column] = np.where(np.isnan(fact[numbers]), np.nan, np.maximum(now - when[numbers], 0) * 1e-6)
    value[age > _FORGOTTEN] = np.nan
    return value, age


def evaluate(bank: Bank, numbers: I8, now: int) -> tuple[list[Score], list[tuple[int, int, bool, Score]]]:
    """Score ``numbers`` at ``now``: scores that changed or are due again, and conditions (number, which, begins, score)."""
    if not len(numbers):
        return [], []
    value, age = inputs(bank, numbers, now)
    inputs_by_parameter = np.ascontiguousarray(value.T)
    parts = np.empty((len(numbers), 7), np.int8)
    respiratory, spo2, oxygen, systolic, pulse, consciousness, temperature = inputs_by_parameter
    scale2 = bank.scale2[numbers] != 0
    news2.score_parts(respiratory, spo2, oxygen, systolic, pulse, consciousness, temperature, scale2, parts)
    stale = ((age >= _STALE) & (parts >= 0)).astype(np.uint8)
    known = (parts >= 0).any(axis=1)
    changed = (parts != bank.parts[numbers]).any(axis=1) | (stale != bank.stale[numbers]).any(axis=1)
    due = known & (changed | (now - bank.scored[numbers] >= _RESTATE_US)) | changed
    total = np.where(parts > 0, parts, 0).sum(axis=1)
    truth = np.stack([total >= 7, (total >= 5) & (total < 7), (total < 5) & (parts == 3).any(axis=1)], axis=1)
    turned = _turn(bank, numbers, truth, now)
    speak = due | turned.any(axis=1)
    bank.parts[numbers] = parts
    bank.stale[numbers] = stale
    bank.scored[numbers[speak]] = now
    scores: dict[int, Score] = {}
    for at in np.flatnonzero(speak).tolist():
        scores[at] = score_of(bank.profile(int(numbers[at])).patient, parts[at], age[at], now)
    events = []
    for at, which in np.argwhere(turned != 0).tolist():
        events.append((int(numbers[at]), which, bool(turned[at, which] > 0), scores[at]))
    return list(scores.values()), events


def _turn(bank: Bank, numbers: I8, truth: npt.NDArray[Any], now: int) -> npt.NDArray[np.int8]:
    """Hold each threshold for ``_HOLD_US`` before it begins or ends; +1 begins, −1 ends, 0 nothing."""
    phase = bank.score_phase[numbers]
    since = bank.score_since[numbers]
    on = (phase & 2) != 0
    waiting = (phase & 1) != 0
    differs = truth != on
    since = np.where(differs & ~waiting, now, since)
    ripe = differs & (now - since >= _HOLD_US)
    turned = np.where(ripe, np.where(on, -1, 1), 0).astype(np.int8)
    on = on ^ ripe
    bank.score_phase[numbers] = np.where(on, 2, 0) | np.where(differs & ~ripe, 1, 0)
    bank.score_since[numbers] = since
    return turned


def score_of(patient: str, parts: npt.NDArray[np.int8], age: npt.NDArray[np.float64], now: int) -> Score:
    """The record of one patient's score."""
    ages = {name: float(a) for name, a in zip(news2.PARAMETERS, age, strict=True) if not np.isnan(a)}
    summary = news2.summarise(parts.tolist(), ages)
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
    )
