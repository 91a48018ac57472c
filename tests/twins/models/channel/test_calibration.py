"""Forecasts stored until their time comes: bands that were too narrow or too wide reach the promised coverage."""

import numpy as np
import pytest

from twins.bank import layout
from twins.bank.bank import Bank
from twins.bank.checkpoint import block_of, restore
from twins.models.channel.calibration import calibrate
from twins.models.channel.forecast import TAIL
from twins.models.channel.model import CHANNEL, plain
from twins.records import Admit, Frame
from twins.signals import BY_NAME
from twins.step.dispatch import step

SECOND = 1_000_000
START = 1_700_000_000 * SECOND
HEART_RATE = BY_NAME["heart_rate"].code
SYSTOLIC = BY_NAME["systolic_bp"].code


class Channel:
    """One channel and its pending forecasts."""

    def __init__(self, signal):
        self.parameter = layout.PARAMETERS[signal]
        self.signal = signal
        self.state = np.zeros(1, CHANNEL.dtype)
        self.due = np.zeros(layout.HORIZONS * layout.SLOTS + 1)
        self.forecasts = np.zeros((layout.HORIZONS * layout.SLOTS, 2), np.float32)
        self.stretch = np.zeros((layout.HORIZONS, 2), np.float32)
        self.tried = np.zeros(layout.HORIZONS, np.uint16)

    def take(self, t, value, interval_s):
        row = np.zeros(1, np.int64)
        (status,) = CHANNEL.update(
            self.state, row, np.full(1, self.signal, np.uint16), np.array([int(t)]), np.array([value])
        )
        calibrate(
            plain(self.state)[0], self.parameter, float(t), value, int(status in (0, 8)), interval_s, self.due,
            self.forecasts, self.stretch, self.tried,
        )  # fmt: skip

    def factor(self, minutes):
        return np.exp(self.stretch[layout.HORIZONS_MIN.index(minutes)])


@pytest.mark.parametrize("wildness", [0.3, 3.0])
def test_bands_of_an_unusual_patient_reach_their_coverage(wildness):
    """Pressures with a spread of ``wildness`` times the population's, every 5 min for two weeks."""
    rng = np.random.default_rng(7)
    modes = BY_NAME["systolic_bp"].modes
    decay = np.exp(-300.0 / modes.fast_s)
    count = 4_000
    level = np.zeros(count)
    for k in range(1, count):
        level[k] = decay * level[k - 1] + rng.normal(0, modes.fast_sd * np.sqrt(1 - decay**2))
    values = modes.mean + wildness * level
    channel = Channel(SYSTOLIC)
    horizon = layout.HORIZONS_MIN.index(30)
    inside = []
    for k in range(count):
        channel.take(START + 300 * SECOND * k, values[k], 300.0)
        if k >= count // 2 and k + 6 < count:
            mean, sd = CHANNEL.forecast(
                channel.state, np.zeros(1, np.int64), np.full(1, SYSTOLIC, np.uint16), np.array([1800.0])
            )
            error, width = abs(values[k + 6] - mean[0, 0]), sd[0, 0] * np.exp(channel.stretch[horizon, 0])
            tail = np.exp(channel.stretch[horizon, 1] + TAIL)
            inside.append((error < 1.2816 * width, error < 1.96 * width * tail))
    held80, held95 = np.mean(inside, axis=0)
    assert held80 == pytest.approx(0.80, abs=0.04)
    assert held95 == pytest.approx(0.95, abs=0.025)
    assert (channel.factor(30)[0] > 1.5) == (wildness > 1)


def test_a_forecast_is_judged_when_its_time_has_come_and_not_before():
    channel = Channel(HEART_RATE)
    for k in range(60):
        channel.take(START + k * SECOND, 80.0, 1.0)
    assert channel.tried.tolist() == [0] * layout.HORIZONS
    channel.take(START + 60 * SECOND, 80.0, 1.0)
    assert channel.tried[0] == 1
    assert not channel.tried[1:].any()
    assert (channel.stretch[:, 0] < 0).all()  # the band was wide enough; horizons without results learn a part of it


def test_a_forecast_that_meets_no_reading_is_dropped():
    channel = Channel(HEART_RATE)
    for k in range(30):
        channel.take(START + k * SECOND, 80.0, 1.0)
    for k in range(30):
        channel.take(START + (3 * 3600 + k) * SECOND, 140.0, 1.0)
    assert not channel.tried.any()
    assert not channel.stretch.any()


def test_a_horizon_shorter_than_half_the_usual_interval_is_not_tried():
    channel = Channel(SYSTOLIC)
    for k in range(40):
        channel.take(START + 3600 * SECOND * k, 120.0 + k % 3, 3600.0)
    tried = dict(zip(layout.HORIZONS_MIN, channel.tried.tolist(), strict=True))
    assert all(tried[minutes] == 0 for minutes in (1, 2, 5, 10, 15, 20, 30, 45, 90))
    assert tried[60] > 30
    assert tried[120] > 30


def test_what_was_learnt_is_stored_with_the_patient():
    bank = Bank()
    step(bank, Admit(patient="p", received=START), 0)
    times = START + SECOND * np.arange(1, 400)
    values = 80.0 + 12.0 * np.sin(np.arange(399) / 9.0)
    step(
        bank,
        Frame(
            received=int(times[-1]), patients=["p"], patient=np.zeros(399, "<u4").tobytes(),
            signal=np.full(399, HEART_RATE, "<u2").tobytes(), time=times.tobytes(), value=values.tobytes(),
        ),
        1,
    )  # fmt: skip
    assert bank.stretch[0].any()
    other = Bank()
    restore(other, block_of(bank, 0, 1))
    for name in ("due", "forecasts", "stretch", "tried", "kept", "ring"):
        assert getattr(other, name)[0].tobytes() == getattr(bank, name)[0].tobytes()
