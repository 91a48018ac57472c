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
    ("heart_rate", "within_30_min", "low"): Recalibration(0.831, -1.85, 0.438),
    ("heart_rate", "within_30_min", "high"): Recalibration(0.208, -1.91, 0.821),
    ("heart_rate", "next_reading", "low"): Recalibration(0.814, -1.59, 0.861),
    ("heart_rate", "next_reading", "high"): Recalibration(0.569, -1.19, 1.38),
    ("pulse_rate", "within_30_min", "low"): Recalibration(0.324, -1.73, 0.682),
    ("pulse_rate", "within_30_min", "high"): Recalibration(0.515, -0.86, 0.649),
    ("respiratory_rate", "within_30_min", "low"): Recalibration(0.313, -1.64, 1.14),
    ("respiratory_rate", "within_30_min", "high"): Recalibration(0.365, -2.04, 0.921),
    ("respiratory_rate", "next_reading", "low"): Recalibration(0.675, -2, 0.895),
    ("respiratory_rate", "next_reading", "high"): Recalibration(0.557, -1.04, 1.29),
    ("oxygen_saturation", "within_30_min", "low"): Recalibration(0.434, -0.199, 0.715),
    ("oxygen_saturation", "next_reading", "low"): Recalibration(0.462, -1.18, 1.35),
    ("systolic_bp", "within_30_min", "low"): Recalibration(0.35, -0.715, 1.24),
    ("systolic_bp", "within_30_min", "high"): Recalibration(0.488, -0.607, 1.2),
    ("systolic_bp", "next_reading", "low"): Recalibration(0.688, -1.38, 1.61),
    ("systolic_bp", "next_reading", "high"): Recalibration(0.695, -0.7, 1.5),
    ("diastolic_bp", "within_30_min", "low"): Recalibration(0.467, -1.32, 0.57),
    ("diastolic_bp", "within_30_min", "high"): Recalibration(0.411, -0.585, 1.34),
    ("diastolic_bp", "next_reading", "low"): Recalibration(0.599, -1.31, 1.19),
    ("diastolic_bp", "next_reading", "high"): Recalibration(0.517, -1.22, 1.07),
    ("mean_bp", "within_30_min", "low"): Recalibration(0.347, -1.15, 0.746),
    ("mean_bp", "within_30_min", "high"): Recalibration(0.443, -0.794, 1.19),
    ("mean_bp", "next_reading", "low"): Recalibration(0.619, -1.04, 1.61),
    ("mean_bp", "next_reading", "high"): Recalibration(0.582, -0.922, 1.16),
    ("arterial_systolic_bp", "within_30_min", "low"): Recalibration(0.507, -1.49, 0.723),
    ("arterial_systolic_bp", "next_reading", "low"): Recalibration(0.615, -1.36, 1.46),
    ("arterial_systolic_bp", "next_reading", "high"): Recalibration(0.637, -1.1, 1.16),
    ("arterial_diastolic_bp", "within_30_min", "low"): Recalibration(0.447, -1.46, 1.1),
    ("arterial_diastolic_bp", "next_reading", "low"): Recalibration(0.726, -1.36, 1.3),
    ("arterial_diastolic_bp", "next_reading", "high"): Recalibration(0.611, -0.943, 0.537),
    ("arterial_mean_bp", "within_30_min", "low"): Recalibration(0.373, -1.38, 0.175),
    ("arterial_mean_bp", "next_reading", "low"): Recalibration(0.578, -1.29, 1.34),
    ("arterial_mean_bp", "next_reading", "high"): Recalibration(0.464, -1.13, 1.16),
    ("body_temperature", "next_reading", "high"): Recalibration(0.618, -0.952, 1.14),
    ("glucose", "within_30_min", "low"): Recalibration(0.664, -1.47, 0.971),
    ("glucose", "within_30_min", "high"): Recalibration(0.548, -0.701, 1.2),
    ("glucose", "next_reading", "low"): Recalibration(1.55, -0.696, 1.46),
    ("glucose", "next_reading", "high"): Recalibration(1.01, 0.0266, 1.43),
}
_OTHERS: dict[tuple[Kind, Side], Recalibration] = {
    ("within_30_min", "low"): Recalibration(0.5, -1.3, 0.8),
    ("within_30_min", "high"): Recalibration(0.5, -0.9, 0.8),
    ("next_reading", "low"): Recalibration(0.6, -1.3, 1.2),
    ("next_reading", "high"): Recalibration(0.6, -1.0, 1.2),
}
"""For signals that were recorded with fewer than 20 readings that came true."""


def recalibration_of(signal: str, kind: Kind, side: Side) -> Recalibration:
    """The recalibration of a signal's chance; that of most signals if it was seldom recorded."""
    return RECALIBRATIONS.get((signal, kind, side), _OTHERS[kind, side])
