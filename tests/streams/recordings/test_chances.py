"""Scores of stated chances and warnings, on channels and statements made by hand."""

import math

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss

from streams.recordings import evaluate
from streams.recordings.chances import Channel, Predicted, Stated, Warnings, channels_of, sides_of
from streams.recordings.crossings import NEXT, WITHIN, judged
from streams.recordings.evaluate import HORIZONS, Forecasts
from streams.recordings.recording import Recording
from tests.support.recordings import recording
from twins.records import Columns, Transition
from twins.signals import BY_NAME
from twins.step.dispatch import step

MINUTE = 60_000_000
HR, GLUCOSE = BY_NAME["heart_rate"].code, BY_NAME["glucose"].code


def channel(patient, value, every=5, first=0):
    value = np.asarray(value, float)
    return Channel(patient, np.arange(len(value)) * every * MINUTE, value, np.arange(first, first + len(value)))


def stated(chances, kinds):
    made = Stated(len(chances))
    made.stated[:, 0], made.kind[:] = chances, kinds
    return made


def low(channels, made, warnings=()):
    """The scores of the low limit of heart rate, 50."""
    (side, _) = sides_of(channels, HR, made, warnings)
    assert (side.side, side.limit) == ("low", 50.0)
    return side


def warning(minute, *, beside=False, patient="a"):
    return Predicted(patient, "heart_rate", 0, minute * MINUTE, beside)


FALL = [60] * 12 + [45] * 4 + [60] * 12
"""Two hours and 20 minutes; below 50 from 60 to 75 minutes."""


def test_chances_are_compared_with_what_came_by_kind():
    chances = np.linspace(0.1, 0.9, 28)
    side = low([channel("a", FALL)], stated(chances, WITHIN))
    origin, came, _ = judged(np.arange(28) * 5 * MINUTE, np.array(FALL, float), 50.0, 0, WITHIN)
    (scores,) = side.chances
    assert (scores.kind, side.together.kind, side.together.ece) == ("within_30_min", "within_30_min", scores.ece)
    assert (scores.count, scores.events) == (len(origin), 6)
    assert scores.brier == pytest.approx(brier_score_loss(came, chances[origin]), rel=1e-6)
    assert scores.stated == pytest.approx(chances[origin].mean(), rel=1e-6)
    assert sum(one.count for one in scores.bins) == scores.count
    assert (scores.bins[3].begin, scores.bins[3].end) == (0.3, 0.4)

    kinds = np.where(np.arange(28) < 10, NEXT, WITHIN)
    both = low([channel("a", FALL)], stated(chances, kinds))
    assert [(one.kind, one.count) for one in both.chances] == [
        ("within_30_min", int(np.sum(origin >= 10))), ("next_reading", 10),
    ]  # fmt: skip
    assert both.together.count == 10 + np.sum(origin >= 10)


def test_what_was_not_stated_is_not_judged():
    chances = np.full(28, np.nan)
    chances[5] = 0.5
    side = low([channel("a", FALL)], stated(chances, WITHIN))
    assert (side.together.count, side.together.events) == (1, 0)
    assert low([channel("a", FALL)], stated(np.full(28, np.nan), WITHIN)).chances == []


def test_warnings_are_true_if_a_reading_beyond_the_limit_follows():
    made = stated(np.full(28, 0.5), WITHIN)
    side = low([channel("a", FALL)], made, [warning(5), warning(40), warning(50), warning(65), warning(130)])
    # At 5 nothing follows within 30 min; 40 and 50 are true; at 65 it is already below; at 130 the end is not known.
    assert (side.first.raised, side.first.judged, side.first.true, side.first.lead_min) == (5, 4, 2, 15)
    assert (side.beside.raised, side.beside.true) == (0, 0)
    assert math.isnan(side.beside.lead_min)
    assert (side.crossings, side.warned) == (1, 1)


def test_warnings_beside_a_limit_alarm_are_counted_apart_and_patients_do_not_mix():
    made = Stated(56)
    made.stated[:, 0], made.kind[:] = 0.5, WITHIN
    channels = [channel("a", FALL), channel("b", [60] * 28, first=28)]
    side = low(channels, made, [warning(40, beside=True), warning(40, patient="b"), warning(50, patient="b")])
    assert (side.first.raised, side.first.judged, side.first.true) == (2, 2, 0)
    assert (side.beside.raised, side.beside.judged, side.beside.true, side.beside.lead_min) == (1, 1, 1, 20)
    assert (side.crossings, side.warned) == (1, 1)
    assert low(channels, made, [warning(50, patient="b")]).warned == 0


def test_a_crossing_begins_when_none_was_seen_for_half_an_hour():
    flicker = [60, 45, 60, 45, 60, 60, 60, 60, 60, 60, 60, 45]
    assert low([channel("a", flicker)], stated(np.zeros(12), WITHIN)).crossings == 2
    assert low([channel("a", [45, 45, 60, 60])], stated(np.zeros(4), WITHIN)).crossings == 0  # begins beyond it


def test_a_warning_of_sparse_readings_is_about_the_next_one():
    value = [60, 60, 60, 45, 60, 60]
    made = stated(np.full(6, 0.5), NEXT)
    side = low([channel("a", value, every=60)], made, [warning(60), warning(120), warning(240)])
    assert (side.first.judged, side.first.true, side.first.lead_min) == (3, 1, 60)
    assert side.warned == 1


