"""The one table of signals: names, units, codes, plausible ranges, noise figures and default limits.

Doors, kernels, dashboard and documentation all read this table. A signal's ``code`` is its place in
``SIGNALS`` and travels on the wire and in the log, so rows are only ever appended.

Noise figures are the starting values of pooled recordings (sensor sd / deviation sd / time-scale);
makers' figures: SpO2 ±2 %, pulse ±3 /min, respiratory rate ±1; cuff pressure sd ≤ 8 mmHg (ISO 81060-2).
"""

from math import nan
from typing import Literal

import msgspec
import numpy as np
import numpy.typing as npt

__all__ = ["BY_NAME", "FILTERED", "SIGNALS", "Limits", "Signal"]

Kind = Literal["vital", "glucose", "dose", "setting", "score", "laboratory"]


class Limits(msgspec.Struct, frozen=True):
    """Alarm limits in the signal's own unit; ``nan`` means no limit on that side."""

    critical_low: float = nan
    low: float = nan
    high: float = nan
    critical_high: float = nan


class Signal(msgspec.Struct, frozen=True, kw_only=True):
    """One measurable quantity.

    ``plausible`` bounds what a living patient and a working sensor can give; ``step`` is the quantum of the
    sensor's display; ``sensor_sd``, ``deviation_sd`` and ``timescale_s`` start the channel twin; ``typical`` and
    ``typical_sd`` describe the population; ``silence_s`` is the shortest gap that counts as silence.
    Values are in ``unit`` (UCUM), durations in seconds.
    """

    code: int
    name: str
    unit: str
    kind: Kind
    plausible: tuple[float, float]
    loinc: tuple[str, ...] = ()
    mdc: tuple[int, ...] = ()
    step: float = 0.0
    sensor_sd: float = 1.0
    deviation_sd: float = 1.0
    timescale_s: float = 600.0
    typical: float = 0.0
    typical_sd: float = 1.0
    limits: Limits = Limits()
    hysteresis: float = 0.0
    delay_s: float = 0.0
    critical_delay_s: float = 0.0
    silence_s: float = 60.0
    predictive_priority: Literal["medium", "low", ""] = ""

    @property
    def filtered(self) -> bool:
        """Whether a channel twin follows this signal."""
        return self.kind in ("vital", "glucose")


def _cuff(code: int, name: str, loinc: tuple[str, ...], mdc: tuple[int, ...], typical: float, limits: Limits) -> Signal:
    """A non-invasive (cuff) blood pressure."""
    return Signal(
        code=code,
        name=name,
        unit="mm[Hg]",
        kind="vital",
        plausible=(15.0, 300.0),
        loinc=loinc,
        mdc=mdc,
        step=1.0,
        sensor_sd=6.0,
        deviation_sd=10.0,
        timescale_s=1800.0,
        typical=typical,
        typical_sd=20.0,
        limits=limits,
        hysteresis=3.0,
        silence_s=5400.0,
    )


def _line(code: int, name: str, loinc: tuple[str, ...], mdc: tuple[int, ...], typical: float, limits: Limits) -> Signal:
    """A blood pressure from an arterial line."""
    return Signal(
        code=code,
        name=name,
        unit="mm[Hg]",
        kind="vital",
        plausible=(10.0, 300.0),
        loinc=loinc,
        mdc=mdc,
        step=1.0,
        sensor_sd=3.0,
        deviation_sd=9.0,
        timescale_s=900.0,
        typical=typical,
        typical_sd=20.0,
        limits=limits,
        hysteresis=3.0,
        delay_s=10.0,
        critical_delay_s=5.0,
        silence_s=60.0,
        predictive_priority="low",
    )


_SYSTOLIC = Limits(critical_low=80.0, low=90.0, high=180.0, critical_high=220.0)
_DIASTOLIC = Limits(critical_low=35.0, low=45.0, high=110.0, critical_high=130.0)
_MEAN = Limits(critical_low=55.0, low=65.0, high=130.0, critical_high=150.0)
_RATE = Limits(critical_low=40.0, low=50.0, high=120.0, critical_high=140.0)
_SATURATION = Limits(critical_low=85.0, low=90.0)


