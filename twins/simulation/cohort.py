"""Synthetic patients: vital signs and glucose as pure functions of time, with episodes of illness or sensor trouble.

A ``Person`` is drawn from a seed. ``vital`` and ``glucose`` return that person's readings at any times. The slow
wander and the sensor's noise come from periodic tables, so any hour can be asked for in any order and the answer is
always the same. An ``Episode`` adds a trapezoid of change (rise, hold, recovery) to several signals, once or
periodically. Times are seconds. Nothing here describes a real person.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Literal

import msgspec
import numpy as np

from twins.arrays import F8, U2
from twins.signals import BY_NAME

__all__ = [
    "CADENCE_S",
    "EPISODES",
    "VITALS",
    "Episode",
    "Person",
    "draw",
    "glucose",
    "ill",
    "readings",
    "vital",
    "worn",
]

Kind = Literal[
    "sepsis", "desaturation", "tachycardia", "bradycardia", "haemorrhage", "respiratory_failure", "hypoglycaemia",
    "probe_off", "silent",
]  # fmt: skip

DAY_S = 86_400.0
_WANDER_STEP_S = 4.0
_WANDER_STEPS = 4_096
_NOISE_STEPS = 65_521  # a prime, so that no other period ever lines up with it

VITALS: dict[str, tuple[float, float, float, float, float]] = {
    # signal: mean, sd between persons, circadian amplitude, slow wander sd, sensor noise sd
    "heart_rate": (76.0, 7.0, 4.0, 2.0, 0.8),
    "pulse_rate": (76.0, 7.0, 4.0, 2.0, 1.2),
    "respiratory_rate": (15.5, 1.2, 0.6, 0.7, 0.5),
    "oxygen_saturation": (97.2, 0.6, 0.2, 0.35, 0.3),
    "systolic_bp": (124.0, 8.0, 5.0, 4.0, 3.0),
    "diastolic_bp": (72.0, 6.0, 3.0, 3.0, 3.0),
    "body_temperature": (36.8, 0.15, 0.3, 0.05, 0.04),
}
"""What a synthetic person has besides glucose; ``pulse_rate`` follows ``heart_rate``."""

CADENCE_S: dict[str, float] = {
    "heart_rate": 10.0, "pulse_rate": 10.0, "respiratory_rate": 10.0, "oxygen_saturation": 10.0,
    "systolic_bp": 900.0, "diastolic_bp": 900.0, "body_temperature": 300.0, "glucose": 300.0,
}  # fmt: skip
"""Seconds between readings, if nothing else is given."""

_CHANGES: dict[Kind, dict[str, float]] = {
    "sepsis": {
        "heart_rate": 40.0, "respiratory_rate": 10.0, "oxygen_saturation": -4.0, "systolic_bp": -26.0,
        "diastolic_bp": -14.0, "body_temperature": 1.9,
    },
    "desaturation": {"oxygen_saturation": -11.0, "respiratory_rate": 4.0, "heart_rate": 10.0},
    "tachycardia": {"heart_rate": 56.0, "systolic_bp": -8.0},
    "bradycardia": {"heart_rate": -34.0, "systolic_bp": -10.0},
    "haemorrhage": {"heart_rate": 34.0, "systolic_bp": -40.0, "diastolic_bp": -18.0, "respiratory_rate": 5.0},
    "respiratory_failure": {"respiratory_rate": 12.0, "oxygen_saturation": -5.5, "heart_rate": 30.0},
    "hypoglycaemia": {"glucose": -85.0, "heart_rate": 18.0},
    "probe_off": {},
    "silent": {},
}  # fmt: skip
"""How far each signal is moved when an episode has its full effect."""

EPISODES: tuple[Kind, ...] = tuple(_CHANGES)

_PROBE = frozenset({"oxygen_saturation", "pulse_rate"})


class Episode(msgspec.Struct, frozen=True, kw_only=True):
    """An episode: full effect ``rise_s`` after ``start_s``, for ``hold_s``, gone after ``recover_s``.

    ``probe_off`` makes the oximeter read zero and ``silent`` stops all readings, from ``start_s`` for ``hold_s``.
    ``period_s`` 0 means once; ``scale`` makes it milder or worse.
    """

    kind: Kind
    start_s: float
    rise_s: float = 0.0
    hold_s: float = 600.0
    recover_s: float = 0.0
    period_s: float = 0.0
    scale: float = 1.0

    def force(self, time_s: F8) -> F8:
        """The share of the full effect at each time, 0 to 1."""
        since = time_s - self.start_s
        if self.period_s:
            since = np.where(since >= 0.0, since % self.period_s, since)
        rising = _within(since / self.rise_s, 0.0, 1.0) if self.rise_s else (since >= 0.0).astype(np.float64)
        left = since - self.rise_s - self.hold_s
        falling = _within(1.0 - left / self.recover_s, 0.0, 1.0) if self.recover_s else (left < 0.0).astype(np.float64)
        result: F8 = rising * falling
        return result


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """A synthetic patient: ``levels`` are the resting means; ``clock_s`` is the time of day at time 0."""

    seed: int
    levels: dict[str, float]
    clock_s: float = 0.0
    diabetic: bool = False
    episodes: tuple[Episode, ...] = ()


def draw(seed: int, episodes: Sequence[Episode] = (), *, diabetic: bool = False, clock_s: float = 0.0) -> Person:
    """The person drawn from a seed.

    >>> draw(7) == draw(7)
    True
    """
    rng = np.random.default_rng([seed, 1])
    levels = {name: float(mean + spread * rng.standard_normal()) for name, (mean, spread, *_) in VITALS.items()}
    levels["pulse_rate"] = levels["heart_rate"]
    levels["glucose"] = float(rng.normal(150.0, 15.0) if diabetic else rng.normal(98.0, 6.0))
    return Person(seed=seed, levels=levels, clock_s=clock_s, diabetic=diabetic, episodes=tuple(episodes))


def vital(person: Person, signal: str, time_s: F8) -> F8:
    """What the monitor shows for a vital sign at each time, rounded to the sensor's resolution.

    ``worn`` says at which of these times anything is sent.
    """
    _, _, circadian, wander, noise = VITALS[signal]
    slow = "heart_rate" if signal == "pulse_rate" else signal
    value = person.levels[signal] + circadian * _circadian(person, time_s)
    value = value + wander * _wander(person.seed, slow, time_s) + noise * _noise(person.seed, signal, time_s)
    off = np.zeros(len(time_s), dtype=bool)
    for episode in person.episodes:
        change = _CHANGES[episode.kind].get(slow, 0.0)
        if change:
            value = value + change * episode.scale * episode.force(time_s)
        elif episode.kind == "probe_off" and signal in _PROBE:
            off |= episode.force(time_s) > 0.0
    row = BY_NAME[signal]
    low, high = row.plausible
    result: F8 = np.round(_within(np.round(value / row.step) * row.step, low, high), 2)
    result[off] = 0.0
    return result


def worn(person: Person, time_s: F8) -> np.typing.NDArray[np.bool_]:
    """Whether the person's devices send at each time."""
    sending = np.ones(len(time_s), dtype=bool)
    for episode in person.episodes:
        if episode.kind == "silent":
            sending &= episode.force(time_s) == 0.0
    return sending


