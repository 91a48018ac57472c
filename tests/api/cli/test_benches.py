"""Every benchmark in its short form, as a person runs it: real processes, real files, real sockets, real kills."""

import json

import pytest


def figures(vitaltwin, name):
    shown = vitaltwin("bench", name, "--quick", "--json", timeout=300)
    assert shown.returncode == 0, shown.stderr
    return json.loads(shown.stdout)


def test_ingest(vitaltwin):
    told = figures(vitaltwin, "ingest")
    for way in ("frame", "json", "naive"):
        assert told[way]["readings_per_s"] > 0
        assert told[way]["cpu_s_per_million"] > 0
    for way in ("frame", "json"):
        ratio = told[way]["readings_per_s"] / told["naive"]["readings_per_s"]
        assert told["ratio"][way] == pytest.approx(ratio, rel=1e-3)


@pytest.mark.slow
def test_latency(vitaltwin):
    told = figures(vitaltwin, "latency")
    for load in ("1000", "10000"):
        assert told[load]["unseen"] == 0
        for what in ("estimate_ms", "alarm_ms"):
            assert 0 < told[load][what]["p50"] <= told[load][what]["p99"]


@pytest.mark.slow
@pytest.mark.fault
def test_recovery(vitaltwin):
    told = figures(vitaltwin, "recovery")
    assert told["kills"] == 3
    assert told["acknowledged"] > 0
    assert told["logged"] >= told["acknowledged"]
    assert (told["lost"], told["applied_twice"], told["identical"]) == (0, 0, True)


@pytest.mark.slow
def test_start(vitaltwin):
    assert figures(vitaltwin, "start")["warm_s"] > 0
