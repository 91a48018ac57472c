"""``infra/bench robustness``: compare policies against bad readings on a simulated heart rate with a known true course.

One reading a second, rounded to 1/min as a monitor shows it, sensor sd 2: 5 % spikes of 10 to 80 either way, a step of
+40 that stays, 60 s of flat zeros (a lead off), and an hour of doubled noise. Two courses, both of sd 8 and time-scale
5 min: ``smooth`` (Matérn-3/2, a rate with inertia) and ``rough`` (Ornstein-Uhlenbeck). All policies share the two modes
fitted for heart rate, so they must find the noise of this sensor: the fitted noise, of a monitor's averages, is far
smaller. ``vitaltwin`` is the channel twin itself. ``optimum`` is a Kalman filter that knows the process, the noise at every
second and the faults, and gets no spikes: nothing can be better.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from api.cli.output import say
from twins.arrays import F8
from twins.bank import layout
from twins.compiled.jit import kernel
from twins.models.channel import filter as channel
from twins.models.channel.model import CHANNEL
from twins.signals import BY_NAME

__all__ = [
    "COURSES",
    "POLICIES",
    "Predictions",
    "SimulatedPatients",
    "figures",
    "predictions_of",
    "run",
    "simulate",
    "twin",
]

COURSES = ("smooth", "rough")
POLICIES: dict[str, tuple[bool, bool, int, int]] = {
    "plain": (False, False, 0, 0),
    "gate": (False, True, 0, 0),
    "huber_adaptive": (False, False, 1, 1),
    "student_adaptive": (False, False, 2, 1),
    "range_gate_reacquire_adaptive": (True, True, 0, 1),
}
"""Range check and re-acquisition after 8 surprises of one sign, gate of 4 sigma, weights (1 Huber's, 2 Student's), adaptive R."""

_MEAN, _SD, _TAU_S, _NOISE = 78.0, 8.0, 300.0, 2.0
_STEP, _OFF_S, _NOISY_S = 40.0, 60, 3600
_SPIKES, _SPIKE = 0.05, (10.0, 80.0)
_AFTER_OFF_S = 30
_NEAR, _STAYS_S = 5.0, 60
_SETTLED_S = 300
"""Seconds left out at the beginning: every policy must find the noise first."""
_Z95 = 1.959963984540054
_HUBER, _STUDENT = 1.345, 4.0
_SIGNAL = BY_NAME["heart_rate"]


class SimulatedPatients(NamedTuple):
    """Simulated patients: seconds by patients, and the seconds at which the three faults begin."""

    truth: F8
    reading: F8
    spike: npt.NDArray[np.bool_]
    best: F8
    step: int
    off: int
    noisy: int


class Predictions(NamedTuple):
    """A policy's estimate at each second, and mean and sd of its prediction of the reading before it came."""

    estimate: F8
    mean: F8
    sd: F8


def run(*, quick: bool = False) -> dict[str, Any]:
    """A row for each policy and course; over patients: rmse pooled, the others of the median patient.

    ``rmse`` is against the true course, outside the lead-off; ``rmse_apart_from_step`` also without the minute after the
    step, in which no policy can know which value is right: 7 s of 40 in a day are 0.13 of the square. ``s_to_retrack`` is
    the time from the step until the estimate stays within 5 of the truth for a minute. ``worst_at_lead_off`` is the largest
    error from the first zero to 30 s after the last. ``coverage95`` is of readings without fault, with the band predicted
    before each. The first 5 min are left out.
    """
    seconds, patients = (3 * 3600, 4) if quick else (24 * 3600, 12)
    result: dict[str, Any] = {"seconds": seconds, "patients": patients}
    for course in COURSES:
        say(f"{course} course: {patients} patients of {seconds / 3600:.0f} h")
        ward = simulate(course, seconds, patients)
        result[course] = {name: figures(ward, known) for name, known in _rows(ward)}
        result[course]["optimum"] = _errors(ward, ward.best)
    return result


