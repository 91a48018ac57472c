"""How the chance of a reading beyond a limit is recalibrated: slope and offset of its logit, by signal, kind and side.

Fitted by ``vitaltwin fit --chances`` on the recorded patients with even positions when sorted by id; those with odd
positions are for the evaluation. See docs/channel.md.
"""

from typing import Literal

import msgspec

__all__ = ["KINDS", "RECALIBRATIONS", "SIDES", "Recalibration", "recalibration_of"]

Kind = Literal["within_30_min", "next_reading"]
Side = Literal["low", "high"]
KINDS: tuple[Kind, ...] = ("within_30_min", "next_reading")
"""In the order of their numbers in the bank and in records."""
SIDES: tuple[Side, ...] = ("low", "high")


class Recalibration(msgspec.Struct, frozen=True):
    """Stated chance = σ(``slope`` · logit(raw) + ``offset`` + the patient's own offset).

    ``precision`` is 1 / variance of the patients' own offsets.
    """

    slope: float
    offset: float
    precision: float


RECALIBRATIONS: dict[tuple[str, Kind, Side], Recalibration] = {
    ("heart_rate", "within_30_min", "low"): Recalibration(0.705, -0.0689, 0.925),
    ("heart_rate", "within_30_min", "high"): Recalibration(0.317, -0.786, 1.02),
    ("heart_rate", "next_reading", "low"): Recalibration(0.833, -1.57, 1.05),
    ("heart_rate", "next_reading", "high"): Recalibration(0.579, -1.13, 1.61),
    ("pulse_rate", "within_30_min", "low"): Recalibration(0.499, -0.325, 0.915),
    ("pulse_rate", "within_30_min", "high"): Recalibration(0.551, 0.0711, 0.99),
    ("respiratory_rate", "within_30_min", "low"): Recalibration(0.469, -0.0688, 1.01),
    ("respiratory_rate", "within_30_min", "high"): Recalibration(0.543, 0.16, 1.01),
    ("respiratory_rate", "next_reading", "low"): Recalibration(0.594, -2.39, 1.03),
    ("respiratory_rate", "next_reading", "high"): Recalibration(0.557, -1.04, 1.46),
    ("oxygen_saturation", "within_30_min", "low"): Recalibration(0.486, 0.108, 0.92),
    ("oxygen_saturation", "next_reading", "low"): Recalibration(0.421, -1.51, 1.52),
    ("systolic_bp", "within_30_min", "low"): Recalibration(0.504, 0.227, 1.19),
    ("systolic_bp", "within_30_min", "high"): Recalibration(0.598, 0.313, 1.18),
    ("systolic_bp", "next_reading", "low"): Recalibration(0.692, -1.36, 2.54),
    ("systolic_bp", "next_reading", "high"): Recalibration(0.717, -0.594, 1.78),
    ("diastolic_bp", "within_30_min", "low"): Recalibration(0.547, 0.127, 0.545),
    ("diastolic_bp", "within_30_min", "high"): Recalibration(0.505, 0.496, 1.19),
    ("diastolic_bp", "next_reading", "low"): Recalibration(0.585, -1.37, 1.35),
    ("diastolic_bp", "next_reading", "high"): Recalibration(0.502, -1.38, 1.11),
    ("mean_bp", "within_30_min", "low"): Recalibration(0.367, -0.161, 0.735),
    ("mean_bp", "within_30_min", "high"): Recalibration(0.58, 0.589, 1.22),
    ("mean_bp", "next_reading", "low"): Recalibration(0.629, -0.999, 2.17),
    ("mean_bp", "next_reading", "high"): Recalibration(0.595, -0.837, 1.22),
    ("arterial_systolic_bp", "within_30_min", "low"): Recalibration(0.613, 0.188, 0.698),
    ("arterial_systolic_bp", "next_reading", "low"): Recalibration(0.556, -1.61, 2.06),
    ("arterial_systolic_bp", "next_reading", "high"): Recalibration(0.655, -1.12, 1.18),
    ("arterial_diastolic_bp", "within_30_min", "low"): Recalibration(0.547, 0.0339, 0.955),
    ("arterial_diastolic_bp", "next_reading", "low"): Recalibration(0.7, -1.38, 1.67),
    ("arterial_mean_bp", "within_30_min", "low"): Recalibration(0.488, -0.0316, 0.354),
    ("arterial_mean_bp", "next_reading", "low"): Recalibration(0.512, -1.48, 1.58),
    ("arterial_mean_bp", "next_reading", "high"): Recalibration(0.46, -1.21, 1.17),
    ("body_temperature", "next_reading", "high"): Recalibration(0.624, -0.998, 1.07),
    ("glucose", "within_30_min", "low"): Recalibration(0.869, -0.525, 1),
    ("glucose", "within_30_min", "high"): Recalibration(0.634, 0.15, 1.27),
    ("glucose", "next_reading", "low"): Recalibration(1.26, -1.18, 1.55),
    ("glucose", "next_reading", "high"): Recalibration(0.942, -0.226, 1.26),
}
_OTHERS: dict[tuple[Kind, Side], Recalibration] = {
    ("within_30_min", "low"): Recalibration(0.554, -0.155, 0.965),
    ("within_30_min", "high"): Recalibration(0.565, 0.0513, 1.09),
    ("next_reading", "low"): Recalibration(0.634, -1.37, 1.42),
    ("next_reading", "high"): Recalibration(0.607, -0.929, 1.13),
}
"""For the others, of which fewer than 20 chances came true: the median of these, by kind and side."""


def recalibration_of(signal: str, kind: Kind, side: Side) -> Recalibration:
    """The recalibration of a signal's chance; that of most signals if it was seldom recorded."""
    return RECALIBRATIONS.get((signal, kind, side), _OTHERS[kind, side])
