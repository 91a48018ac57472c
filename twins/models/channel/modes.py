"""How each filtered signal moves: the parameters of its channel twin, fitted by ``vitaltwin fit``.

Fitted on the recorded patients with even positions when sorted by id; those with odd positions are for the evaluation.
See docs/channel.md.
"""

import msgspec

__all__ = ["MODES", "Modes"]


class Modes(msgspec.Struct, frozen=True):
    """A level around ``mean``: sensor noise, and the spread (sd) and time-scale (s) of a fast and a slow mode.

    ``coupling`` is the correlation of the noises that drive the modes: 0 for independent modes, -1 for one level with a
    damped trend.
    """

    mean: float = 0.0
    noise_sd: float = 1.0
    fast_sd: float = 1.0
    fast_s: float = 60.0
    slow_sd: float = 1.0
    slow_s: float = 86_400.0
    coupling: float = 0.0


MODES: dict[str, Modes] = {
    "heart_rate": Modes(81.36, 0.1, 3.711, 145.7, 16.69, 89_020.0),
    "pulse_rate": Modes(80.03, 0.1, 3.066, 144.5, 17.59, 94_230.0),
    "respiratory_rate": Modes(19.38, 0.3285, 2.278, 116.9, 4.129, 80_150.0),
    "oxygen_saturation": Modes(97.01, 0.2532, 1.149, 3_114.0, 1.896, 86_450.0),
    "systolic_bp": Modes(118.2, 5.135, 9.384, 2_054.0, 18.36, 96_020.0),
    "diastolic_bp": Modes(58.67, 0.1003, 7.272, 703.4, 11.36, 110_800.0),
    "mean_bp": Modes(76.69, 0.1001, 7.369, 778.5, 12.41, 81_540.0),
    "arterial_systolic_bp": Modes(116.9, 0.9194, 12.75, 445.2, 15.68, 60_300.0),
    "arterial_diastolic_bp": Modes(57.04, 0.5857, 5.942, 687.8, 8.701, 64_210.0),
    "arterial_mean_bp": Modes(76.08, 0.1075, 8.101, 412.1, 9.648, 47_140.0),
    "body_temperature": Modes(37.05, 0.05694, 0.2125, 2_382.0, 0.7232, 27_590.0, -1.0),
    "skin_temperature": Modes(30.74, 0.007516, 0.07546, 52.09, 3.259, 41_600.0, -1.0),
    "perfusion_index": Modes(2.0, 0.1, 0.8, 300.0, 1.5, 50_000.0),
    "glucose": Modes(137.8, 0.9113, 15.71, 1_032.0, 62.68, 16_440.0, -1.0),
}
"""By signal. The pulse is fitted together with the heart rate. The perfusion index was recorded for one patient only,
so its values are set by judgement. The body temperature is fitted with the few patients of the charted file, which the
rule for choosing files would exclude.
"""
MODES["second_oxygen_saturation"] = MODES["oxygen_saturation"]
