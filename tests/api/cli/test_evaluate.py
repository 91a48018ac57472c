"""What ``vitaltwin evaluate`` prints and draws."""

import json
from xml.etree import ElementTree as ET

import msgspec
import numpy as np
import pytest
from statsmodels.stats.proportion import proportion_confint

from api.cli.diagrams import diagram, write_diagrams
from api.cli.evaluated import show
from streams.recordings.chances import scores_of
from streams.recordings.evaluate import evaluate
from tests.support.recordings import recording
from twins.fitting.chances import reliability
from twins.signals import BY_NAME

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def result():
    """Fifteen hours, with a step each hour, that pass 120 now and then."""
    walk = np.round(80 + 45 * (np.arange(900) // 60 % 2) + np.random.default_rng(8).normal(0, 2, 900))
    return evaluate(recording(BY_NAME["heart_rate"].code, walk, 60))


def test_tables_are_readable_and_say_what_they_mean(result, capsys):
    show(result)
    out = capsys.readouterr().out
    for title in ("Where the 80 % band holds", "stated chance of a reading beyond a limit", "by tenths", "Warnings"):
        assert title in out
    assert "100 to 130" in out
    assert "after a step" in out
    assert "above 120" in out
    assert max(len(line.rstrip()) for line in out.splitlines()) <= 120
    high = result.signals["heart_rate"].crossings[1]
    assert f"{high.together.events:,}" in out


def test_figures_are_in_the_json_too(result):
    figures = json.loads(msgspec.json.encode(result))["signals"]["heart_rate"]
    (low, high) = figures["crossings"]
    assert (low["side"], high["side"], high["limit"]) == ("low", "high", 120)
    assert high["chances"][0]["events"] >= 50
    assert len(high["chances"][0]["bins"]) == 10
    assert {"raised", "judged", "true", "lead_min"} == set(high["first"])
    assert {group["group"] for group in figures["groups"]["30"]} >= {"level", "after_step"}


def test_a_diagram_has_a_dot_where_the_bin_is():
    scores = scores_of(reliability([0.25] * 100 + [0.75] * 8, [1] * 50 + [0] * 50 + [1] * 8), "next_reading")
    drawn = ET.fromstring(diagram("Heart rate & more", "below < 50", scores))  # noqa: S314 - our own text
    assert drawn.find(f"{SVG}title").text == "Heart rate & more: below < 50"
    assert "stated 25%, came 50% of 100" in drawn.find(f"{SVG}desc").text
    first, second = drawn.findall(f"{SVG}circle")
    left, top, side = 52, 76, 240
    assert (float(first.get("cx")), float(first.get("cy"))) == (left + side / 4, top + side / 2)
    assert (float(second.get("cx")), float(second.get("cy"))) == (left + side * 3 / 4, top)
    assert float(first.get("r")) > float(second.get("r"))
    low, high = proportion_confint(50, 100, method="wilson")
    bars = [one.get("d") for one in drawn.findall(f"{SVG}path") if one.get("stroke-opacity")]
    assert bars[0] == f"M{left + side / 4} {top + side * (1 - low):.1f}V{top + side * (1 - high):.1f}"
    assert (first.get("fill"), second.get("fill")) == ("#1f6feb", "none")  # eight chances say little


def test_only_limits_with_enough_events_are_drawn(result, tmp_path):
    written = write_diagrams(result, tmp_path / "pictures")
    assert [path.name for path in written] == ["made-heart-rate-high.svg"]
    text = written[0].read_text(encoding="utf-8")
    assert "<title>Heart rate: a reading above 120 within 30 min</title>" in text
    assert written[0].stat().st_size < 8_000


def test_held_out_patients_are_those_at_odd_places_by_id(vitaltwin, tmp_path):
    lines = [
        f"{patient},2000-01-01T00:{minute:02}:00Z,heart_rate,{80 + minute % 3},/min"
        for patient in ("c", "a", "b") for minute in range(40)
    ]  # fmt: skip
    head = "patient,time,signal,value,unit"
    (tmp_path / "three.csv").write_text("\n".join([head, *lines]), encoding="utf-8")
    (tmp_path / "one.csv").write_text("\n".join([head, *lines[:40]]), encoding="utf-8")
    shown = vitaltwin("evaluate", "three.csv", "--held-out", "--json", "--diagrams", "drawn", timeout=300)
    assert shown.returncode == 0, shown.stderr
    assert (json.loads(shown.stdout)["patients"], json.loads(shown.stdout)["readings"]) == (1, 40)
    assert list((tmp_path / "drawn").iterdir()) == []
    alone = vitaltwin("evaluate", "one.csv", "--held-out")
    assert (alone.returncode, alone.stderr.strip()) == (1, "error: one.csv has a single patient: none is held out")


def test_no_figure_is_cropped_on_a_narrow_terminal(result, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    show(result)
    out = capsys.readouterr().out
    assert "…" not in out
    assert max(map(len, out.splitlines())) <= 120
