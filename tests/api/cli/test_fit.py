"""``vitaltwin fit``: output as JSON and as text, errors in one line."""

import json

import numpy as np
import pytest

from api.cli.fit import Form, row_of
from twins.fitting.forms import FORMS, modes_of
from twins.models.channel.modes import Modes

HEADER = "patient,time,signal,value,unit\n"


@pytest.fixture
def made(tmp_path):
    random = np.random.default_rng(3)
    lines = []
    for patient in "abcd":
        values = np.round(80 + np.cumsum(random.normal(0, 1, 90)))
        lines += [
            f"{patient},2000-01-01T{n // 60:02}:{n % 60:02}:00Z,heart_rate,{value:.0f},/min\n"
            for n, value in enumerate(values)
        ]
    (tmp_path / "made.csv").write_text(HEADER + "".join(lines))
    return tmp_path / "made.csv"


def test_figures_as_json(vitaltwin, made):
    shown = vitaltwin("fit", made, made, "--signal", "heart_rate", "--form", "ou", "--json", timeout=300)
    assert shown.returncode == 0, shown.stderr
    told = json.loads(shown.stdout)
    assert told["files"] == ["made.csv", "made.csv"]
    (one,) = told["fits"]
    assert (one["signals"], one["chosen"], list(one["forms"])) == (["heart_rate"], "ou", ["ou"])
    ou = one["forms"]["ou"]
    assert ou["skill"].keys() <= {"1", "5", "15", "30", "60", "120"}
    assert [use["patients"] for use in ou["train_files"]] == [2, 2]
    assert ou["modes"]["mean"] == ou["parameters"]["mean"]
    assert one["rows"]["ou"][0].startswith('"heart_rate": Modes(')


def test_a_person_sees_what_was_used_the_forms_and_the_row(vitaltwin, made):
    shown = vitaltwin("fit", made, timeout=300)
    assert shown.returncode == 0, shown.stderr
    assert all("…" not in line for line in shown.stdout.splitlines())
    for words in ("made.csv", *FORMS, '"heart_rate": Modes('):
        assert words in shown.stdout
    three = vitaltwin("fit", made, "--form", "three", timeout=300)
    assert "the channel twin has no form three: mean" in three.stdout


@pytest.mark.parametrize(
    "wrong",
    [(), ("missing.csv",), ("made.csv", "--signal", "mood"), ("made.csv", "--signal", "insulin_bolus"),
     ("made.csv", "--form", "cubic")],
)  # fmt: skip
def test_wrong_usage_ends_with_2(vitaltwin, made, wrong):
    assert vitaltwin("fit", *wrong).returncode == 2


def test_nothing_to_fit_on_is_one_line_and_1(vitaltwin, tmp_path):
    (tmp_path / "r.csv").write_text(HEADER + "p,2000-01-01T00:00:00Z,heart_rate,80,/min\n")
    shown = vitaltwin("fit", "r.csv")
    assert shown.returncode == 1
    assert shown.stderr.splitlines() == [
        "heart_rate: too few readings to fit on, skipped",
        "error: no signal has 8 plausible readings of one patient to fit on",
    ]


def test_a_row_reads_as_in_the_table():
    assert row_of("glucose", Modes(139.6, 1.0, 20.5, 1_440.0, 65.6, 14_760.0, -0.99)) == (
        '"glucose": Modes(139.6, 1.0, 20.5, 1_440.0, 65.6, 14_760.0, -0.99),'
    )
    assert row_of("x", Modes(77.69, 0.0717, 3.4912, 185.23, 18.0, 140_808.0)) == (
        '"x": Modes(77.69, 0.0717, 3.491, 185.2, 18.0, 140_800.0),'
    )


def test_a_pasted_row_is_the_motion_that_was_fitted():
    """Modes that nearly cancel have enough digits for their difference to be right."""
    for form, scales in (("matern32", {"scale_s": 2_345.6}), ("trend", {"fast_s": 1_234.5, "slow_s": 4_567.8})):
        told = modes_of(form, {"mean": 139.57, "noise_sd": 1.2345, "sd": 50.0} | scales)
        pasted = eval(row_of("x", told).split(": ")[1].rstrip(","))  # noqa: S307
        shapes = [np.diff([level_at(modes, lag) for lag in (0.0, 300.0, 600.0, 3_600.0)]) for modes in (told, pasted)]
        assert shapes[1] == pytest.approx(shapes[0], rel=5e-3)


def level_at(modes, lag):
    a, b = 1 / modes.fast_s, 1 / modes.slow_s
    cross = modes.coupling * 2 * np.sqrt(a * b) / (a + b) * modes.fast_sd * modes.slow_sd
    return (modes.fast_sd**2 + cross) * np.exp(-a * lag) + (modes.slow_sd**2 + cross) * np.exp(-b * lag)


def test_every_form_may_be_asked_for():
    assert {form.value for form in Form} == {"all", *FORMS}


@pytest.fixture
def swinging(tmp_path):
    """Glucose every 5 min that passes both limits now and then."""
    random = np.random.default_rng(4)
    lines = []
    for patient in "abcdef":
        phase = random.uniform(0, 6)
        values = 150 + 110 * np.sin(np.arange(500) / 25 + phase) + random.normal(0, 5, 500)
        lines += [
            f"{patient},2000-01-0{1 + n // 288}T{n % 288 // 12:02}:{n % 12 * 5:02}:00Z,glucose,{value:.0f},mg/dL\n"
            for n, value in enumerate(values)
        ]
    (tmp_path / "swinging.csv").write_text(HEADER + "".join(lines))
    return tmp_path / "swinging.csv"


def test_chances_are_fitted_on_every_second_patient_and_scored_on_the_others(vitaltwin, swinging):
    shown = vitaltwin("fit", swinging, "--chances", "--json", timeout=300)
    assert shown.returncode == 0, shown.stderr
    told = json.loads(shown.stdout)
    assert told["files"] == ["swinging.csv"]
    assert [(one["signal"], one["kind"], one["side"]) for one in told["fits"]] == [
        ("glucose", "within_30_min", "low"), ("glucose", "within_30_min", "high"),
    ]  # fmt: skip
    for one in told["fits"]:
        assert one["result"]["slope"] > 0.0
        assert one["events"] >= 20
        (held_out,) = one["held_out"]
        assert held_out["chances"] > 300
        assert held_out["skill"] > 0.3
        assert held_out["ece"] < 0.1
    assert set(told["others"]) == {"within_30_min", "next_reading"}
    text = vitaltwin("fit", swinging, "--chances", "--signal", "glucose", timeout=300)
    assert '("glucose", "within_30_min", "low"): Recalibration(' in text.stdout


def test_chances_without_readings_beyond_a_limit_cannot_be_fitted(vitaltwin, made):
    shown = vitaltwin("fit", made, "--chances", "--signal", "heart_rate", timeout=300)
    assert shown.returncode == 1
    assert "too few readings beyond a limit" in shown.stderr
    assert vitaltwin("fit", made, "--chances", "--signal", "mood").returncode == 2