def ill(seed: int, hours: float) -> tuple[Episode, ...]:
    """Episodes for a patient of this seed: one or two in the given time, each minutes to hours long."""
    rng = np.random.default_rng([seed, 4])
    episodes = []
    for _ in range(int(rng.integers(1, 3))):
        kind = EPISODES[int(rng.integers(len(EPISODES)))]
        brief = kind in ("probe_off", "silent")
        episodes.append(
            Episode(
                kind=kind,
                start_s=float(rng.uniform(0.1, 0.8)) * hours * 3_600.0,
                rise_s=0.0 if brief else float(rng.uniform(600.0, 7_200.0)),
                hold_s=float(rng.uniform(60.0, 900.0) if brief else rng.uniform(1_200.0, 7_200.0)),
                recover_s=0.0 if brief else float(rng.uniform(1_200.0, 7_200.0)),
            )
        )
    return tuple(episodes)


def readings(person: Person, from_s: float, to_s: float, cadence_s: Mapping[str, float]) -> tuple[U2, F8, F8]:
    """Everything a person's devices send in [from_s, to_s): signal codes, times and values in order of time.

    Readings are at whole multiples of each signal's cadence, so adjacent windows join without a gap or a repeat.
    """
    codes, times, values = [], [], []
    for name, every in cadence_s.items():
        time_s: F8 = np.arange(np.ceil(from_s / every), np.ceil(to_s / every), dtype=np.float64) * every
        time_s = time_s[worn(person, time_s)]
        if len(time_s):
            codes.append(np.full(len(time_s), BY_NAME[name].code, np.uint16))
            times.append(time_s)
            values.append(glucose(person, time_s) if name == "glucose" else vital(person, name, time_s))
    if not times:
        return np.zeros(0, np.uint16), np.zeros(0), np.zeros(0)
    time, code, value = np.concatenate(times), np.concatenate(codes), np.concatenate(values)
    order = np.lexsort((code, time))
    return code[order], time[order], value[order]


