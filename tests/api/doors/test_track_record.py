"""The track record of stated chances: who may see it, what it says, and when it says that it does not know yet."""

import itertools

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss

from streams.history.nothing import NoHistory
from tests.streams.history.judged import judged
from twins.signals import BY_NAME

HOUR = 3_600_000_000
ADDRESS = "/v1/signals/{}/track-record"
HEART_RATE, GLUCOSE = BY_NAME["heart_rate"].code, BY_NAME["glucose"].code
WARDS = {"a": "A", "b": "B", "c": ""}
STATED = np.repeat(np.linspace(0.02, 0.97, 20), 10).astype("f4")
CAME = np.tile([1, 0, 0, 1, 0, 0, 0, 1, 0, 0], 20)
offsets = itertools.count()


def problem(answer):
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    return answer.json()["type"].removeprefix("/problems/")


@pytest.fixture(scope="module")
def now(running):
    """The beginning of the present hour, with judged chances of three wards before it."""
    moment = running.service.clock.now() // HOUR * HOUR
    rows = [
        ("a", HEART_RATE, 1, 0, moment - HOUR - 1000 * number, float(stated), int(came))
        for number, (stated, came) in enumerate(zip(STATED, CAME, strict=True))
    ]
    rows += [("b", HEART_RATE, 1, 0, moment - 50 * HOUR - number, 0.3, number % 10 < 3) for number in range(49)]
    rows += [("b", HEART_RATE, 0, 1, moment - HOUR - number, 0.01, 0) for number in range(200)]
    rows += [("c", HEART_RATE, 1, 0, moment - HOUR, 0.3, 1), ("a", GLUCOSE, 0, 0, moment - 40 * 24 * HOUR, 0.9, 1)]
    # A partition of its own, never complete: it stays in the buffer, from which readers read too.
    running.service.history.add_chances(999, next(offsets), judged(WARDS, rows))
    return moment


def test_scores_by_ward_side_and_kind(now, admin):
    answer = admin.get(ADDRESS.format("heart_rate")).json()
    assert (answer["signal"], answer["unit"]) == ("heart_rate", "/min")
    assert [(ward["ward"], [(one["side"], one["kind"]) for one in ward["records"]]) for ward in answer["wards"]] == [
        ("", [("high", "within_30_min")]),
        ("A", [("high", "within_30_min")]),
        ("B", [("low", "next_reading"), ("high", "within_30_min")]),
    ]
    (mine,) = answer["wards"][1]["records"]
    assert (mine["statements"], mine["came_true"], mine["enough"]) == (200, 60, True)
    assert mine["base_rate"] == pytest.approx(0.3)
    assert mine["stated"] == pytest.approx(float(STATED.mean()), abs=1e-6)
    error = brier_score_loss(CAME, STATED.astype("f8"))
    assert mine["brier"] == pytest.approx(error, abs=1e-6)
    assert mine["skill"] == pytest.approx(1 - error / (0.3 * 0.7), abs=1e-5)
    assert [(one["from"], one["to"]) for one in mine["bins"]] == [(n / 10, (n + 1) / 10) for n in range(10)]
    assert [one["count"] for one in mine["bins"]] == [20] * 10
    assert [one["came"] for one in mine["bins"]] == [6] * 10
    assert mine["bins"][3]["stated"] == pytest.approx(float(STATED[60:80].mean()), abs=1e-6)
    assert mine["calibration_error"] == pytest.approx(
        np.mean([abs(one["stated"] - 0.3) for one in mine["bins"]]), abs=1e-5
    )


def test_too_few_judged_chances_get_no_scores(now, admin):
    low, high = admin.get(ADDRESS.format("heart_rate"), params={"ward": "B"}).json()["wards"][0]["records"]
    assert (high["statements"], high["came_true"], high["enough"]) == (49, 15, False)
    assert (low["statements"], low["came_true"], low["enough"]) == (200, 0, False)
    for one in (low, high):
        assert one["brier"] is one["skill"] is one["calibration_error"] is None
        assert sum(part["count"] for part in one["bins"]) == one["statements"]
    assert low["bins"][5] == {"from": 0.5, "to": 0.6, "count": 0, "stated": None, "came": 0}
    together = admin.get(ADDRESS.format("heart_rate")).json()["together"]
    assert [(one["side"], one["statements"], one["enough"]) for one in together] == [
        ("low", 200, False), ("high", 250, True),
    ]  # fmt: skip