SIGNALS: tuple[Signal, ...] = (
    Signal(
        code=0, name="heart_rate", unit="/min", kind="vital", plausible=(15.0, 300.0),
        loinc=("8867-4",), mdc=(147842,), step=1.0, sensor_sd=2.0, deviation_sd=8.0, timescale_s=300.0,
        typical=80.0, typical_sd=15.0, limits=_RATE, hysteresis=2.0, delay_s=10.0, critical_delay_s=4.0,
        silence_s=20.0, predictive_priority="low",
    ),
    Signal(
        code=1, name="pulse_rate", unit="/min", kind="vital", plausible=(15.0, 260.0),
        loinc=("8889-8",), mdc=(149530,), step=1.0, sensor_sd=2.5, deviation_sd=8.0, timescale_s=300.0,
        typical=80.0, typical_sd=15.0, limits=_RATE, hysteresis=2.0, delay_s=15.0, critical_delay_s=8.0,
        silence_s=20.0,
    ),
    Signal(
        code=2, name="respiratory_rate", unit="/min", kind="vital", plausible=(2.0, 90.0),
        loinc=("9279-1",), mdc=(151562, 151578), step=1.0, sensor_sd=2.0, deviation_sd=3.0, timescale_s=300.0,
        typical=17.0, typical_sd=4.0,
        limits=Limits(critical_low=6.0, low=8.0, high=25.0, critical_high=35.0), hysteresis=1.0, delay_s=15.0,
        critical_delay_s=8.0, silence_s=30.0, predictive_priority="low",
    ),
    Signal(
        code=3, name="oxygen_saturation", unit="%", kind="vital", plausible=(30.0, 100.0),
        loinc=("2708-6", "59408-5"), mdc=(150456,), step=1.0, sensor_sd=1.0, deviation_sd=1.5, timescale_s=600.0,
        typical=96.5, typical_sd=2.0, limits=_SATURATION, hysteresis=1.0, delay_s=10.0, critical_delay_s=5.0,
        silence_s=20.0, predictive_priority="medium",
    ),
    Signal(
        code=4, name="arterial_oxygen_saturation", unit="%", kind="laboratory", plausible=(20.0, 100.0),
        loinc=("2713-6",), step=1.0,
    ),
    _cuff(5, "systolic_bp", ("8480-6",), (150022,), 122.0, _SYSTOLIC),
    _cuff(6, "diastolic_bp", ("8462-4",), (150023,), 68.0, _DIASTOLIC),
    _cuff(7, "mean_bp", ("8478-0",), (), 84.0, _MEAN),
    _line(8, "arterial_systolic_bp", ("76215-3",), (150037,), 120.0, _SYSTOLIC),
    _line(9, "arterial_diastolic_bp", ("76213-8",), (150038,), 62.0, _DIASTOLIC),
    _line(10, "arterial_mean_bp", ("76214-6",), (150039,), 80.0, _MEAN),
    Signal(
        code=11, name="body_temperature", unit="Cel", kind="vital", plausible=(25.0, 45.0),
        loinc=("8310-5",), mdc=(150344,), step=0.1, sensor_sd=0.1, deviation_sd=0.3, timescale_s=7200.0,
        typical=36.9, typical_sd=0.5,
        limits=Limits(critical_low=34.0, low=35.0, high=39.0, critical_high=40.5), hysteresis=0.2, delay_s=30.0,
        critical_delay_s=30.0, silence_s=1800.0, predictive_priority="low",
    ),
    Signal(
        code=12, name="skin_temperature", unit="Cel", kind="vital", plausible=(15.0, 45.0),
        loinc=("60839-3",), step=0.02, sensor_sd=0.05, deviation_sd=0.6, timescale_s=1800.0,
        typical=33.0, typical_sd=2.0, silence_s=60.0,
    ),
    Signal(
        code=13, name="perfusion_index", unit="1", kind="vital", plausible=(0.0, 30.0),
        loinc=("61006-3",), mdc=(150488,), step=0.1, sensor_sd=0.2, deviation_sd=0.8, timescale_s=300.0,
        typical=2.0, typical_sd=1.5, silence_s=60.0,
    ),
    Signal(
        code=14, name="glucose", unit="mg/dL", kind="glucose", plausible=(20.0, 600.0),
        loinc=("99504-3", "105272-9"), mdc=(160212,), step=1.0, sensor_sd=3.0, deviation_sd=35.0, timescale_s=3600.0,
        typical=130.0, typical_sd=40.0,
        limits=Limits(critical_low=54.0, low=70.0, high=250.0, critical_high=350.0), hysteresis=5.0,
        silence_s=900.0, predictive_priority="medium",
    ),
    Signal(code=15, name="capillary_glucose", unit="mg/dL", kind="laboratory", plausible=(10.0, 1000.0),
           loinc=("41653-7",), step=1.0),
    Signal(code=16, name="blood_glucose", unit="mg/dL", kind="laboratory", plausible=(10.0, 2000.0),
           loinc=("2339-0",), step=1.0),
    Signal(code=17, name="blood_ketone", unit="mmol/L", kind="laboratory", plausible=(0.0, 30.0),
           loinc=("53060-9",), step=0.1),
    Signal(code=18, name="insulin_bolus", unit="U", kind="dose", plausible=(0.0, 100.0)),
    Signal(code=19, name="insulin_basal", unit="U/h", kind="dose", plausible=(0.0, 50.0)),
    Signal(code=20, name="insulin_long_acting", unit="U", kind="dose", plausible=(0.0, 200.0)),
    Signal(code=21, name="insulin_premixed", unit="U", kind="dose", plausible=(0.0, 200.0)),
    Signal(code=22, name="oxygen_flow", unit="L/min", kind="setting", plausible=(0.0, 80.0), loinc=("3151-8",)),
    Signal(code=23, name="inspired_oxygen_fraction", unit="%", kind="setting", plausible=(15.0, 100.0),
           loinc=("3150-0",)),
    Signal(code=24, name="glasgow_coma_scale", unit="{score}", kind="score", plausible=(3.0, 15.0),
           loinc=("9269-2",), step=1.0),
)

BY_NAME: dict[str, Signal] = {signal.name: signal for signal in SIGNALS}

FILTERED: npt.NDArray[np.bool_] = np.array([signal.filtered for signal in SIGNALS])