def _rows(ward: SimulatedPatients) -> Iterator[tuple[str, Predictions]]:
    for name in POLICIES:
        yield name, predictions_of(name, ward.reading)
    yield "vitaltwin", twin(ward.reading)


def simulate(course: str, seconds: int, patients: int, seed: int = 20) -> SimulatedPatients:
    """Patients of one course, the same for the same seed."""
    rng = np.random.default_rng(seed)
    rate = 1.0 / _TAU_S
    if course == "smooth":
        # Matérn-3/2: Hartikainen & Särkkä 2010
        move = np.exp(-rate) * np.array([[1.0 + rate, 1.0], [-rate * rate, 1.0 - rate]])
        spread = _SD**2 * np.diag([1.0, rate * rate])
    else:
        move, spread = np.array([[np.exp(-rate)]]), np.array([[_SD**2]])
    step, off, noisy = seconds // 6, seconds // 2, 2 * seconds // 3
    noise = np.full(seconds, _NOISE)
    noise[noisy : noisy + _NOISY_S] *= 2.0
    truth = _course(move, spread, rng.normal(size=(seconds, patients, len(move)))) + _MEAN
    truth[step:] += _STEP
    clean = truth + noise[:, None] * rng.normal(size=truth.shape)
    spike = rng.random(truth.shape) < _SPIKES
    reading = clean + spike * rng.choice([-1.0, 1.0], truth.shape) * rng.uniform(*_SPIKE, truth.shape)
    reading[off : off + _OFF_S] = 0.0
    noise[off : off + _OFF_S] = np.inf
    shift = np.where(np.arange(seconds) >= step, _MEAN + _STEP, _MEAN)[:, None]
    best = _optimum(move, spread, clean - shift, noise) + shift
    return SimulatedPatients(truth, np.maximum(np.round(reading), 0.0), spike, best, step, off, noisy)


def _course(move: F8, spread: F8, chance: F8) -> F8:
    drive = np.linalg.cholesky(spread - move @ spread @ move.T).T
    state = chance[0] @ np.sqrt(spread)
    level = np.empty(chance.shape[:2])
    for second, kick in enumerate(chance):
        state = state @ move.T + kick @ drive
        level[second] = state[:, 0]
    return level


def _optimum(move: F8, spread: F8, reading: F8, noise: F8) -> F8:
    mean, known, best = np.zeros((reading.shape[1], len(move))), spread, np.empty_like(reading)
    drive = spread - move @ spread @ move.T
    for second, value in enumerate(reading):
        mean, known = mean @ move.T, move @ known @ move.T + drive
        gain = known[:, 0] / (known[0, 0] + noise[second] ** 2)
        mean = mean + np.outer(value - mean[:, 0], gain)
        known = known - np.outer(gain, known[0])
        best[second] = mean[:, 0]
    return best


def twin(reading: F8) -> Predictions:
    """The channel twin, run as the service runs it."""
    seconds, patients = reading.shape
    result = Predictions(*(np.empty_like(reading) for _ in Predictions._fields))
    state, rows = np.zeros(patients, CHANNEL.dtype), np.arange(patients)
    signal = np.full(patients, _SIGNAL.code, np.uint16)
    now = np.zeros(1)
    for second in range(seconds):
        time = 1_000_000 * (second + 1)
        expected = state.copy()
        CHANNEL.advance(expected, rows, signal, time)
        mean, sd = CHANNEL.forecast(expected, rows, signal, now)
        status = CHANNEL.update(state, rows, signal, np.full(patients, time), reading[second])
        taken = (status == channel.ACCEPTED) | (status == channel.REACQUIRED)
        result.estimate[second] = np.where(taken, state["m0"], mean[:, 0])
        result.mean[second], result.sd[second] = mean[:, 0], sd[:, 0]
    return result


def predictions_of(policy: str, reading: F8) -> Predictions:
    """One of ``POLICIES`` on the twin's two modes."""
    result = Predictions(*(np.empty_like(reading) for _ in Predictions._fields))
    _judge(reading, layout.PARAMETERS[_SIGNAL.code], *POLICIES[policy], *result)
    return result


