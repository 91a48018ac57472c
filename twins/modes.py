"""How each filtered signal moves: the parameters of its channel twin, fitted by ``vitaltwin fit``.

Fitted on the recordings' patients at even places by id, so that those at odd places may judge them; see docs/channel.md.
"""

import msgspec

__all__ = ["MODES", "Modes"]


class Modes(msgspec.Struct, frozen=True):
    """A level about ``mean``: sensor noise, and the spread (sd) and time-scale (s) of a fast and a slow mode.

    ``coupling`` is the correlation of what drives the modes: 0 for two that come and go by themselves, -1 for one level
    with a damped trend.
    """

    mean: float = 0.0
    noise_sd: float = 1.0
    fast_sd: float = 1.0
    fast_s: float = 60.0
    slow_sd: float = 1.0
    slow_s: float = 86_400.0
    coupling: float = 0.0


MODES: dict[str, Modes] = {
    "heart_rate": Modes(77.7, 0.07, 3.49, 185.0, 18.0, 140_800.0),
    "pulse_rate": Modes(77.7, 0.3, 3.49, 185.0, 18.0, 140_800.0),
    "respiratory_rate": Modes(19.0, 0.1, 2.11, 72.0, 4.2, 85_000.0),
    "oxygen_saturation": Modes(97.5, 0.14, 1.05, 2_614.0, 1.98, 101_700.0),
    "systolic_bp": Modes(118.7, 2.4, 9.38, 938.0, 18.8, 76_200.0),
    "diastolic_bp": Modes(58.2, 0.07, 7.07, 993.0, 10.8, 118_200.0),
    "mean_bp": Modes(76.1, 0.09, 7.19, 1_230.0, 11.9, 90_900.0),
    "arterial_systolic_bp": Modes(117.2, 3.26, 12.2, 624.0, 16.3, 68_800.0),
    "arterial_diastolic_bp": Modes(56.6, 0.51, 5.89, 729.0, 8.57, 65_400.0),
    "arterial_mean_bp": Modes(80.0, 0.5, 7.5, 624.0, 11.0, 68_800.0),
    "body_temperature": Modes(37.0, 0.01, 0.32, 3_914.0, 0.81, 26_270.0, -0.92),
    "skin_temperature": Modes(33.0, 0.01, 0.93, 10_448.0, 1.5, 18_040.0, -0.6),
    "perfusion_index": Modes(2.0, 0.1, 0.8, 300.0, 1.5, 50_000.0),
    "glucose": Modes(139.6, 1.0, 20.5, 1_440.0, 65.6, 14_760.0, -0.99),
}
"""By signal; where no recording holds enough, those of the nearest (pulse, arterial mean) or by judgement (perfusion)."""
