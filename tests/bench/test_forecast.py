"""``infra/bench forecast``: the local level against statsmodels, peers by hand, and a short run over recorded patients."""

import json

import numpy as np
import pytest
from statsmodels.datasets import nile
from statsmodels.tsa.statespace.structural import UnobservedComponents

from api.cli.output import Failure
from streams.recordings.evaluate import evaluate
from streams.recordings.recording import Recording
from tests.bench.forecast import HORIZONS, PEERS, constant, pairs, rolling_mean, run, table_of
from tests.bench.peers.local_level import fitted, levels, likelihood
from twins.records import Columns
from twins.signals import BY_NAME

MINUTE = 60_000_000


@pytest.fixture(scope="module")
def flow():
    return nile.load_pandas().data["volume"].to_numpy(float)


def peer(value):
    model = UnobservedComponents(value, "llevel", loglikelihood_burn=0)
    model.ssm.initialize_diffuse()
    return model


def gapped(value):
    """Time in steps and value of what is not missing, as the kernel is given it."""
    place = np.flatnonzero(np.isfinite(value))
    return np.concatenate([[0.0], np.diff(place)]), value[place]


def with_holes(value):
    holed = value.copy()
    holed[20:40] = holed[60:80] = np.nan
    return holed


@pytest.mark.parametrize("holes", [False, True])
@pytest.mark.parametrize("ratio", [1e-6, 0.0973, 1.0, 1e3])
def test_likelihood_is_that_of_statsmodels(flow, holes, ratio):
    value = with_holes(flow) if holes else flow
    result, variance, level, spread = likelihood(*gapped(value), ratio)
    oracle = peer(value).smooth([variance, ratio * variance])
    assert result == pytest.approx(oracle.llf, rel=1e-9)
    assert level == pytest.approx(oracle.filtered_state[0, -1], rel=1e-9)
    assert spread * variance == pytest.approx(oracle.filtered_state_cov[0, 0, -1], rel=1e-7)


def test_fit_finds_the_published_variances(flow):
    gap, value = gapped(flow)
    ratio = fitted(gap, value)
    result, variance, _, _ = likelihood(gap, value, ratio)
    assert variance == pytest.approx(15098.5, rel=1e-4)
    assert ratio * variance == pytest.approx(1469.2, rel=1e-3)
    oracle = peer(flow).fit(disp=False)
    assert result >= oracle.llf - 1e-6
    assert result == pytest.approx(-633.4645636, abs=1e-6)


def test_fit_takes_the_highest_of_many_ratios(flow):
    for value in (flow, np.cumsum(flow - flow.mean()), np.round(flow / 300), np.tile([1.0, 2.0], 30)):
        gap = np.ones(len(value))
        best = likelihood(gap, value, fitted(gap, value))[0]
        assert best >= max(likelihood(gap, value, 10.0**power)[0] for power in np.arange(-6, 6.01, 0.25)) - 1e-6


def test_level_is_fitted_on_the_past_and_filtered_between(flow):
    time = np.arange(100) * MINUTE
    level = levels(time, flow)
    assert np.array_equal(level[:19], flow[:19])
    for fit, until in ((20, 40), (40, 80), (80, 101)):
        ratio = fitted(*gapped(flow[:fit]))
        for count in range(fit, until):
            assert level[count - 1] == pytest.approx(likelihood(*gapped(flow[:count]), ratio)[2], rel=1e-12)


def test_level_knows_no_future(flow):
    time = np.cumsum(np.arange(100) % 3) * MINUTE
    other = np.where(np.arange(100) < 50, flow, 0.0)
    assert np.array_equal(levels(time, flow)[:50], levels(time, other)[:50])


def test_level_looks_back_no_further_than_its_history(flow):
    time = np.arange(100) * MINUTE
    short = levels(time, flow, first_fit=10, history=20)
    for fit in (20, 40, 60):
        gap, value = gapped(flow[fit - 20 : fit])
        assert short[fit - 1] == pytest.approx(likelihood(gap, value, fitted(gap, value))[2], rel=1e-12)


def test_level_follows_readings_that_never_changed_before():
    value = np.concatenate([np.full(30, 98.0), np.full(5, 90.0)])
    assert levels(np.arange(35) * MINUTE, value)[-1] == pytest.approx(90.0, abs=1e-3)


