"""Forms that a signal's motion may have, and their parameters as coordinates for a fit.

``ou`` (two independent modes) and ``coupled`` are those of the channel twin. Special cases of it are ``single`` (no
fast mode), ``trend`` (driving noises with correlation -1 and equal strength: a level with a damped trend; with a very
long slow time-scale, its rate of change is an Ornstein-Uhlenbeck process) and, up to a ratio of time-scales of 1.05
instead of 1, ``matern32``. ``matern52`` and ``three`` (three independent modes) are outside.
"""

from math import atanh, exp, log, sqrt, tanh
from typing import NamedTuple

import numpy as np

from twins.arrays import F8
from twins.fitting.likelihood import transition
from twins.models.channel.modes import Modes

__all__ = ["FORMS", "Frame", "Motion", "begin", "decode", "encode", "modes_of", "motion_of", "reaches"]

FORMS: dict[str, tuple[str, ...]] = {
    "single": ("mean", "noise_sd", "slow_s", "slow_sd"),
    "ou": ("mean", "noise_sd", "fast_s", "slow_s", "fast_sd", "slow_sd"),
    "trend": ("mean", "noise_sd", "fast_s", "slow_s", "sd"),
    "coupled": ("mean", "noise_sd", "fast_s", "slow_s", "fast_sd", "slow_sd", "coupling"),
    "matern32": ("mean", "noise_sd", "scale_s", "sd"),
    "matern52": ("mean", "noise_sd", "scale_s", "sd"),
    "three": ("mean", "noise_sd", "fast_s", "middle_s", "slow_s", "fast_sd", "middle_sd", "slow_sd"),
}
"""The parameters of each form, in the signal's unit and s; time-scales in rising order."""

_ORDER = {"matern32": 1, "matern52": 2}
_SHORTEST_S, _LONGEST_S = 10.0, 30 * 86_400.0
_APART = 2.0
_CLOSE = sqrt(1.05)
_COUPLING = 0.99999
_MEAN, _SD, _LEVEL = 3.0, 4.0, 1.5
_MODE_SDS = ("fast_sd", "middle_sd", "slow_sd")
_FLOOR = 0.1


class Frame(NamedTuple):
    """The scales and bounds of a fit: where the readings lie (``centre``, ``spread``), plausible range, step."""

    centre: float
    spread: float
    plausible: tuple[float, float]
    step: float


class Motion(NamedTuple):
    """A stationary motion as the kernel takes it; ``noise`` is a variance and includes that of the sensor's rounding."""

    mean: float
    noise: float
    order: int
    rate: F8
    stationary: F8


def begin(form: str, frame: Frame) -> F8:
    """Coordinates at which a fit of ``form`` starts."""
    small = max(0.1 * frame.spread, 0.3 * frame.step)
    values = {
        "mean": frame.centre, "noise_sd": small, "fast_s": 300.0, "middle_s": 3_600.0, "slow_s": 30_000.0,
        "scale_s": 3_600.0, "fast_sd": 0.4 * frame.spread, "middle_sd": 0.4 * frame.spread, "slow_sd": frame.spread,
        "sd": frame.spread, "coupling": -0.5,
    }  # fmt: skip
    return encode(form, values, frame)


def encode(form: str, values: dict[str, float], frame: Frame) -> F8:
    """The parameters of a form as coordinates of order one: logarithms, the mean in spreads, atanh of the coupling."""
    return np.array([_inward(name, values[name], frame) for name in FORMS[form]])


def decode(form: str, place: F8, frame: Frame) -> tuple[dict[str, float], float, list[str]]:
    """Parameters at coordinates, moved into their bounds; how far (squared) they were moved, and which.

    Time-scales are between 10 s and 30 days and at least a factor of 2 apart. The mean is within the plausible range
    and within three spreads of the readings' centre. Standard deviations are between a tenth of the sensor's step and
    four spreads, that of the level within one and a half: in a short recording, a level that wanders far and slowly
    cannot be distinguished from one that wanders near and faster.
    """
    names = FORMS[form]
    scales = [name for name in names if name.endswith("_s")]
    moved, bound = 0.0, []
    values: dict[str, float] = {}
    shortest = _SHORTEST_S
    for name, coordinate in zip(names, place.tolist(), strict=True):
        low, high = _bounds(name, frame)
        if name in scales:
            low, high = shortest, _LONGEST_S / _APART ** (len(scales) - 1 - scales.index(name))
        low, high = _inward(name, low, frame), _inward(name, high, frame)
        inside = min(max(coordinate, low), high)
        moved += (coordinate - inside) ** 2
        if not low + 1e-3 < inside < high - 1e-3:
            bound.append(name)
        values[name] = _outward(name, inside, frame)
        if name in scales:
            shortest = _APART * values[name]
    motion = motion_of(form, values, frame)
    level_sd = sqrt(max(float(_seen(motion) @ motion.stationary @ _seen(motion)), 0.0))
    wide = level_sd / (_LEVEL * frame.spread)
    if wide > 1.0:
        moved += log(wide) ** 2
        bound.append("sd of the level")
        values |= {name: values[name] / wide for name in names if name == "sd" or name.endswith(_MODE_SDS)}
    return values, moved, bound