def change(condition, presence, *, patient="a", signal="heart_rate", standing=None):
    return Transition(
        id="x-1", alarm="x", patient=patient, condition=condition, signal=signal, presence=presence, onset=1, time=7,
        number=1, standing=presence == "on" if standing is None else standing,
    )  # fmt: skip


def test_a_warning_is_beside_a_limit_alarm_while_the_condition_of_any_of_the_patients_signals_is_true():
    warnings = Warnings()
    warnings.note([change("predicted.low", "on"), change("limit.high", "on", signal="oxygen_saturation")])
    warnings.note([change("predicted.high", "on"), change("predicted.low", "on", patient="b")])
    warnings.note([change("limit.high", "latched", signal="oxygen_saturation", standing=False)])
    warnings.note([change("predicted.low", "off"), change("predicted.low", "on"), change("sensor.fault", "on")])
    assert [(one.patient, one.side, one.beside) for one in warnings.raised] == [
        ("a", 0, False), ("a", 1, True), ("b", 0, False), ("a", 0, False),
    ]  # fmt: skip


def test_channels_have_the_plausible_readings_in_order_of_time():
    value = [60.0, 0.0, 61.0, 400.0, 62.0]
    (one,) = channels_of(recording(HR, value, 60).columns)[HR]
    assert (one.patient, one.value.tolist(), one.places.tolist()) == ("a", [60, 61, 62], [0, 2, 4])
    assert channels_of(recording(HR, [60.0], 60).columns) == {}


def test_a_chance_is_read_once_a_minute_and_knows_no_future():
    value = np.round(100 - np.arange(900) / 30 + np.random.default_rng(3).normal(0, 0.7, 900))
    runs = []
    for values in (value, np.where(np.arange(900) < 600, value, 90.0)):
        run = Forecasts(recording(HR, values, 1), HORIZONS)
        run.stream()
        runs.append(run.stated)
    read = np.flatnonzero(runs[0].kind != 255)
    assert np.all(np.diff(read) == 60)
    assert np.array_equal(runs[0].stated[:600], runs[1].stated[:600], equal_nan=True)
    assert np.all((runs[0].stated[read[2:]] >= 0) & (runs[0].stated[read[2:]] <= 1))


def test_the_chance_rises_as_the_limit_comes_nearer():
    fall = 180 - 1.5 * np.arange(72)  # below 70 after 74 readings, 6 h
    run = Forecasts(recording(GLUCOSE, fall, 300), HORIZONS)
    run.stream()
    raw, chance = run.stated.raw[:, 0], run.stated.stated[:, 0]
    assert np.all(run.stated.kind == WITHIN)
    assert np.all(np.diff(chance[40:]) > 0)
    assert chance[-1] > 10 * chance[40]
    assert raw[40] < 0.01
    assert raw[-1] > 0.3


def test_sparse_readings_state_the_chance_of_the_next_one():
    run = Forecasts(recording(HR, np.full(20, 60.0), 3_600), HORIZONS)
    run.stream()
    assert np.all(run.stated.kind[8:] == NEXT)


@pytest.mark.parametrize(("signal", "level", "every_s", "kind"), [(GLUCOSE, 82, 300, WITHIN), (HR, 115, 3_600, NEXT)])
def test_what_the_twins_judge_is_what_the_definition_says(monkeypatch, signal, level, every_s, kind):
    """The twins judge reading by reading, the definition over the whole recording; with pauses in between."""
    rng = np.random.default_rng(6)
    walk = np.round(level + 12 * np.sin(np.arange(3_000) / 9) + rng.normal(0, 3, 3_000))
    whole = recording(signal, walk, every_s)
    kept = np.flatnonzero(rng.random(3_000) > 0.03)
    every = whole.columns
    columns = Columns(every.patients, every.patient[kept], every.signal[kept], every.time[kept], every.value[kept])
    outcomes = []

    def spy(*given):
        outcomes.append(step(*given))
        return outcomes[-1]

    monkeypatch.setattr(evaluate, "step", spy)
    run = Forecasts(Recording("made.csv", columns), HORIZONS)
    run.stream()
    rows = [one.chances.rows for one in outcomes if one.chances]
    side, came, made, stated, kinds = (
        np.concatenate([row[name] for row in rows]) for name in ("side", "came", "made", "stated", "kind")
    )
    assert set(kinds) == {kind}
    (one,) = channels_of(run.columns)[signal]
    limits = BY_NAME["glucose"].limits if signal == GLUCOSE else BY_NAME["heart_rate"].limits
    for which, limit in enumerate((limits.low, limits.high)):
        origin, event, _ = judged(one.time, one.value, limit, which, kind)
        expected = dict(zip(one.time[origin].tolist(), event.tolist(), strict=True))
        here = side == which
        online = dict(zip(made[here].tolist(), came[here].tolist(), strict=True))
        both = online.keys() & expected.keys()
        assert len(both) >= 0.9 * len(online)
        assert {at: online[at] for at in both} == {at: expected[at] for at in both}
        place = np.searchsorted(one.time, made[here])
        assert run.stated.stated[one.places[place], which] == pytest.approx(stated[here], abs=1e-6)
    assert len(came) > 100
    assert 0 < came.mean() < 1