def test_pairs_are_the_nearest_within_half_a_step():
    time = np.array([0, 5, 10, 16, 20, 33]) * MINUTE
    origin, target = pairs(time, 10)
    assert list(zip(origin, target, strict=True)) == [(0, 2), (1, 3), (2, 4)]
    assert len(pairs(time, 2).origin) == 0
    assert len(pairs(np.zeros(3, np.int64), 10).origin) == 0


def test_hourly_readings_keep_the_longest_tolerance():
    time = np.array([0, 62, 125]) * MINUTE
    assert pairs(time, 60).origin.tolist() == [0]
    assert pairs(time, 45).origin.tolist() == []


def test_means_by_hand():
    time = np.array([0, 1, 2, 3, 30, 31]) * MINUTE
    value = np.array([10.0, 20.0, 30.0, 40.0, 7.0, 9.0])
    assert rolling_mean(time, value).tolist() == [10.0, 15.0, 20.0, 25.0, 7.0, 8.0]
    assert constant(value) == pytest.approx([10.0, 15.0, 20.0, 25.0, 107 / 5, 116 / 6])
    seconds = np.arange(400) * 1_000_000
    assert rolling_mean(seconds, np.arange(400.0))[-1] == pytest.approx(np.arange(100, 400).mean())


def recording(values, signal="heart_rate", every=MINUTE):
    count = sum(map(len, values.values()))
    lengths = [len(value) for value in values.values()]
    return Recording(
        "made.csv",
        Columns(
            list(values),
            np.repeat(np.arange(len(values), dtype=np.uint32), lengths),
            np.full(count, BY_NAME[signal].code, np.uint16),
            np.concatenate([np.arange(length) * every for length in lengths]) + 946_684_800_000_000,
            np.concatenate(list(values.values())).astype(float),
        ),
    )


def test_rows_are_over_all_patients_and_on_plausible_readings():
    rising = np.arange(12.0) + 70
    rows = table_of("made", recording({"a": rising, "b": np.where(np.arange(12) == 3, 0.0, 80.0)}))
    assert [row["horizon"] for row in rows] == [1, 2, 5, 10]
    first = rows[0]
    assert (first["file"], first["signal"], first["patients"], first["pairs"]) == ("made", "heart_rate", 2, 11 + 9)
    assert first["persistence_rmse"] == pytest.approx(np.sqrt(11 / 20))
    assert first["local_level_rmse"] == first["persistence_rmse"]  # too few readings for a fit
    wide = np.array([(i + 1) - np.mean(np.arange(max(0, i - 9), i + 1)) for i in range(11)])
    assert first["rolling_mean_rmse"] == pytest.approx(np.sqrt(np.sum(wide**2) / 20))
    assert first["constant_rmse"] == pytest.approx(np.sqrt(sum((i + 1 - i / 2) ** 2 for i in range(11)) / 20))
    assert first["best_peer"] == "persistence"
    assert first["asked"]


def test_the_average_so_far_decides_what_is_asked():
    seesaw = 80.0 + 5.0 * (np.random.default_rng(4).random(19) > 0.5)
    (first, *_) = table_of("made", recording({"a": seesaw}))
    assert first["asked"] == (first["best_peer_rmse"] < first["constant_rmse"])
    assert first["better"] == (first["rmse"] < first["best_peer_rmse"])
    assert first["best_peer_rmse"] == min(first[f"{name}_rmse"] for name in PEERS)


def test_what_the_average_so_far_does_as_well_is_not_asked():
    seesaw = 80.3 + 6.1 * (np.arange(9) % 2)  # all of it within the window of the rolling mean
    (first, *_) = table_of("made", recording({"a": seesaw}))
    assert first["best_peer"] == "rolling_mean"
    assert not first["asked"]


def test_forecasts_are_those_evaluate_scores():
    walk = np.round(80 + np.cumsum(np.random.default_rng(1).normal(0, 1.5, 300)))
    made = recording({"a": walk, "b": walk[::-1].copy()})
    scored = evaluate(made).signals["heart_rate"].horizons
    for row in table_of("made", made):
        if str(row["horizon"]) in scored and "rmse" in row:
            same = scored[str(row["horizon"])]
            assert row["pairs"] == same.pairs
            assert (row["rmse"], row["crps"]) == pytest.approx((same.rmse, same.crps), rel=1e-6)
            assert (row["cov80"], row["cov95"]) == (same.coverage["80"], same.coverage["95"])


