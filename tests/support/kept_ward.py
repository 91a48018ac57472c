"""The small ward of the files that tests keep of every format: three patients, ten minutes, ada with a high NEWS2."""

from collections.abc import Iterator

import numpy as np

from twins.records import Admit, Columns, Fact, SetLimits
from twins.signals import BY_NAME

__all__ = ["PATIENTS", "STEPS", "STEP_US", "begin", "readings"]

PATIENTS = ("ada", "ben", "cleo")
STEPS = 40
STEP_US = 15_000_000

_SIGNALS = ("heart_rate", "oxygen_saturation", "respiratory_rate", "systolic_bp", "body_temperature")
_WELL = (72.0, 98.0, 14.0, 121.0, 36.8)
_USUAL = {"ada": (128.0, 87.0, 26.0, 93.0, 39.3), "ben": _WELL, "cleo": _WELL}
_SPREAD = (1.5, 0.4, 0.4, 1.5, 0.05)


def begin(now: int) -> list[Admit | SetLimits | Fact]:
    """What is charted and set before the first reading."""
    admitted = [Admit(patient=name, ward="A", bed=name, by="nurse", received=now) for name in PATIENTS]
    return [
        *admitted,
        SetLimits(signal="heart_rate", ward="A", high=125.0, by="nurse", received=now),
        SetLimits(signal="oxygen_saturation", patient="ada", critical_low=80.0, by="nurse", received=now),
        Fact(patient="ada", kind="consciousness", time=now, value="A", by="nurse", received=now),
        Fact(patient="ada", kind="oxygen", time=now, value=2.0, by="nurse", received=now),
    ]


def readings(origin: int) -> Iterator[Columns]:
    """Every ``STEP_US`` from ``origin`` (µs) on, a reading of each of five signals of each patient."""
    chance = np.random.default_rng(7)
    count = len(_SIGNALS)
    patient = np.repeat(np.arange(len(PATIENTS), dtype="u4"), count)
    signal = np.tile(np.array([BY_NAME[name].code for name in _SIGNALS], "u2"), len(PATIENTS))
    usual = np.concatenate([np.array(_USUAL[name]) for name in PATIENTS])
    for step in range(STEPS):
        time = np.full(len(signal), origin + step * STEP_US, "i8")
        value = usual + chance.normal(0.0, np.tile(_SPREAD, len(PATIENTS)))
        yield Columns(list(PATIENTS), patient, signal, time, value.round(1))
