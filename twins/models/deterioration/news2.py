"""National Early Warning Score 2: the chart, a kernel over columns, and the score of one patient.

The chart is the Royal College of Physicians' (*National Early Warning Score (NEWS) 2*, London 2017, chart 1),
reproduced with credit. It is for people aged 16 and over and not for pregnancy. SpO2 scale 2 is used only if a
clinician prescribed it for that patient.

**Rounding.** The chart is written in whole numbers (temperature in tenths). It does not define values between, for
example, 20 and 21 breaths, but estimates often lie there. They are rounded as a nurse would chart them: to the nearest
step, halves away from zero, so 8.4 → 8, 20.5 → 21 and 38.05 → 38.1. A value within 1e-9 of a half counts as a half, so
38.05 in binary rounds as it does in decimal.

**Missing.** A part that cannot be known is ``MISSING`` (-1) and is left out of the total, which is then the lowest
possible score. With scale 2, an SpO2 of 93 or more scores 0 on air and 1 to 3 on oxygen. So if the oxygen is not known,
that part is missing as well.
"""

from collections.abc import Mapping, Sequence
from math import nan

import msgspec
import numpy as np
import numpy.typing as npt

from twins.compiled.jit import kernel

__all__ = [
    "CONSCIOUSNESS", "FORGOTTEN_AFTER_S", "HIGHEST_PART", "MISSING", "PARAMETERS", "STALE_AFTER_S", "VITALS", "News2", "risk",
    "score", "score_parts", "summarise",
]  # fmt: skip

PARAMETERS: tuple[str, ...] = (
    "respiratory_rate", "oxygen_saturation", "oxygen", "systolic_bp", "pulse", "consciousness", "temperature",
)  # fmt: skip
"""The seven parameters in the order of the chart, and of the columns of ``score_parts``."""

VITALS: tuple[str, ...] = ("respiratory_rate", "oxygen_saturation", "systolic_bp", "pulse", "temperature")
"""Those that a sensor measures: their ages decide whether a score is old."""

CONSCIOUSNESS: dict[str, int] = {"A": 0, "C": 1, "V": 2, "P": 3, "U": 4}
"""Alert, (new) Confusion, responds to Voice, to Pain, Unresponsive: the codes of the consciousness column."""

HIGHEST_PART: tuple[int, ...] = (3, 3, 2, 3, 3, 3, 3)
"""The most points of each parameter; together 20."""

MISSING = -1

_HOUR = 3600.0

STALE_AFTER_S: dict[str, float] = {
    "respiratory_rate": _HOUR, "oxygen_saturation": _HOUR, "oxygen": 12 * _HOUR, "systolic_bp": 6 * _HOUR,
    "pulse": _HOUR, "consciousness": 12 * _HOUR, "temperature": 12 * _HOUR,
}  # fmt: skip
"""Age, in seconds, from which an input is shown as stale; it still counts.

Continuous vitals: 1 h, the interval that the chart requires for a raised score. Pressure: 6 h, the upper end of the 4–6
hours for scores of 1–4. Temperature and the charted facts: 12 h, the routine interval at a score of 0.
"""

FORGOTTEN_AFTER_S: dict[str, float] = {
    "respiratory_rate": 4 * _HOUR, "oxygen_saturation": 4 * _HOUR, "oxygen": 24 * _HOUR, "systolic_bp": 24 * _HOUR,
    "pulse": 4 * _HOUR, "consciousness": 24 * _HOUR, "temperature": 24 * _HOUR,
}  # fmt: skip
"""Age, in seconds, beyond which an input no longer counts and its part is missing.

Four hours for continuous vitals, because such a sensor has clearly been off; a day for what is measured by hand.
"""

# The chart: for each row the highest value (in steps) of each band, then the points of each band.
# Rows: respiratory rate, SpO2 scale 1, SpO2 scale 2 on air, scale 2 on oxygen, systolic, pulse, temperature in tenths.
_END = 1e9
_TOP: npt.NDArray[np.float64] = np.array([
    (8, 11, 20, 24, _END, _END),
    (91, 93, 95, _END, _END, _END),
    (83, 85, 87, _END, _END, _END),
    (83, 85, 87, 92, 94, 96),
    (90, 100, 110, 219, _END, _END),
    (40, 50, 90, 110, 130, _END),
    (350, 360, 380, 390, _END, _END),
])  # fmt: skip
_POINTS: npt.NDArray[np.int8] = np.array([
    (3, 1, 0, 2, 3, 3, 3),
    (3, 2, 1, 0, 0, 0, 0),
    (3, 2, 1, 0, 0, 0, 0),
    (3, 2, 1, 0, 1, 2, 3),
    (3, 2, 1, 0, 3, 3, 3),
    (3, 1, 0, 1, 2, 3, 3),
    (3, 1, 0, 1, 2, 2, 2),
], np.int8)  # fmt: skip
_RESPIRATORY, _SCALE_1, _SCALE_2_AIR, _SCALE_2_OXYGEN, _SYSTOLIC, _PULSE, _TEMPERATURE = range(7)


@kernel()
def _points(row: int, value: float, steps_per_unit: float) -> int:
    """The points of one value on one row of the chart, or ``MISSING`` if it is not a finite number."""
    if not np.isfinite(value):
        return MISSING
    steps = np.floor(abs(value) * steps_per_unit + 0.5 + 1e-9)
    if value < 0.0:
        steps = -steps
    band = 0
    while band < 6 and steps > _TOP[row, band]:
        band += 1
    return _POINTS[row, band]  # type: ignore[no-any-return]


