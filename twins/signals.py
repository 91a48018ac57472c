"""The one table of signals: names, units, codes, plausible ranges, noise figures and default limits.

Requests, kernels, dashboard and documentation all read this table; ``infra/signals-doc`` writes ``docs/signals.md``
from it. A signal's ``code`` is its place in ``SIGNALS``. Codes are on the wire and in the log, so new rows are only
ever appended.

Sources:

- LOINC: the codes of FHIR's vital signs profiles and of the CGM guide, and codes for the same quantity by another method
  (8889-8 is a heart rate by pulse oximetry, 76213-8 to 76215-3 are pressures of an arterial line). Some codes differ only
  in the kind of unit (mass or moles): the unit that was sent decides, never the code.
- MDC: reference identifiers of ISO/IEEE 11073-10101 as ``partition * 65536 + term``, for what monitors and personal
  devices send. Left out: panels, and identifiers that do not say how something was measured and could mean two signals
  (150017 to 150019, a pressure; 150324, an oxygen saturation without method).
- UCUM units; insulin is written ``U`` as on every pump (UCUM ``[iU]``). The perfusion index is a number of percent.
- Modes: fitted by ``vitaltwin fit`` on recordings, see docs/channel.md. A signal that is in no recording has the modes of
  the most similar signal.
- Flat lines: clearly longer than the longest in the recordings: 1010 s of one heart rate, 884 s of one pulse rate, 1667 s
  of one respiratory rate (mimic4wdb-p10079700), 4 h of one glucose (d1namo-004, at the end of its sensor's range).
- Second sources: a monitor numbers its second oximeter (SpO2 2, SpO2 l and r), and no foreign code distinguishes the two.
  A device says which one it is by the name of the signal or by its key.
- Worse: about the distance from the low or high limit to the critical one, and a little more than the error of the sensor
  (4 % for an oximeter, ISO 80601-2-61). A patient who is so much worse is no longer in the acknowledged state.
- Farthest limits: beyond what wards set for any patient, including infants and cyanotic heart disease (SpO2 in the
  seventies), and within the limit range of common monitors.
- Limits: adult defaults of common bedside practice, to be set by ward and patient; for glucose the levels of the
  international consensus on time in range (below 54 and 70, above 250 mg/dL).
"""

from math import inf, isnan, nan
from typing import Literal

import msgspec
import numpy as np
import numpy.typing as npt

from twins.models.channel.modes import MODES, Modes

__all__ = ["BY_NAME", "FILTERED", "FIRST_OF", "SECOND_SOURCE", "SIGNALS", "Limits", "Signal"]

_ENDS = {"LOW": 0, "LO": 0, "HIGH": 1, "HI": 1}
"""What CGMs and glucose meters show instead of a number."""

Kind = Literal["vital", "glucose", "dose", "setting", "score", "laboratory"]


class Limits(msgspec.Struct, frozen=True):
    """Alarm limits in the signal's own unit; ``nan`` means no limit on that side."""

    critical_low: float = nan
    low: float = nan
    high: float = nan
    critical_high: float = nan


