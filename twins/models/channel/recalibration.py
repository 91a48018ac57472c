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
    ("heart_rate", "within_30_min", "low"): Recalibration(0.707, -0.0589, 0.924),
    ("heart_rate", "within_30_min", "high"): Recalibration(0.319, -0.783, 1.03),
    ("heart_rate", "next_reading", "low"): Recalibration(0.832, -1.58, 1.06),
    ("heart_rate", "next_reading", "high"): Recalibration(0.578, -1.13, 1.6),
    ("pulse_rate", "within_30_min", "low"): Recalibration(0.498, -0.311, 0.918),
    ("pulse_rate", "within_30_min", "high"): Recalibration(0.552, 0.0806, 0.986),
    ("respiratory_rate", "within_30_min", "low"): Recalibration(0.471, -0.0449, 1.01),
    ("respiratory_rate", "within_30_min", "high"): Recalibration(0.546, 0.176, 1.01),
    ("respiratory_rate", "next_reading", "low"): Recalibration(0.594, -2.38, 1.03),
    ("respiratory_rate", "next_reading", "high"): Recalibration(0.557, -1.04, 1.46),
    ("oxygen_saturation", "within_30_min", "low"): Recalibration(0.483, 0.128, 0.919),
    ("oxygen_saturation", "next_reading", "low"): Recalibration(0.422, -1.51, 1.51),
    ("systolic_bp", "within_30_min", "low"): Recalibration(0.504, 0.224, 1.19),
    ("systolic_bp", "within_30_min", "high"): Recalibration(0.6, 0.323, 1.18),
    ("systolic_bp", "next_reading", "low"): Recalibration(0.692, -1.36, 2.54),
    ("systolic_bp", "next_reading", "high"): Recalibration(0.718, -0.592, 1.78),
    ("diastolic_bp", "within_30_min", "low"): Recalibration(0.547, 0.124, 0.559),
    ("diastolic_bp", "within_30_min", "high"): Recalibration(0.505, 0.495, 1.2),
    ("diastolic_bp", "next_reading", "low"): Recalibration(0.587, -1.37, 1.35),
    ("diastolic_bp", "next_reading", "high"): Recalibration(0.501, -1.39, 1.11),
    ("mean_bp", "within_30_min", "low"): Recalibration(0.366, -0.165, 0.727),
    ("mean_bp", "within_30_min", "high"): Recalibration(0.58, 0.589, 1.22),
    ("mean_bp", "next_reading", "low"): Recalibration(0.627, -1, 2.16),
    ("mean_bp", "next_reading", "high"): Recalibration(0.595, -0.839, 1.22),
    ("arterial_systolic_bp", "within_30_min", "low"): Recalibration(0.614, 0.268, 0.708),
    ("arterial_systolic_bp", "next_reading", "low"): Recalibration(0.55, -1.64, 2),
    ("arterial_systolic_bp", "next_reading", "high"): Recalibration(0.658, -1.11, 1.18),
    ("arterial_diastolic_bp", "within_30_min", "low"): Recalibration(0.552, 0.0449, 0.961),
    ("arterial_diastolic_bp", "next_reading", "low"): Recalibration(0.705, -1.38, 1.67),
    ("arterial_mean_bp", "within_30_min", "low"): Recalibration(0.458, -0.0384, 0.307),
    ("arterial_mean_bp", "next_reading", "low"): Recalibration(0.515, -1.44, 1.68),
    ("arterial_mean_bp", "next_reading", "high"): Recalibration(0.462, -1.21, 1.17),
    ("body_temperature", "next_reading", "high"): Recalibration(0.625, -0.992, 1.06),
    ("glucose", "within_30_min", "low"): Recalibration(0.87, -0.519, 1.01),
    ("glucose", "within_30_min", "high"): Recalibration(0.635, 0.162, 1.28),
    ("glucose", "next_reading", "low"): Recalibration(1.26, -1.18, 1.56),
    ("glucose", "next_reading", "high"): Recalibration(0.941, -0.217, 1.26),
}
_OTHERS: dict[tuple[Kind, Side], Recalibration] = {
    ("within_30_min", "low"): Recalibration(0.555, -0.135, 0.968),
    ("within_30_min", "high"): Recalibration(0.566, 0.0584, 1.09),
    ("next_reading", "low"): Recalibration(0.634, -1.37, 1.43),
    ("next_reading", "high"): Recalibration(0.607, -0.919, 1.14),
}
"""For the others, of which fewer than 20 chances came true: the median of these, by kind and side."""


def recalibration_of(signal: str, kind: Kind, side: Side) -> Recalibration:
    """The recalibration of a signal's chance; that of most signals if it was seldom recorded."""
    return RECALIBRATIONS.get((signal, kind, side), _OTHERS[kind, side])
