"""Scores of stated chances against scikit-learn and a table made by hand."""

import math

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

from twins.fitting.chances import NOTHING, brier, ece, reliability, skill, total


@pytest.fixture(scope="module")
def judged():
    rng = np.random.default_rng(5)
    stated = rng.beta(0.6, 2.0, 20_000)
    return stated, (rng.random(20_000) < stated**1.5).astype(int)


def test_brier_score_and_skill_are_those_of_scikit_learn(judged):
    stated, came = judged
    assert brier(stated, came) == pytest.approx(brier_score_loss(came, stated), rel=1e-12)
    base = brier_score_loss(came, np.full(len(came), came.mean()))
    assert skill(stated, came) == pytest.approx(1 - brier_score_loss(came, stated) / base, rel=1e-9)


def test_bins_are_those_of_scikit_learn(judged):
    stated, came = judged
    table = reliability(stated, came)
    true, mean = calibration_curve(came, stated, n_bins=10, strategy="uniform")
    assert table.true == pytest.approx(true, rel=1e-12)
    assert table.stated == pytest.approx(mean, rel=1e-12)
    assert ece(stated, came) == pytest.approx(np.average(abs(true - mean), weights=table.count), rel=1e-12)


def test_a_table_made_by_hand():
    stated = [0.0, 0.05, 0.05, 0.09, 0.25, 0.25, 0.9, 1.0]
    came = [0, 0, 1, 0, 1, 0, 1, 1]
    table = reliability(stated, came)
    assert table.count == (4, 0, 2, 0, 0, 0, 0, 0, 0, 2)
    assert table.came == (1, 0, 1, 0, 0, 0, 0, 0, 0, 2)
    assert table.stated_sum == pytest.approx((0.19, 0, 0.5, 0, 0, 0, 0, 0, 0, 1.9))
    assert [table.true[place] for place in (0, 2, 9)] == [0.25, 0.5, 1.0]
    assert math.isnan(table.true[1])
    assert (table.statements, table.events, table.base_rate) == (8, 4, 0.5)
    assert table.brier == pytest.approx((0.05**2 + 0.95**2 + 0.09**2 + 0.75**2 + 0.25**2 + 0.1**2) / 8)
    assert table.skill == pytest.approx(1 - table.brier / 0.25)
    assert table.ece == pytest.approx((4 * (0.25 - 0.0475) + 2 * 0.25 + 2 * 0.05) / 8)


def test_an_edge_belongs_to_the_bin_above_it_in_either_precision():
    edges = np.arange(11) / 10
    once = (1,) * 9 + (2,)
    assert reliability(edges, np.zeros(11)).count == once
    assert reliability(edges.astype(np.float32), np.zeros(11, np.uint8)).count == once


def test_parts_add_up_to_the_whole(judged):
    stated, came = judged
    whole = reliability(stated, came)
    parts = total(reliability(stated[part::3], came[part::3]) for part in range(3))
    assert (parts.count, parts.came) == (whole.count, whole.came)
    assert (parts.brier, parts.skill, parts.ece) == pytest.approx((whole.brier, whole.skill, whole.ece), rel=1e-9)
    assert total([]) == NOTHING == reliability([], [])


def test_without_both_outcomes_there_is_no_skill():
    assert math.isnan(skill([0.1, 0.2], [0, 0]))
    assert math.isnan(skill([0.9], [1]))
    assert math.isnan(brier([], []))
    assert math.isnan(ece([], []))
    assert ece([0.1, 0.2], [0, 0]) == pytest.approx(0.15)


def test_always_stating_the_base_rate_has_no_skill_and_no_error():
    came = np.arange(100) < 30
    assert skill(np.full(100, 0.3), came) == pytest.approx(0)
    assert ece(np.full(100, 0.3), came) == pytest.approx(0)
