"""Fits: known parameters are found again, halves never mix, and poor recordings give a result or a plain refusal."""

import numpy as np
import pytest
from scipy.linalg import cholesky

from streams.recordings.fit import fit
from streams.recordings.recording import Recording
from streams.recordings.split import HORIZONS_S, gather
from twins.fitting.forms import FORMS
from twins.records import Columns
from twins.signals import BY_NAME

TRUE = {"mean": 90.0, "noise_sd": 1.0, "fast_s": 200.0, "slow_s": 20_000.0, "fast_sd": 4.0, "slow_sd": 10.0}


def recording(parts, signal="heart_rate"):
    """parts: (seconds, values) by patient."""
    lengths = [len(seconds) for seconds, _ in parts.values()]
    return Recording(
        "made.csv",
        Columns(
            list(parts),
            np.repeat(np.arange(len(parts), dtype=np.uint32), lengths),
            np.full(sum(lengths), BY_NAME[signal].code, np.uint16),
            np.concatenate([(np.asarray(s, float) * 1e6).astype(np.int64) for s, _ in parts.values()]) + 10**15,
            np.concatenate([np.asarray(v, float) for _, v in parts.values()]),
        ),
    )


def moving(seed, seconds, true=TRUE):
    """A draw of the two-mode process at ``seconds``, from its covariance."""
    random = np.random.default_rng(seed)
    lag = np.abs(np.subtract.outer(seconds, seconds))
    shape = sum(true[f"{one}_sd"] ** 2 * np.exp(-lag / true[f"{one}_s"]) for one in ("fast", "slow"))
    level = cholesky(shape + 1e-9 * np.eye(len(seconds)), lower=True) @ random.normal(size=len(seconds))
    return np.round(true["mean"] + level + random.normal(0, true["noise_sd"], len(seconds)))


@pytest.fixture(scope="module")
def ward():
    def times(seed):
        return np.cumsum(np.random.default_rng(seed).choice([30.0, 60.0, 60.0, 600.0], 250))

    return recording({f"p{n:02}": (times(n), moving(n, times(n))) for n in range(60)})


def test_a_fit_finds_the_modes_that_made_the_readings(ward):
    found = fit([ward], ["heart_rate"], ["single", "ou"])
    assert found.signals == ["heart_rate"]
    ou = found.forms["ou"]
    assert ou.parameters["mean"] == pytest.approx(90, abs=5)
    assert ou.parameters["noise_sd"] == pytest.approx(1.0, abs=0.5)
    assert ou.parameters["fast_sd"] == pytest.approx(4.0, rel=0.2)
    assert ou.parameters["slow_sd"] == pytest.approx(10.0, rel=0.35)
    assert ou.parameters["fast_s"] == pytest.approx(200, rel=0.35)
    assert 7_000 < ou.parameters["slow_s"] < 60_000
    assert ou.modes.fast_s == ou.parameters["fast_s"]
    assert ou.at_bound == []
    single = found.forms["single"]
    assert ou.train < single.train - 0.01
    assert ou.held_out < single.held_out - 0.01
    assert found.chosen == "ou"
    assert 0.05 < ou.skill["60"] < 0.6
    (train,), (held_out,) = ou.train_files, ou.held_out_files
    assert (train.patients, held_out.patients) == (30, 30)
    assert (train.readings, held_out.readings) == (7_500, 7_500)


def test_a_level_with_a_trend_is_told_from_two_modes():
    """Draws of a Matérn-3/2 process: the coupled form finds what the trend form finds, because it includes it."""
    seconds = np.arange(150) * 300.0
    lag = np.abs(np.subtract.outer(seconds, seconds)) / 3_000.0
    root = cholesky(2_500.0 * (1 + lag) * np.exp(-lag) + 1e-6 * np.eye(150), lower=True)
    random = np.random.default_rng(7)
    parts = {f"p{n:02}": (seconds, 140 + root @ random.normal(size=150) + random.normal(0, 1, 150)) for n in range(30)}
    found = fit([recording(parts, "glucose")], ["glucose"], ["ou", "trend", "coupled", "matern32"])
    result = {form: one.train for form, one in found.forms.items()}
    assert result["trend"] < result["ou"] - 0.3
    assert result["coupled"] < result["trend"] + 0.005
    assert result["matern32"] < result["trend"] + 0.02
    assert found.chosen == "trend"
    matern = found.forms["matern32"].parameters
    assert matern["scale_s"] == pytest.approx(3_000, rel=0.2)
    assert matern["sd"] == pytest.approx(50, rel=0.2)
    assert found.forms["trend"].modes.coupling == -1.0
    assert found.forms["trend"].skill["15"] > 0.2


def test_halves_are_by_place_of_id_and_hold_only_what_is_plausible():
    minutes = np.arange(20) * 60.0
    values = np.full(20, 80.0)
    made = recording(
        {"c": (minutes, values), "a": (minutes, np.where(minutes < 300, 0.0, 70)), "b": (minutes, values + 5)}
    )
    even, odd = (gather(made, "heart_rate", parity) for parity in (0, 1))
    assert sorted(even.mids) == [70.0, 80.0]
    assert odd.mids.tolist() == [85.0]
    assert sorted(np.diff(even.starts)) == [15, 20]
    assert gather(made, "glucose", 0) is None