def motion_of(form: str, values: dict[str, float], frame: Frame) -> Motion:
    """The motion that the parameters of a form describe."""
    noise = values["noise_sd"] ** 2 + frame.step**2 / 12.0
    order = _ORDER.get(form, 0)
    if order:
        rate, variance = np.full(order + 1, 1.0 / values["scale_s"]), values["sd"] ** 2
        third = 1.0 / 3.0
        shape = np.eye(2) if order == 1 else np.array([[1.0, 0.0, -third], [0.0, third, 0.0], [-third, 0.0, 1.0]])
        return Motion(values["mean"], noise, order, rate, variance * shape)
    modes = modes_of(form, values)
    if modes is None:
        rate = 1.0 / np.array([values["fast_s"], values["middle_s"], values["slow_s"]])
        sd = np.array([values["fast_sd"], values["middle_sd"], values["slow_sd"]])
        return Motion(values["mean"], noise, 0, rate, np.diag(sd * sd))
    rate = 1.0 / np.array([modes.fast_s, modes.slow_s])
    sd = np.array([modes.fast_sd, modes.slow_sd])
    shared = modes.coupling * 2.0 * sqrt(rate[0] * rate[1]) / (rate[0] + rate[1])
    stationary = np.outer(sd, sd) * np.array([[1.0, shared], [shared, 1.0]])
    return Motion(values["mean"], noise, 0, rate, stationary) if sd[0] else _alone(values["mean"], noise, rate, sd)


def modes_of(form: str, values: dict[str, float]) -> Modes | None:
    """The row of the channel twin's table; ``None`` for a form that the table cannot express."""
    mean, noise_sd = values["mean"], values["noise_sd"]
    if form == "single":
        return Modes(mean, noise_sd, 0.0, _SHORTEST_S, values["slow_sd"], values["slow_s"])
    if form in ("ou", "coupled"):
        return Modes(**values)
    if form == "trend":
        return _balanced(mean, noise_sd, values["sd"], (values["fast_s"], values["slow_s"]))
    if form == "matern32":
        return _balanced(mean, noise_sd, values["sd"], (values["scale_s"] / _CLOSE, values["scale_s"] * _CLOSE))
    return None


def reaches(motion: Motion, horizons_s: F8) -> tuple[F8, F8]:
    """How much of each component remains at each horizon (rows), and the variance that is added."""
    size, seen = len(motion.rate), _seen(motion)
    to = np.zeros((size, size))
    reach = np.zeros((len(horizons_s), size))
    for number, horizon in enumerate(horizons_s.tolist()):
        transition(motion.order, motion.rate, horizon, to)
        reach[number] = seen @ to
    return reach, seen @ motion.stationary @ seen - np.einsum("hi,ij,hj->h", reach, motion.stationary, reach)


def _seen(motion: Motion) -> F8:
    """The share of each component in a reading."""
    size = len(motion.rate)
    seen: F8 = np.ones(size) if motion.order == 0 else np.eye(size)[0]
    return seen


def _alone(mean: float, noise: float, rate: F8, sd: F8) -> Motion:
    return Motion(mean, noise, 0, rate[1:].copy(), np.full((1, 1), sd[1] ** 2))


def _balanced(mean: float, noise_sd: float, sd: float, scales_s: tuple[float, float]) -> Modes:
    """Two modes under one driving noise with opposite signs, together of spread ``sd``: jumps of the level cancel."""
    fast_s, slow_s = scales_s
    # With a driving noise of variance 2, the variance of a mode is its time-scale, and two share 4 / (sum of the
    # rates).
    together = fast_s + slow_s - 4.0 / (1.0 / fast_s + 1.0 / slow_s)
    strength = sd / sqrt(together)
    return Modes(mean, noise_sd, strength * sqrt(fast_s), fast_s, strength * sqrt(slow_s), slow_s, -1.0)


def _bounds(name: str, frame: Frame) -> tuple[float, float]:
    if name == "mean":
        low, high = frame.centre - _MEAN * frame.spread, frame.centre + _MEAN * frame.spread
        return max(low, frame.plausible[0]), min(high, frame.plausible[1])
    if name == "coupling":
        return -_COUPLING, _COUPLING
    low = _FLOOR * frame.step
    return low, max(_SD * frame.spread, 2.0 * low)


def _inward(name: str, value: float, frame: Frame) -> float:
    if name == "mean":
        return (value - frame.centre) / frame.spread
    return atanh(min(max(value, -_COUPLING), _COUPLING)) if name == "coupling" else log(value)


def _outward(name: str, coordinate: float, frame: Frame) -> float:
    if name == "mean":
        return frame.centre + coordinate * frame.spread
    return tanh(coordinate) if name == "coupling" else exp(coordinate)