@kernel()
def _saturation_points(value: float, on_oxygen: float, scale2: bool) -> int:  # noqa: FBT001 (kernels take no keywords)
    """The points of an SpO2; on scale 2 they depend on the oxygen."""
    if not scale2:
        return _points(_SCALE_1, value, 1.0)
    on_air = _points(_SCALE_2_AIR, value, 1.0)
    if np.isfinite(on_oxygen):
        return on_air if on_oxygen <= 0.0 else _points(_SCALE_2_OXYGEN, value, 1.0)
    same = on_air == _points(_SCALE_2_OXYGEN, value, 1.0)
    return on_air if same else MISSING


@kernel()
def _oxygen_points(on_oxygen: float) -> int:
    """The points of breathing oxygen (above 0) instead of air (0)."""
    if not np.isfinite(on_oxygen):
        return MISSING
    return 2 if on_oxygen > 0.0 else 0


@kernel()
def _consciousness_points(code: float) -> int:
    """The points of an ACVPU code, ``MISSING`` for any other number."""
    if code != np.floor(code) or not 0.0 <= code <= 4.0:
        return MISSING
    return 0 if code == 0.0 else 3


@kernel()
def score_parts(
    respiratory: npt.NDArray[np.float64],
    spo2: npt.NDArray[np.float64],
    on_oxygen: npt.NDArray[np.float64],
    systolic: npt.NDArray[np.float64],
    pulse: npt.NDArray[np.float64],
    consciousness: npt.NDArray[np.float64],
    temperature: npt.NDArray[np.float64],
    scale2: npt.NDArray[np.bool_],
    out_parts: npt.NDArray[np.int8],
) -> None:
    """Score n patients into ``out_parts`` (n, 7), columns as ``PARAMETERS``.

    Inputs are float64 of length n with NaN for missing: /min, %, oxygen (0 air, above 0 oxygen: a flag or a flow),
    mm[Hg], /min, consciousness as ``CONSCIOUSNESS``, Cel. ``scale2`` is boolean. A part is ``MISSING`` (-1) if the
    input is missing, infinite, or not a code of the scale.
    """
    for i in range(out_parts.shape[0]):
        out_parts[i, 0] = _points(_RESPIRATORY, respiratory[i], 1.0)
        out_parts[i, 1] = _saturation_points(spo2[i], on_oxygen[i], scale2[i])
        out_parts[i, 2] = _oxygen_points(on_oxygen[i])
        out_parts[i, 3] = _points(_SYSTOLIC, systolic[i], 1.0)
        out_parts[i, 4] = _points(_PULSE, pulse[i], 1.0)
        out_parts[i, 5] = _consciousness_points(consciousness[i])
        out_parts[i, 6] = _points(_TEMPERATURE, temperature[i], 10.0)


class News2(msgspec.Struct, frozen=True, kw_only=True):
    """One patient's score: ``total`` has the known parts only, ``at_most`` adds the most points of the missing ones.

    ``parts`` has the known parts by parameter. ``missing`` and ``stale`` name parameters in chart order. ``ages_s`` is
    the age of each input in seconds (also of inputs too old to count).
    """

    total: int
    at_most: int
    risk: str
    parts: dict[str, int]
    missing: tuple[str, ...] = ()
    stale: tuple[str, ...] = ()
    ages_s: dict[str, float] = {}

    @property
    def partial(self) -> bool:
        """Whether any input is missing, so that the true score may be higher."""
        return bool(self.missing)


def risk(total: int, parts: Mapping[str, int], missing: Sequence[str] = ()) -> str:
    """The clinical risk by the thresholds: ``low``, ``low-medium`` (a 3 in one parameter), ``medium`` or ``high``.

    With missing inputs it is the lowest possible risk, and ``unknown`` when nothing is known.

    >>> risk(3, {"pulse": 3})
    'low-medium'
    """
    if len(missing) == len(PARAMETERS):
        return "unknown"
    if total >= 7:
        return "high"
    if total >= 5:
        return "medium"
    return "low-medium" if 3 in parts.values() else "low"


def summarise(row: Sequence[int], ages_s: Mapping[str, float] | None = None) -> News2:
    """The score of one row of ``score_parts``; ``ages_s`` gives the age of each input in seconds, where known."""
    ages = dict(ages_s or {})
    parts = {name: int(part) for name, part in zip(PARAMETERS, row, strict=True) if part != MISSING}
    missing = tuple(name for name in PARAMETERS if name not in parts)
    total = sum(parts.values())
    return News2(
        total=total,
        at_most=total + sum(most for name, most in zip(PARAMETERS, HIGHEST_PART, strict=True) if name in missing),
        risk=risk(total, parts, missing),
        parts=parts,
        missing=missing,
        stale=tuple(name for name in parts if ages.get(name, 0.0) >= STALE_AFTER_S[name]),
        ages_s=ages,
    )


def score(values: Mapping[str, float], ages_s: Mapping[str, float] | None = None, *, scale2: bool = False) -> News2:
    """Score one patient.

    ``values`` by name of ``PARAMETERS`` in the units of ``score_parts``. What is absent, NaN or older than
    ``FORGOTTEN_AFTER_S`` is missing.

    >>> score({"respiratory_rate": 22.0, "oxygen_saturation": 95.0, "pulse": 80.0}).total
    3
    """
    ages = dict(ages_s or {})
    known = {name: value for name, value in values.items() if ages.get(name, 0.0) <= FORGOTTEN_AFTER_S[name]}
    rate, spo2, oxygen, systolic, pulse, mind, warmth = (
        np.array([known.get(name, nan)], np.float64) for name in PARAMETERS
    )
    parts = np.empty((1, len(PARAMETERS)), np.int8)
    score_parts(rate, spo2, oxygen, systolic, pulse, mind, warmth, np.array([scale2]), parts)
    return summarise(parts[0].tolist(), ages)