def test_series_do_not_meet_each_other_and_dense_ones_are_thinned():
    minutes = np.arange(40) * 60.0
    made = recording(
        {"a": (minutes, np.arange(40) + 60), "b": ([1], [60]), "c": (minutes + 5_000, np.arange(40) + 100)}
    )
    half = gather(made, "heart_rate", 0)
    at = int(np.flatnonzero(HORIZONS_S == 600)[0])
    met = half.meets[at]
    assert half.stride.tolist() == [3, 3]
    assert met[0:31:3].tolist() == [*range(10, 40, 3), -1]
    assert met[40:70:3].tolist() == list(range(50, 80, 3))
    assert (np.delete(met[:40], slice(0, 40, 3)) == -1).all()
    assert not half.dense
    quarter = np.arange(4_000) * 0.25
    dense = gather(recording({"a": (quarter, np.full(4_000, 33.0))}, "skin_temperature"), "skin_temperature", 0)
    assert dense.dense
    assert len(dense.value) == 1_000
    assert dense.stride.tolist() == [30]


def test_what_was_left_out_of_a_fit_does_not_move_it(ward):
    columns = ward.columns
    odd = columns.patient % 2 == 1
    other = Recording("made.csv", Columns(
        columns.patients, columns.patient, columns.signal, columns.time, np.where(odd, columns.value + 30, columns.value)
    ))  # fmt: skip
    one, two = (fit([made], ["heart_rate"], ["single"], most=2_000).forms["single"] for made in (ward, other))
    assert one.parameters == two.parameters
    assert two.held_out > one.held_out + 0.1


def test_the_mean_stays_with_the_patients_where_they_are_few():
    """Two patients whose slow mode never shows: the readings alone leave the mean undetermined."""
    seconds = np.arange(400) * 60.0
    parts = {
        name: (seconds, level + np.round(np.sin(seconds / 500))) for name, level in (("a", 70), ("b", 90), ("c", 76))
    }
    found = fit([recording(parts, "pulse_rate")], ["pulse_rate"], ["ou"])
    assert 67 < found.forms["ou"].parameters["mean"] < 79


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("values", [np.full(30, 0.5), np.zeros(30), np.tile([0.0, 30.0], 15), np.arange(30.0)])
def test_series_that_never_change_or_only_jump_are_fitted_too(form, values):
    found = fit([recording({"a": (np.arange(30) * 60.0, values)}, "perfusion_index")], ["perfusion_index"], [form])
    result = found.forms[form]
    assert np.isfinite(list(result.parameters.values())).all()
    assert np.isfinite(result.train)
    assert np.isnan(result.held_out)
    assert result.held_out_files == []
    assert result.skill == {}


def test_too_little_is_nothing():
    assert fit([], ["heart_rate"]) is None
    assert fit([recording({"a": ([0], [80])})], ["heart_rate"]) is None
    assert fit([recording({"a": (np.zeros(50), np.full(50, 80))})], ["heart_rate"]) is None
    assert fit([recording({"a": (np.arange(50), np.zeros(50))})], ["heart_rate"]) is None


def test_signals_fitted_together_share_a_row(ward):
    columns = ward.columns
    pulse = np.full(len(columns), BY_NAME["pulse_rate"].code, np.uint16)
    other = Recording("pulse.csv", Columns(columns.patients, columns.patient, pulse, columns.time, columns.value + 10))
    result = []
    found = fit([ward, other], ["heart_rate", "pulse_rate"], ["single"], most=2_000, tell=result.append)
    assert found.signals == ["heart_rate", "pulse_rate"]
    assert result == ["single"]
    assert [use.file for use in found.forms["single"].train_files] == ["made.csv", "pulse.csv"]
    alone = fit([ward], ["heart_rate"], ["single"], most=2_000)
    means = [one.forms["single"].parameters["mean"] for one in (found, alone)]
    assert 2 < means[0] - means[1] < 8


def test_a_file_too_short_to_tell_anything_is_left_out_beside_others(ward):
    short = recording({"z": (np.arange(20) * 60.0, np.full(20, 190.0))})
    both, alone = (fit(made, ["heart_rate"], ["single"], most=2_000) for made in ([ward, short], [short]))
    assert [use.patients for use in both.forms["single"].train_files] == [30]
    assert [use.readings for use in alone.forms["single"].train_files] == [20]


def test_one_patient_of_a_file_weighs_a_fifth_of_a_population(ward):
    """A stuck sensor of one patient far away: the mean follows the thirty others."""
    stuck = recording({"z": (np.arange(500) * 60.0, np.full(500, 190.0))})
    result = fit([ward, stuck], ["heart_rate"], ["ou"], most=4_000).forms["ou"]
    assert result.parameters["mean"] == pytest.approx(90, abs=15)
    assert result.held_out_files[0].patients == 30