@kernel(allocates=True)
def _judge(
    reading: F8, parameter: F8, ranged: bool, gated: bool, weighted: int, adaptive: int, estimate: F8, mean: F8, sd: F8
) -> None:
    for patient in range(reading.shape[1]):
        begin = np.zeros(layout.STATE_WIDTH)
        channel.begin(begin, parameter, 0.0)
        m0, m1, p00, p01, p11 = begin[0], begin[1], begin[2], begin[3], begin[4]
        noise = parameter[layout.A_R] + parameter[layout.A_QUANTUM]
        scale, run = 1.0, 0.0
        for second in range(reading.shape[0]):
            y = reading[second, patient]
            m0, m1, p00, p01, p11 = channel.predict(m0, m1, p00, p01, p11, parameter, 1.0)
            r = noise * scale
            s = p00 + r
            mean[second, patient], sd[second, patient] = m0, np.sqrt(s)
            estimate[second, patient] = m0
            if ranged and not parameter[layout.A_LOW] <= y <= parameter[layout.A_HIGH]:
                continue
            innovation = y - m0
            nis = innovation * innovation / s
            if gated and nis > channel.GATE:
                run = np.sign(innovation) if run * innovation <= 0.0 else run + np.sign(innovation)
                if not ranged or abs(run) < channel.REACQUIRE_AFTER:
                    continue
                p00 += innovation * innovation
                nis = 1.0
            run = 0.0
            if weighted == 1:
                r /= min(1.0, _HUBER / max(np.sqrt(nis), 1e-9))
            elif weighted == 2:
                r *= (_STUDENT + nis) / (_STUDENT + 1.0)
            k0, k1 = p00 / (p00 + r), p01 / (p00 + r)
            m0, m1 = m0 + k0 * innovation, m1 + k1 * innovation
            p00, p01, p11 = (1.0 - k0) * p00, (1.0 - k0) * p01, p11 - k1 * p01
            estimate[second, patient] = m0
            if adaptive:
                scale = min(max(scale * (1.0 + channel.ADAPT * (min(nis, 9.0) - 1.0)), 1.0), channel.R_MOST)


def figures(ward: SimulatedPatients, result: Predictions) -> dict[str, float]:
    """The columns of one row."""
    clean = ~ward.spike
    clean[:_SETTLED_S] = clean[ward.off : ward.off + _OFF_S] = False
    inside = (np.abs(ward.reading - result.mean) <= _Z95 * result.sd) & clean
    noisy = slice(ward.noisy, ward.noisy + _NOISY_S)
    return {
        **_errors(ward, result.estimate),
        "coverage95": float(np.median(inside.sum(axis=0) / clean.sum(axis=0))),
        "coverage95_noisy_hour": float(np.median(inside[noisy].sum(axis=0) / clean[noisy].sum(axis=0))),
    }


def _errors(ward: SimulatedPatients, estimate: F8) -> dict[str, float]:
    error = np.abs(estimate - ward.truth)
    counted = np.ones(len(error), np.bool_)
    counted[:_SETTLED_S] = counted[ward.off : ward.off + _OFF_S] = False
    apart = counted.copy()
    apart[ward.step : ward.step + _STAYS_S] = False
    return {
        "rmse": float(np.sqrt(np.mean(error[counted] ** 2))),
        "rmse_apart_from_step": float(np.sqrt(np.mean(error[apart] ** 2))),
        "s_to_retrack": float(np.median([_stays(away) for away in (error[ward.step :] > _NEAR).T])),
        "worst_at_lead_off": float(np.median(error[ward.off : ward.off + _OFF_S + _AFTER_OFF_S].max(axis=0))),
    }


def _stays(away: npt.NDArray[np.bool_]) -> int:
    """The first second after which nothing is away for a minute; the number of seconds if there is none."""
    last = -1
    for at in np.append(np.flatnonzero(away), len(away)):
        if at - last > _STAYS_S:
            break
        last = int(at)
    return last + 1