def test_groups_are_divided_at_the_clinical_edges_and_after_steps():
    """Half an hour at 80, then at 140: readings of 130 and more are a group, and so is the half hour after the step."""
    values = np.concatenate([np.full(1_800, 80.0), np.full(1_800, 140.0)]) + np.random.default_rng(2).integers(
        -1, 2, 3_600
    )
    rows = table_of("made", recording({"a": values}, every=1_000_000))
    minute = [row for row in rows if row["horizon"] == 1]
    by_level = {row["level"]: row["pairs"] for row in minute if "level" in row}
    assert set(by_level) == {"55 to 100", "130 to inf"}
    (pooled,) = (row["pairs"] for row in minute if "rmse" in row)
    assert sum(by_level.values()) == pooled
    (after,) = (row for row in minute if "after_step" in row)
    assert 1_600 < after["pairs"] <= 1_800


def test_groups_are_those_of_evaluate():
    steps = 80.0 + 45 * (np.arange(1_500) // 60 % 2) + np.random.default_rng(3).integers(-2, 3, 1_500)
    made = recording({"a": steps, "b": steps[::-1].copy()})
    groups = evaluate(made).signals["heart_rate"].groups
    rows = [row for row in table_of("made", made) if "level" in row or "after_step" in row]
    shown = [
        (row["horizon"], row["pairs"], row["cov80"], row["tail_low"], row["tail_high"]) for row in rows
    ]  # fmt: skip
    expected = [
        (int(minutes), one.pairs, pytest.approx(one.coverage), pytest.approx(one.below), pytest.approx(one.above))
        for minutes, found in groups.items() for one in found
    ]  # fmt: skip
    assert len({row["level"] for row in rows if "level" in row}) >= 2
    assert any("after_step" in row for row in rows)
    assert shown == expected


def test_missing_recordings_are_named(monkeypatch, tmp_path):
    monkeypatch.setenv("VITALTWIN_DATA", str(tmp_path))
    with pytest.raises(Failure, match="VITALTWIN_DATA"):
        run(quick=True)


@pytest.mark.slow
def test_quick_run(bench, shared_recordings):
    shown = bench("forecast", "--quick", "--json", timeout=300, VITALTWIN_DATA=str(shared_recordings))
    assert shown.returncode == 0, shown.stderr
    result = json.loads(shown.stdout)
    groups = [row for row in result["rows"] if "level" in row or "after_step" in row]
    result["rows"] = [row for row in result["rows"] if row not in groups]
    assert result["groups"]["of"] == len(groups) > 0
    assert result["groups"]["cov80_within"] == sum(0.72 <= row["cov80"] <= 0.88 for row in groups)
    glucose = result["crossings"]["hall2018_cgm"]["glucose"]["low"]
    assert {"kind", "count", "events", "stated", "true", "skill", "ece", "lead_min"} <= set(glucose)
    assert sum(count for count, _, _ in glucose["reliability"]) == glucose["count"] > 1_000
    assert all(row["cov80"] + row["tail_low"] + row["tail_high"] == pytest.approx(1) for row in groups)
    assert {row["file"] for row in result["rows"]} == {"bidmc_numerics_1hz", "hall2018_cgm"}
    assert {row["horizon"] for row in result["rows"]} <= set(HORIZONS)
    assert result["of"] == len(result["rows"]) > 10
    assert result["asked"] == sum(row["asked"] for row in result["rows"])
    assert result["better"] == sum(row["asked"] and row["better"] for row in result["rows"])
    assert result["cov80_within"] == sum(0.76 <= row["cov80"] <= 0.84 for row in result["rows"])


@pytest.mark.slow
def test_a_person_sees_a_table(bench, shared_recordings):
    shown = bench("forecast", "--quick", timeout=300, VITALTWIN_DATA=str(shared_recordings))
    assert shown.returncode == 0, shown.stderr
    assert all("…" not in line for line in shown.stdout.splitlines())
    assert "hall2018_cgm" in shown.stdout
