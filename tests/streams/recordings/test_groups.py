"""Groups of pairs: by level, after steps, and by the patients' own coverage, counted by hand."""

import numpy as np
import pytest

from streams.recordings.evaluate import evaluate
from streams.recordings.groups import Pooled, after_steps, groups
from tests.support.recordings import recording
from twins.signals import BY_NAME

MINUTE = 60_000_000
HR = BY_NAME["heart_rate"].code


def pooled(origin, below, above, after=None, patient=None):
    count = len(origin)
    return Pooled(
        np.array(origin, float), np.array(below, bool), np.array(above, bool),
        np.zeros(count, bool) if after is None else np.array(after, bool),
        np.zeros(count, np.int64) if patient is None else np.array(patient, np.int64),
    )  # fmt: skip


def test_levels_contain_their_lower_edge_and_both_tails_are_apart():
    found = groups(pooled([80, 88, 90, 92, 99], [1, 0, 0, 0, 0], [0, 0, 1, 0, 1]), (88.0, 92.0), fewest=1)
    assert [(one.begin, one.end, one.pairs) for one in found] == [(None, 88, 1), (88, 92, 2), (92, None, 2)]
    assert [(one.coverage, one.below, one.above) for one in found] == [(0, 1, 0), (0.5, 0, 0.5), (0.5, 0, 0.5)]


def test_small_groups_and_absent_edges_are_left_out():
    assert groups(pooled([80] * 5, [0] * 5, [0] * 5), (), fewest=1) == []
    assert [one.begin for one in groups(pooled([80] * 3 + [95] * 2, [0] * 5, [0] * 5), (88.0,), fewest=3)] == [None]
    assert groups(pooled([], [], []), (88.0,), fewest=0) == []


def test_after_a_step():
    (found,) = groups(pooled([80] * 4, [0, 0, 1, 1], [0] * 4, after=[0, 1, 1, 0]), (), fewest=1)
    assert (found.group, found.pairs, found.coverage) == ("after_step", 2, 0.5)
    time = np.arange(0, 120, 10) * MINUTE
    flags = after_steps(time, np.array([60, 20]) * MINUTE)
    assert time[flags].tolist() == [minute * MINUTE for minute in (20, 30, 40, 60, 70, 80)]
    assert not after_steps(time, time[:0]).any()


def test_the_tenths_are_of_patients_by_their_own_coverage():
    """Patient k of 20 has k of 20 readings outside; patients with few readings are not ranked."""
    patient = np.repeat(np.arange(20), 20)
    outside = np.concatenate([np.arange(20) < k for k in range(20)])
    low, high = groups(pooled(patient, outside, np.zeros(400, bool), patient=patient), (), fewest=1)
    assert (low.group, low.pairs, low.coverage) == ("lowest_tenth", 40, pytest.approx(1 - 37 / 40))
    assert (high.group, high.pairs, high.coverage) == ("highest_tenth", 40, pytest.approx(1 - 1 / 40))
    more = np.append(patient, [20])
    assert groups(pooled(more, np.append(outside, True), np.zeros(401, bool), patient=more), (), fewest=1)[0] == low
    few = patient < 9
    assert groups(pooled(patient[few], outside[few], np.zeros(180, bool), patient=patient[few]), (), fewest=1) == []


def test_evaluate_divides_at_the_clinical_edges_and_after_a_step():
    noise = np.random.default_rng(2).integers(-1, 2, 3_600)
    made = recording(HR, np.concatenate([np.full(1_800, 80.0), np.full(1_800, 140.0)]) + noise, 1)
    scores = evaluate(made).signals["heart_rate"]
    by_group = {(one.group, one.begin): one for one in scores.groups["1"]}
    assert set(by_group) == {("level", 55.0), ("level", 130.0), ("after_step", None)}
    levels = [one.pairs for one in scores.groups["1"] if one.group == "level"]
    assert sum(levels) == scores.horizons["1"].pairs
    assert 1_600 < by_group["after_step", None].pairs <= 1_800
    assert scores.horizons["1"].coverage["80"] == pytest.approx(
        sum(one.pairs * one.coverage for one in scores.groups["1"] if one.group == "level") / sum(levels)
    )
