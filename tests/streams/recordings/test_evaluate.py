"""Evaluation: causal, on the right pairs, and the same however patients are spread in time."""

import msgspec
import numpy as np
import pytest

from streams.recordings.evaluate import HORIZONS, Forecasts, _frames, evaluate
from streams.recordings.recording import Recording
from twins.records import Columns
from twins.signals import BY_NAME

HR, GLUCOSE, BOLUS = (BY_NAME[name].code for name in ("heart_rate", "glucose", "insulin_bolus"))


def recording(parts):
    """parts: (patient, code, seconds, values)."""
    names = list(dict.fromkeys(part[0] for part in parts))
    return Recording(
        "made.csv",
        Columns(
            names,
            np.concatenate([np.full(len(p[2]), names.index(p[0]), np.uint32) for p in parts]),
            np.concatenate([np.full(len(p[2]), p[1], np.uint16) for p in parts]),
            np.concatenate([(np.asarray(p[2]) * 1e6).astype(np.int64) for p in parts]) + 946_684_800_000_000,
            np.concatenate([np.asarray(p[3], float) for p in parts]),
        ),
    )


def wandering(seed, n, level, sd):
    return np.round(level + np.cumsum(np.random.default_rng(seed).normal(0, sd, n)))


def test_every_reading_with_a_future_makes_a_pair_and_keys_are_as_promised():
    seconds = np.arange(0, 7_200, 10)
    made = recording([("a", HR, seconds, wandering(1, 720, 80, 0.5)), ("a", BOLUS, [5], [2.0])])
    result = msgspec.to_builtins(evaluate(made))
    assert list(result["signals"]) == ["heart_rate"]
    horizons = result["signals"]["heart_rate"]["horizons"]
    assert list(horizons) == ["1", "2", "5", "10", "15", "20", "30", "45", "60", "90"]
    assert horizons["60"]["pairs"] == 360
    assert set(horizons["5"]) == {"pairs", "rmse", "mae", "crps", "skill", "persistence_rmse", "coverage"}
    assert set(horizons["5"]["coverage"]) == {"50", "80", "95"}


def test_forecasts_do_not_know_the_future():
    seconds = np.arange(0, 36_000, 300)
    value = wandering(2, 120, 140, 6)
    other = value.copy()
    other[60:] += 40
    runs = []
    for values in (value, other):
        run = Forecasts(recording([("a", GLUCOSE, seconds, values)]), HORIZONS)
        run.stream()
        runs.append(run)
    assert np.array_equal(runs[0].mean[:60], runs[1].mean[:60])
    assert np.array_equal(runs[0].low[:60], runs[1].low[:60])
    assert np.array_equal(runs[0].high[:60], runs[1].high[:60])
    assert not np.array_equal(runs[0].mean[60:], runs[1].mean[60:])
    assert np.isfinite(runs[0].mean).all()


def test_patients_do_not_disturb_each_other_wherever_they_stand_in_time():
    seconds = np.arange(0, 36_000, 300)
    parts = [(name, GLUCOSE, seconds + start, wandering(seed, 120, 120, 5))
             for seed, (name, start) in enumerate([("a", 0), ("b", 77), ("c", 40 * 86_400 + 1_000)])]  # fmt: skip
    together = evaluate(recording(parts)).signals["glucose"].horizons["30"]
    alone = [evaluate(recording([part])).signals["glucose"].horizons["30"] for part in parts]
    assert together.pairs == sum(one.pairs for one in alone)
    assert together.rmse**2 * together.pairs == pytest.approx(sum(one.rmse**2 * one.pairs for one in alone))


def test_zeros_that_mean_no_signal_are_neither_origin_nor_target():
    seconds = np.arange(0, 3_600, 10)
    value = wandering(3, 360, 80, 0.3)
    value[100:110] = 0
    scores = evaluate(recording([("a", HR, seconds, value)])).signals["heart_rate"]
    assert scores.left_out == 10
    assert scores.horizons["5"].pairs == 360 - 30 - 20
    assert scores.horizons["5"].rmse < 20


def test_persistence_is_scored_on_the_same_pairs():
    seconds = np.arange(0, 3_600, 60)
    value = 70.0 + np.arange(60) % 2
    five = evaluate(recording([("a", HR, seconds, value)])).signals["heart_rate"].horizons["5"]
    assert five.persistence_rmse == 1.0


def test_a_frame_holds_a_channel_once():
    columns = recording(
        [("a", HR, np.arange(50), np.full(50, 80)), ("b", HR, np.arange(50) + 0.5, np.full(50, 80))]
    ).by_time().columns  # fmt: skip
    cuts = _frames(columns)
    assert cuts[0][0] == 0
    assert cuts[-1][1] == 100
    for first, last in cuts:
        assert len(set(columns.patient[first:last].tolist())) == last - first


def test_hypoglycaemia_is_tabled_for_glucose():
    seconds = np.arange(0, 6 * 3_600, 300)
    fall = np.clip(150 - 2.0 * np.maximum(np.arange(72) - 20, 0), 60, None)
    alarms = evaluate(recording([("a", GLUCOSE, seconds, fall)])).signals["glucose"].hypo_alarms
    assert alarms.events == 1
    assert alarms.days == pytest.approx(0.2465, abs=0.01)
