"""Forecasts stored until their time comes: bands that were too narrow or too wide reach the promised coverage."""

import numpy as np
import pytest

from twins.bank import layout
from twins.bank.bank import Bank
from twins.bank.checkpoint import block_of, restore
from twins.models.channel.calibration import calibrate
from twins.models.channel.forecast import FOLLOWS, bands, ratio_of, unrest
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
        self.made = np.zeros(layout.MADE_WIDTH, np.uint8)
        self.stretch = np.zeros((layout.HORIZONS, 2), np.float32)
        self.recent = np.zeros(4, np.float32)
        self.tried = np.zeros(layout.HORIZONS, np.uint16)

    def take(self, t, value, interval_s):
        row = np.zeros(1, np.int64)
        (status,) = CHANNEL.update(
            self.state, row, np.full(1, self.signal, np.uint16), np.array([int(t)]), np.array([value])
        )
        calibrate(
            plain(self.state)[0], self.parameter, float(t), value, int(status in (0, 8)), interval_s, self.due,
            self.forecasts, self.made, self.stretch, self.recent, self.tried,
        )  # fmt: skip

    def band(self, minutes, now):
        """Mean, spreads below and above it and stretch of the tails, as they are stated at ``now``."""
        stated = [np.zeros((1, 1)) for _ in range(4)]
        bands(
            plain(self.state), layout.PARAMETERS, self.stretch[None], self.recent[None], np.zeros(1, np.int64),
            np.full(1, self.signal, np.uint16), np.array([int(now)]), np.array([60.0 * minutes]), *stated,
        )  # fmt: skip
        return [float(part[0, 0]) for part in stated]

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
    inside = []
    for k in range(count):
        channel.take(START + 300 * SECOND * k, values[k], 300.0)
        if k >= count // 2 and k + 6 < count:
            _, sd = (float(one[0, 0]) for one in CHANNEL.forecast(
                channel.state, np.zeros(1, np.int64), np.full(1, SYSTOLIC, np.uint16), np.array([1800.0])
            ))  # fmt: skip
            mean, low, high, tail = channel.band(30, START + 300 * SECOND * k)
            error = values[k + 6] - mean
            reach = abs(error) / (high if error > 0 else low)
            inside.append((reach < 1.2816, reach < 1.96 * tail))
    held80, held95 = np.mean(inside, axis=0)
    assert held80 == pytest.approx(0.80, abs=0.04)
    assert held95 == pytest.approx(0.95, abs=0.025)
    assert (channel.factor(30)[0] > 1.2) == (wildness > 1)
    assert (high > 1.25 * sd) == (wildness > 1)


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
    for name in ("due", "forecasts", "made", "stretch", "recent", "tried", "kept", "ring"):
        assert getattr(other, name)[0].tobytes() == getattr(bank, name)[0].tobytes()


def test_after_a_step_the_forecast_is_unsure_for_a_while():
    """The band is wider just after a step of the level than before it, and narrows again as the step becomes old."""
    channel = Channel(HEART_RATE)
    wide = []
    for k in range(4 * 3600):
        channel.take(START + k * SECOND, 75.0 if k < 3600 else 105.0, 1.0)
        if k in (3590, 3700, 4 * 3600 - 1):
            kept = channel.stretch.copy(), channel.recent.copy()
            channel.stretch[:], channel.recent[:] = 0.0, 0.0  # without what was learnt, only the doubt is left
            _, low, high, _ = channel.band(30, START + k * SECOND)
            channel.stretch[:], channel.recent[:] = kept
            wide.append(low + high)
    assert wide[1] > 1.2 * wide[0]
    assert wide[2] < wide[1]


def test_recent_errors_widen_every_band_and_are_forgotten():
    """By hand: half an hour after errors of nine times their expected square, half of the excess is left."""
    channel = Channel(HEART_RATE)
    channel.recent[:2] = 9.0, 1.0
    assert unrest(ratio_of(channel.recent), 0) == pytest.approx(np.sqrt(1.0 + 0.5 * np.exp(-1 / 60) * 8.0))
    assert FOLLOWS[0] > FOLLOWS[-1] > 0.0
    assert unrest(ratio_of(np.zeros(4, np.float32)), 0) == 1.0
    for k in range(1, 4 * 3600):
        channel.take(START + k * SECOND, 80.0, 1.0)
        if k == 1800:
            assert 4.0 < channel.recent[0] < 5.2
    assert channel.recent[0] < 0.2
    assert unrest(ratio_of(channel.recent), 0) < 1.0


@pytest.mark.parametrize("lasts", [True, False])
def test_a_channel_learns_whether_its_changes_last(lasts):
    """A level that jumps every three hours and stays, and one that goes back as the model says."""
    rng = np.random.default_rng(11)
    modes = BY_NAME["diastolic_bp"].modes
    decay = np.exp(-300.0 / modes.fast_s)
    channel = Channel(BY_NAME["diastolic_bp"].code)
    level = fast = 0.0
    for k in range(3_000):
        if lasts:
            level = rng.normal(0, modes.fast_sd) if k % 36 == 0 else level
            value = modes.mean + level + rng.normal(0, 0.5)
        else:
            fast = decay * fast + rng.normal(0, modes.fast_sd * np.sqrt(1 - decay**2))
            value = modes.mean + fast
        channel.take(START + 300 * SECOND * k, value, 300.0)
    assert (channel.recent[layout.RETURN] > 0.3) == lasts
    assert abs(channel.recent[layout.RETURN]) < 1.0


def test_what_one_channel_learns_changes_no_other():
    bank = Bank()
    for name in ("a", "b"):
        step(bank, Admit(patient=name, received=START), 0 if name == "a" else 1)
    alone = Bank()
    step(alone, Admit(patient="b", received=START), 0)
    rng = np.random.default_rng(3)
    offsets = {id(bank): 2, id(alone): 1}
    for k in range(900):
        now = START + k * SECOND
        wild, calm = 80.0 + rng.normal(0, 15), 80.0 + np.sin(k / 30)
        for into, patients, values in ((bank, ["a", "b"], [wild, calm]), (alone, ["b"], [calm])):
            step(
                into,
                Frame(
                    received=now, patients=patients, patient=np.arange(len(patients), dtype="<u4").tobytes(),
                    signal=np.full(len(patients), HEART_RATE, "<u2").tobytes(),
                    time=np.full(len(patients), now, "<i8").tobytes(), value=np.array(values, "<f8").tobytes(),
                ),
                offsets[id(into)],
            )  # fmt: skip
            offsets[id(into)] += 1
    row, own = bank.slot[bank.index["b"], HEART_RATE], alone.slot[alone.index["b"], HEART_RATE]
    for name in ("due", "forecasts", "made", "stretch", "recent", "tried", "state"):
        assert getattr(bank, name)[row].tobytes() == getattr(alone, name)[own].tobytes()