def test_periods_and_sides(now, admin, running):
    asked = ADDRESS.format("heart_rate")
    ago = {"since": running.now(-40 * 3600)}
    assert [ward["ward"] for ward in admin.get(asked, params=ago | {"side": "high"}).json()["wards"]] == ["", "A"]
    assert [ward["ward"] for ward in admin.get(asked, params={"side": "low"}).json()["wards"]] == ["B"]
    period = {"since": "2026-01-01T00:10:00Z", "until": "2026-01-01T02:10:00Z"}
    answer = admin.get(asked, params=period).json()
    assert (answer["since"], answer["until"]) == ("2026-01-01T00:00:00.000Z", "2026-01-01T03:00:00.000Z")
    assert answer["wards"] == answer["together"] == []
    assert admin.get(ADDRESS.format("glucose")).json()["wards"] == []
    far = {"since": running.now(-50 * 24 * 3600)}
    assert admin.get(ADDRESS.format("glucose"), params=far).json()["together"][0]["statements"] == 1


def test_a_person_sees_only_the_wards_within_reach(now, running):
    nurse, asked = running.person("nurse-of-b", "viewer", ("B", "Z")), ADDRESS.format("heart_rate")
    answer = nurse.get(asked).json()
    assert [ward["ward"] for ward in answer["wards"]] == ["B"]
    assert [one["statements"] for one in answer["together"]] == [200, 49]
    refused, unknown = (nurse.get(asked, params={"ward": ward}) for ward in ("A", "nowhere"))
    assert problem(refused) == problem(unknown) == "forbidden"
    assert refused.json() == unknown.json(), "whether a ward exists is not revealed"
    assert nurse.get(asked, params={"ward": "Z"}).json()["wards"] == []
    assert running.person("new", "viewer", ()).get(asked).status_code == 403
    key = running.device(wards=("A",), scopes=("patients:read",))
    assert [ward["ward"] for ward in key.get(asked).json()["wards"]] == ["A"]
    sender = running.device(scopes=("observations:write",))
    assert problem(sender.get(asked)) == "forbidden"
    assert problem(running.client().get(asked)) == "unauthenticated"


def test_reading_it_leaves_an_entry_in_the_audit_trail(now, admin):
    assert admin.get(ADDRESS.format("heart_rate"), params={"ward": "B"}).status_code == 200
    newest = admin.get("/v1/audit", params={"limit": 1}).json()["items"][0]
    assert (newest["action"], newest["detail"]) == ("track_record.read", "heart_rate ward B")


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"since": "2026-01-02T00:00:00Z", "until": "2026-01-01T00:00:00Z"}, "ends_before_start"),
        ({"since": "yesterday"}, "time_unreadable"),
        ({"until": "2026-01-01T00:00:00"}, "time_without_zone"),
        ({"side": "both"}, "literal_error"),
        ({"ward": ""}, "bad_name"),
    ],
)
def test_what_cannot_be_asked(now, admin, wrong, reason):
    answer = admin.get(ADDRESS.format("heart_rate"), params=wrong)
    assert (answer.status_code, problem(answer)) == (422, "invalid")
    assert reason in {one["reason"] for one in answer.json()["errors"]}


def test_an_unknown_signal_is_not_found(now, admin):
    assert problem(admin.get(ADDRESS.format("mood"))) == "not-found"


@pytest.mark.parametrize("since", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
def test_the_ends_of_time(now, admin, since):
    period = {"until": since} if since.startswith("0") else {"since": since, "until": since}
    assert admin.get(ADDRESS.format("heart_rate"), params=period).json()["wards"] == []


def test_a_service_without_history_says_so(now, running, admin, monkeypatch):
    monkeypatch.setattr(running.service, "history", NoHistory())
    assert problem(admin.get(ADDRESS.format("heart_rate"))) == "history-not-kept"