def glucose(person: Person, time_s: F8) -> F8:
    """Continuous glucose in mg/dL: a resting level, three meals a day and, with diabetes, doses that may be too large.

    A meal raises glucose as (t/τ)·exp(1 − t/τ); a bolus lowers it in the same shape, later and longer.
    """
    value = person.levels["glucose"] + 4.0 * _wander(person.seed, "glucose", time_s)
    value = value + 1.5 * _noise(person.seed, "glucose", time_s)
    clock = time_s + person.clock_s
    first, last = (int(np.floor(edge / DAY_S)) for edge in (clock.min(), clock.max()))
    for day in range(first - 1, last + 1):
        rng = np.random.default_rng([person.seed, 2, day & 0xFFFFFFFF])
        for hour in (7.5, 12.5, 19.0):
            eaten = (day + (hour + rng.normal(0.0, 0.5)) / 24.0) * DAY_S
            rise = rng.uniform(60.0, 120.0) if person.diabetic else rng.uniform(20.0, 50.0)
            dose = rise * (rng.uniform(0.75, 1.5) if person.diabetic else 0.55)
            value = value + rise * _bump(clock - eaten, 2_700.0) - dose * _bump(clock - eaten - 1_800.0, 5_400.0)
    for episode in person.episodes:
        change = _CHANGES[episode.kind].get("glucose", 0.0)
        if change:
            value = value + change * episode.scale * episode.force(time_s)
    result: F8 = np.round(_within(value, 40.0, 400.0))
    return result


def _within(value: F8, low: float, high: float) -> F8:
    result: F8 = np.minimum(np.maximum(value, low), high)
    return result


def _bump(since_s: F8, tau_s: float) -> F8:
    scaled = _within(since_s / tau_s, 0.0, 40.0)
    result: F8 = scaled * np.exp(1.0 - scaled)
    return result


def _circadian(person: Person, time_s: F8) -> F8:
    """One cycle a day, highest at 17:00 by the person's clock."""
    result: F8 = np.cos(2.0 * np.pi * (time_s + person.clock_s - 17 * 3_600.0) / DAY_S)
    return result


def _wander(seed: int, signal: str, time_s: F8) -> F8:
    table = _wander_table(seed, signal)
    result: F8 = np.interp(time_s / _WANDER_STEP_S, np.arange(_WANDER_STEPS), table, period=_WANDER_STEPS)
    return result


@lru_cache(maxsize=4_096)
def _wander_table(seed: int, signal: str) -> F8:
    """A periodic random walk of unit variance: white noise through a low-pass filter of about four minutes."""
    rng = np.random.default_rng([seed, 3, *signal.encode()])
    frequency = np.fft.rfftfreq(_WANDER_STEPS, _WANDER_STEP_S)
    spectrum = np.fft.rfft(rng.standard_normal(_WANDER_STEPS)) / (1.0 + (frequency * 1_500.0) ** 2)
    spectrum[0] = 0.0
    table: F8 = np.fft.irfft(spectrum, _WANDER_STEPS)
    table /= table.std()
    return table


def _noise(seed: int, signal: str, time_s: F8) -> F8:
    start = sum(signal.encode()) * 131 + seed * 7_919
    places = (np.floor(time_s).astype(np.int64) + start) % _NOISE_STEPS
    result: F8 = _noise_table()[places]
    return result


@lru_cache(maxsize=1)
def _noise_table() -> F8:
    return np.random.default_rng(20_17).standard_normal(_NOISE_STEPS)
