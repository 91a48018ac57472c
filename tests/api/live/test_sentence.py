"""Every transition is one plain sentence in every language, whatever its event and condition."""

import re

import pytest

from api.live.sentence import LANGUAGES, sentence, sentences_of
from twins.alarms.conditions import CHANNEL_CONDITIONS, SCORE_CONDITIONS
from twins.alarms.table import EVENTS
from twins.records import Transition

AT = 1_767_225_605_000_000
EXPLANATIONS = {
    "predicted.low": {"forecast": {"probability": 0.62, "kind": "within_30_min", "horizon_min": 30.0}},
    "predicted.high": {"forecast": {"probability": 0.62, "kind": "next_reading", "horizon_min": 15.0}},
    "sensor.fault": {"fault": {"reason": "flat", "flat_s": 3600.0}},
    "sensor.silent": {"silent_s": 25.0},
    "sensor.clock": {"clock": {"side": "ahead", "apart_s": 300.0}},
    "sensor.disagreement": {
        "disagreement": {"sources": [{"signal": "heart_rate", "mean": 80.2}, {"signal": "pulse_rate", "mean": 120.0}]}
    },
}


def changed(condition="limit.low", event="began", **more):
    given = {"signal": "heart_rate", "value": 47.0, "limit": 50.0, "presence": "on", "number": 2} | more
    return Transition(
        id="a-1", alarm="a", patient="p", condition=condition, onset=AT, time=AT, event=event, by="ada",
        explanation=EXPLANATIONS.get(condition, {}), **given,
    )  # fmt: skip


def test_a_limit_in_two_languages():
    said = sentences_of(changed())
    assert said["en"] == "Heart rate low since 2026-01-01 00:00:05 UTC: 47 /min is below 50 /min."
    assert said["de"].startswith("Herzfrequenz")
    assert said["de"].endswith("2026-01-01 00:00:05 UTC: 47 /min liegt unter 50 /min.")


def test_who_acknowledged_and_how_often():
    assert (
        sentence(changed(event="acknowledged"), "en")
        == "Heart rate low: acknowledged by ada at 2026-01-01 00:00:05 UTC."
    )
    assert "for time number 3" in sentence(changed(event="recurred", count=3), "en")


def test_a_rule_says_its_own_text():
    text = {"en": "Sepsis suspected", "de": "Verdacht auf Sepsis"}
    one = changed("rule.sepsis", signal="", limit=None, text=text)
    assert sentence(one, "de") == "Verdacht auf Sepsis seit 2026-01-01 00:00:05 UTC."


def test_what_earlier_versions_stored():
    assert sentence(changed(event="", number=1), "en").startswith("Heart rate low since")
    assert sentence(changed(event="", presence="off"), "en") == "Heart rate low: over at 2026-01-01 00:00:05 UTC."


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("event", EVENTS)
def test_nothing_is_left_open(language, event):
    for condition in (*CHANNEL_CONDITIONS, *SCORE_CONDITIONS):
        score = condition.name.startswith("news2")
        said = sentence(changed(condition.name, event, signal="" if score else "heart_rate"), language)
        assert re.fullmatch(r"[A-ZÄÖÜ2][^{}]*[^ :]\.", said), said
        assert "None" not in said
        assert "sentence." not in said
        assert "why." not in said
