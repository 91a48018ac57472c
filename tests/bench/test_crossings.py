"""``crossings`` of ``infra/bench forecast``: figures against the definition, and what counts as good by hand."""

import numpy as np
import pytest

from streams.recordings.crossings import WITHIN, judged
from streams.recordings.evaluate import HORIZONS, Forecasts
from tests.bench.crossings import Crossings, crossings_of, summary
from tests.support.recordings import recording
from twins.fitting.chances import ece, skill
from twins.signals import BY_NAME


@pytest.fixture(scope="module")
def made():
    walk = np.round(110 + 25 * np.sin(np.arange(900) / 40) + np.random.default_rng(8).normal(0, 4, 900))
    run = Forecasts(recording(BY_NAME["heart_rate"].code, walk, 60), HORIZONS)
    run.stream()
    return run


def test_figures_are_those_of_the_definition(made):
    figures = crossings_of(made)
    assert list(figures) == ["heart_rate"]
    assert set(figures["heart_rate"]) == {"low", "high"}
    high = figures["heart_rate"]["high"]
    columns = made.columns
    origin, came, _ = judged(columns.time, columns.value, 120.0, 1, WITHIN)
    chance = made.stated.stated[origin, 1]
    known = np.isfinite(chance)
    assert (high["kind"], high["count"], high["events"]) == ("within_30_min", known.sum(), came[known].sum())
    assert high["stated"] == pytest.approx(chance[known].mean(), rel=1e-6)
    assert high["true"] == pytest.approx(came[known].mean())
    assert high["skill"] == pytest.approx(skill(chance[known], came[known]))
    assert high["ece"] == pytest.approx(ece(chance[known], came[known]))
    assert (0 < high["lead_min"] <= 30) == (high["first_warnings_true"] > 0)
    assert high["first_warnings_true"] <= high["first_warnings"] <= high["warnings"]


def of(events, skill, ece):
    return {
        "kind": "next_reading", "count": 1_000, "events": events, "stated": 0.1, "true": 0.1, "skill": skill, "ece": ece,
        "lead_min": float("nan"),
    }  # fmt: skip


def test_what_counts_as_good():
    files = Crossings({
        "one": {"heart_rate": {"low": of(50, 0.1, 0.05), "high": of(49, 0.9, 0.01)}},
        "two": {"glucose": {"low": of(60, 0.0, 0.02), "high": of(70, 0.2, 0.051)}},
    })  # fmt: skip
    assert summary(files) == {"of": 3, "skill_above_0": 2, "ece_within": 2, "both": 1}
    lines = str(files).splitlines()
    assert [line.split()[-1] for line in lines[1:]] == ["good", "events", "good", "good"]
    assert sum("not good" in line for line in lines) == 2
    assert max(map(len, lines)) <= 135
    assert summary(Crossings()) == {"of": 0, "skill_above_0": 0, "ece_within": 0, "both": 0}
