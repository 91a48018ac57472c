"""Default limits of infants and children, by age in whole years; each row names its source.

Heart rate, systolic pressure and respiratory rate are from Bedside PEWS: Parshuram CS, Hutchison J, Middleton K,
*Development and initial validation of the Bedside Paediatric Early Warning System score*, Crit Care 2009;13:R135,
table 1. The low and high limits are the values that score 2 points, the critical limits those that score 4. The row of
infants is that for 3 to 12 months: an age in whole years does not distinguish younger ones.

Mean pressure: Haque IU, Zaritsky AL, *Analysis of the evidence for the lower limit of systolic and mean arterial
pressure in children*, Pediatr Crit Care Med 2007;8:138-144. The 5th percentile at median height is 1.5 × age + 40; a row
uses its youngest age. No source gives an upper or a critical limit of it, or any limit of the diastolic pressure; there
is then no default, because a limit for adults would be wrong.
"""

import msgspec

from twins.alarms.age_bands import ADULT_FROM, AgeBand, band_of
from twins.signals import BY_NAME, Limits

__all__ = ["BY_AGE", "AgeLimits", "age_limits"]

PEWS = "Bedside PEWS (Parshuram 2009, table 1)"
PRESSURE = "Haque and Zaritsky 2007"
NONE_KNOWN = "no published limit at this age"


class AgeLimits(msgspec.Struct, frozen=True):
    """Default limits of one signal from ``since`` years of age up to the next row."""

    since: int
    limits: Limits
    source: str

    @property
    def band(self) -> AgeBand:
        """The band of the row's first year."""
        return band_of(self.since)


def _pews(*rows: tuple[int, float, float, float, float]) -> tuple[AgeLimits, ...]:
    return tuple(AgeLimits(since, Limits(*bounds), PEWS) for since, *bounds in rows)


_RATE = _pews((0, 70, 80, 170, 180), (1, 60, 70, 150, 170), (4, 50, 60, 130, 150), (12, 40, 50, 120, 140))
_SYSTOLIC = _pews((0, 60, 70, 120, 150), (1, 65, 75, 125, 160), (4, 70, 80, 140, 170), (12, 75, 85, 150, 190))
_BREATHS = _pews((0, 15, 19, 71, 81), (1, 12, 15, 61, 71), (4, 10, 14, 41, 51), (12, 9, 10, 23, 30))
_MEAN = tuple(AgeLimits(since, Limits(low=1.5 * since + 40.0), PRESSURE) for since in (0, 1, 4, 12))
_NONE = (AgeLimits(0, Limits(), NONE_KNOWN),)

BY_AGE: dict[str, tuple[AgeLimits, ...]] = {
    "heart_rate": _RATE, "pulse_rate": _RATE, "respiratory_rate": _BREATHS, "systolic_bp": _SYSTOLIC,
    "arterial_systolic_bp": _SYSTOLIC, "mean_bp": _MEAN, "arterial_mean_bp": _MEAN, "diastolic_bp": _NONE,
    "arterial_diastolic_bp": _NONE,
}  # fmt: skip
"""The rows of each signal whose limits depend on age, by age; all other signals have one default for everybody."""
if unknown := BY_AGE.keys() - BY_NAME.keys():
    raise RuntimeError(f"no such signals: {sorted(unknown)}")


def age_limits(signal: str, age: int | None) -> AgeLimits | None:
    """The row for an age in whole years; ``None`` for adults, for an unknown age, and if age makes no difference.

    >>> age_limits("heart_rate", 2).limits.high, age_limits("heart_rate", 40), age_limits("glucose", 2)
    (150, None, None)
    """
    if age is None or age >= ADULT_FROM:
        return None
    return next((row for row in reversed(BY_AGE.get(signal, ())) if age >= row.since), None)