class Signal(msgspec.Struct, frozen=True, kw_only=True):
    """One measurable quantity.

    ``plausible`` is the range that a living patient and a working sensor can give. ``step`` is the resolution of the
    sensor's display. ``jump`` is farther than the signal moves within seconds (each further minute allows as much
    again). ``trend_s`` is the window of the displayed trend. ``censored`` says where the sensor's range ends: the true
    value of a reading below the first bound is only known to be below it; that of a reading above the second bound is
    between it and the third. ``silence_s`` is the shortest gap that counts as silence. ``worse`` is how much farther
    below a low limit, and above a high one, a value is clearly worse than the last alarm reported. Values from
    ``perhaps_from`` to the plausible range may come from a dying patient as well as from a sensor (asystole, apnoea).
    ``repeat_s``: a reading that repeats the value of another within this time is the same reading received twice, and
    confirms nothing. ``flat_s`` is longer than the value of a living patient stays exactly the same; 0 if there is no
    such time. ``second`` names the signal under which readings of this quantity from a second device are recorded.
    ``unit_needed``: a number without a unit is ambiguous, so a reading must give its unit. ``ends`` are the values
    that represent "LOW" and "HIGH", just outside the measuring range of such sensors. ``farthest`` is how far out each
    limit may be set, and ``longest_delay_s`` how long the delay may be; an alarm beyond that would practically be off.
    ``levels`` are the clinical edges between bands of level; forecasts are judged, and their widths fitted, band by band.
    ``delay_s`` is how long a value must be just beyond a low or high limit before its alarm begins (a value that is deeper
    needs less), ``clear_s`` how long it must not be beyond the limit before the alarm ends.
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
    jump: float = inf
    trend_s: float = 60.0
    censored: tuple[float, float, float] = (-inf, inf, inf)
    limits: Limits = Limits()
    hysteresis: float = 0.0
    delay_s: float = 0.0
    clear_s: float = 0.0
    critical_delay_s: float = 0.0
    worse: tuple[float, float] = (inf, inf)
    perhaps_from: float = inf
    repeat_s: float = 0.0
    silence_s: float = 60.0
    flat_s: float = 0.0
    predictive_priority: Literal["medium", "low", ""] = ""
    second: str = ""
    unit_needed: bool = False
    ends: tuple[float, float] = (nan, nan)
    farthest: Limits = Limits()
    longest_delay_s: float = 120.0
    levels: tuple[float, ...] = ()

    def end_of_range(self, word: str) -> float | None:
        """The value that represents a sensor's word for the end of its range; ``None`` for other words and signals.

        >>> BY_NAME["glucose"].end_of_range("LOW"), BY_NAME["glucose"].end_of_range("HI")
        (39.0, 401.0)
        """
        place = _ENDS.get(word.strip().upper())
        return None if place is None or isnan(self.ends[place]) else self.ends[place]

    @property
    def modes(self) -> Modes:
        """How the signal moves around the mean of the population."""
        return MODES.get(self.name, Modes())

    @property
    def filtered(self) -> bool:
        """Whether a channel twin follows this signal."""
        return self.kind in ("vital", "glucose")


# Below, each signal is written as one paragraph.
# fmt: off
def _cuff(
    code: int, name: str, *, codes: tuple[str, tuple[int, ...]], limits: Limits, farthest: Limits,
    levels: tuple[float, ...] = (),
) -> Signal:
    """A non-invasive (cuff) blood pressure."""
    loinc, mdc = codes
    return Signal(
        code=code, name=name, unit="mm[Hg]", kind="vital", plausible=(15.0, 300.0), loinc=(loinc,), mdc=mdc, step=1.0,
        jump=60.0, trend_s=1800.0, limits=limits, hysteresis=3.0, silence_s=5400.0, farthest=farthest,
        longest_delay_s=1800.0,
        worse=(10.0, 20.0), levels=levels,
    )


def _line(
    code: int, name: str, *, codes: tuple[str, tuple[int, ...]], limits: Limits, farthest: Limits,
    levels: tuple[float, ...] = (),
) -> Signal:
    """A blood pressure from an arterial line."""
    loinc, mdc = codes
    return Signal(
        code=code, name=name, unit="mm[Hg]", kind="vital", plausible=(10.0, 300.0), loinc=(loinc,), mdc=mdc, step=1.0,
        jump=40.0, limits=limits, hysteresis=3.0, delay_s=10.0, clear_s=60.0, critical_delay_s=5.0, silence_s=60.0,
        flat_s=600.0,
        predictive_priority="low", farthest=farthest,
        worse=(10.0, 20.0), perhaps_from=0.0, levels=levels,
    )


def _oximeter(
    code: int, name: str, *, codes: tuple[tuple[str, ...], tuple[int, ...]] = ((), ()), second: str = "",
    predictive_priority: Literal["medium", ""] = "",
) -> Signal:
    """An oxygen saturation from a pulse oximeter."""
    loinc, mdc = codes
    return Signal(
        code=code, name=name, unit="%", kind="vital", plausible=(30.0, 100.0), loinc=loinc, mdc=mdc, step=1.0, jump=8.0,
        censored=(-inf, 99.5, 101.0), limits=_SATURATION, hysteresis=1.0, delay_s=20.0, clear_s=60.0,
        critical_delay_s=5.0,
        silence_s=30.0, predictive_priority=predictive_priority, second=second,
        farthest=Limits(critical_low=60.0, low=70.0, high=100.0, critical_high=100.0),
        worse=(4.0, 4.0), perhaps_from=1.0, levels=(88.0, 92.0, 96.0, 98.0),
    )


_SYSTOLIC = Limits(critical_low=80.0, low=90.0, high=180.0, critical_high=220.0)
_DIASTOLIC = Limits(critical_low=35.0, low=45.0, high=110.0, critical_high=130.0)
_MEAN = Limits(critical_low=55.0, low=65.0, high=130.0, critical_high=150.0)
_RATE = Limits(critical_low=40.0, low=50.0, high=120.0, critical_high=140.0)
_SATURATION = Limits(critical_low=85.0, low=90.0)

_OF_SYSTOLIC = (90.0, 101.0, 140.0, 180.0)
_OF_RATE = (45.0, 55.0, 100.0, 130.0)

_FAR_SYSTOLIC = Limits(critical_low=40.0, low=50.0, high=240.0, critical_high=270.0)
_FAR_DIASTOLIC = Limits(critical_low=20.0, low=25.0, high=150.0, critical_high=170.0)
_FAR_MEAN = Limits(critical_low=25.0, low=35.0, high=180.0, critical_high=200.0)
_FAR_RATE = Limits(critical_low=25.0, low=30.0, high=220.0, critical_high=250.0)


SIGNALS: tuple[Signal, ...] = (
    Signal(
        code=0, name="heart_rate", unit="/min", kind="vital", plausible=(15.0, 300.0),
        loinc=("8867-4",), mdc=(147842, 8454258), step=1.0, jump=20.0, limits=_RATE, hysteresis=2.0,
        delay_s=10.0, clear_s=60.0, critical_delay_s=4.0, silence_s=20.0, flat_s=3600.0, predictive_priority="low",
        farthest=_FAR_RATE,
        worse=(10.0, 20.0), perhaps_from=0.0, levels=_OF_RATE,
    ),
    Signal(
        code=1, name="pulse_rate", unit="/min", kind="vital", plausible=(15.0, 260.0),
        loinc=("8889-8",), mdc=(149530, 149514, 149546), step=1.0, jump=20.0, limits=_RATE, hysteresis=2.0,
        delay_s=30.0, clear_s=60.0, critical_delay_s=8.0, silence_s=40.0, flat_s=3600.0, farthest=_FAR_RATE,
        worse=(10.0, 20.0), perhaps_from=0.0, levels=_OF_RATE,
    ),
    Signal(
        code=2, name="respiratory_rate", unit="/min", kind="vital", plausible=(2.0, 90.0),
        loinc=("9279-1",), mdc=(151562, 151570, 151578, 151594), step=1.0, jump=12.0,
        limits=Limits(critical_low=6.0, low=8.0, high=25.0, critical_high=35.0), hysteresis=1.0, delay_s=30.0,
        clear_s=120.0, critical_delay_s=8.0, silence_s=40.0, flat_s=14400.0, predictive_priority="low",
        farthest=Limits(critical_low=3.0, low=4.0, high=60.0, critical_high=80.0),
        worse=(2.0, 5.0), perhaps_from=0.0, levels=(9.0, 12.0, 21.0, 25.0),
    ),
    _oximeter(
        3, "oxygen_saturation", codes=(("2708-6", "59408-5"), (150456,)), predictive_priority="medium",
        second="second_oxygen_saturation",
    ),
    Signal(
        code=4, name="arterial_oxygen_saturation", unit="%", kind="laboratory", plausible=(20.0, 100.0),
        loinc=("2713-6",), step=1.0,
    ),
    _cuff(
        5, "systolic_bp", codes=("8480-6", (150021, 150301)), limits=_SYSTOLIC, farthest=_FAR_SYSTOLIC, levels=_OF_SYSTOLIC,
    ),
    _cuff(6, "diastolic_bp", codes=("8462-4", (150022, 150302)), limits=_DIASTOLIC, farthest=_FAR_DIASTOLIC),
    _cuff(7, "mean_bp", codes=("8478-0", (150023, 150303)), limits=_MEAN, farthest=_FAR_MEAN),
    _line(
        8, "arterial_systolic_bp", codes=("76215-3", (150033, 150037)), limits=_SYSTOLIC, farthest=_FAR_SYSTOLIC,
        levels=_OF_SYSTOLIC,
    ),
    _line(9, "arterial_diastolic_bp", codes=("76213-8", (150034, 150038)), limits=_DIASTOLIC, farthest=_FAR_DIASTOLIC),
    _line(10, "arterial_mean_bp", codes=("76214-6", (150035, 150039)), limits=_MEAN, farthest=_FAR_MEAN),
    Signal(
        code=11, name="body_temperature", unit="Cel", kind="vital", plausible=(25.0, 45.0),
        loinc=("8310-5", "8329-5"), mdc=(150344, 150364, 150368), step=0.1, jump=2.0, trend_s=900.0,
        limits=Limits(critical_low=34.0, low=35.0, high=39.0, critical_high=40.5), hysteresis=0.2, delay_s=30.0,
        clear_s=60.0, critical_delay_s=30.0, silence_s=1800.0, predictive_priority="low", longest_delay_s=1800.0,
        farthest=Limits(critical_low=28.0, low=32.0, high=41.0, critical_high=42.0),
        worse=(0.5, 0.5), levels=(35.0, 36.0, 38.0, 39.1),
    ),
    Signal(
        code=12, name="skin_temperature", unit="Cel", kind="vital", plausible=(15.0, 45.0),
        loinc=("61008-9",), mdc=(150388,), step=0.02, jump=3.0, trend_s=120.0, silence_s=60.0, flat_s=7200.0, worse=(1.0, 1.0),
    ),
    Signal(
        code=13, name="perfusion_index", unit="1", kind="vital", plausible=(0.0, 30.0),
        loinc=("61006-3",), mdc=(150488,), step=0.1, jump=4.0, silence_s=60.0, worse=(0.2, 2.0),
    ),
    Signal(
        code=14, name="glucose", unit="mg/dL", kind="glucose", plausible=(20.0, 600.0),
        loinc=("99504-3", "105272-9"), mdc=(160212,), step=1.0, jump=15.0, trend_s=900.0,
        censored=(40.0, 400.0, 600.0),
        limits=Limits(critical_low=54.0, low=70.0, high=250.0, critical_high=350.0), hysteresis=5.0,
        silence_s=900.0, flat_s=21600.0, predictive_priority="medium", unit_needed=True, ends=(39.0, 401.0),
        farthest=Limits(critical_low=40.0, low=54.0, high=400.0, critical_high=500.0), longest_delay_s=1800.0,
        worse=(10.0, 50.0), repeat_s=45.0, levels=(54.0, 70.0, 180.0, 250.0),
    ),
    Signal(
        code=15, name="capillary_glucose", unit="mg/dL", kind="laboratory", plausible=(10.0, 1000.0),
        loinc=("41653-7", "14743-9"), mdc=(160184, 160188), step=1.0, unit_needed=True, ends=(19.0, 601.0),
    ),
    Signal(
        code=16, name="blood_glucose", unit="mg/dL", kind="laboratory", plausible=(10.0, 2000.0),
        loinc=("2339-0", "15074-8", "2345-7", "14749-6"), step=1.0, unit_needed=True,
    ),
    Signal(
        code=17, name="blood_ketone", unit="mmol/L", kind="laboratory", plausible=(0.0, 30.0),
        loinc=("6873-4", "104816-4"), step=0.1,
    ),
    Signal(code=18, name="insulin_bolus", unit="U", kind="dose", plausible=(0.0, 100.0)),
    Signal(code=19, name="insulin_basal", unit="U/h", kind="dose", plausible=(0.0, 50.0)),
    Signal(code=20, name="insulin_long_acting", unit="U", kind="dose", plausible=(0.0, 200.0)),
    Signal(code=21, name="insulin_premixed", unit="U", kind="dose", plausible=(0.0, 200.0)),
    Signal(code=22, name="oxygen_flow", unit="L/min", kind="setting", plausible=(0.0, 80.0), loinc=("3151-8",)),
    Signal(
        code=23, name="inspired_oxygen_fraction", unit="%", kind="setting", plausible=(15.0, 100.0),
        loinc=("3150-0",),
    ),
    Signal(
        code=24, name="glasgow_coma_scale", unit="{score}", kind="score", plausible=(3.0, 15.0),
        loinc=("9269-2",), step=1.0,
    ),
    # Only the first source predicts a crossing, so that it is reported once.
    _oximeter(25, "second_oxygen_saturation"),
    Signal(
        code=26, name="device_battery", unit="%", kind="setting", plausible=(0.0, 100.0), mdc=(67996,), step=1.0,
    ),
)
"""Every signal, indexed by its code."""
# fmt: on

BY_NAME: dict[str, Signal] = {signal.name: signal for signal in SIGNALS}
"""Every signal by name."""

FILTERED: npt.NDArray[np.bool_] = np.array([signal.filtered for signal in SIGNALS])
"""By code, whether a channel twin follows the signal."""

SECOND_SOURCE: npt.NDArray[np.uint16] = np.array([BY_NAME[s.second or s.name].code for s in SIGNALS], np.uint16)
"""By code, the signal under which readings of a second source are recorded; the signal itself if there is none."""

FIRST_OF: dict[str, str] = {signal.second: signal.name for signal in SIGNALS if signal.second}
"""By the name of a second source, the signal that it measures."""
