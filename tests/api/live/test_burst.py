"""A flood of alarms over real connections: a digest instead of thousands of messages, and every event still to be had."""

import json

import pytest

from tests.api.conftest import eventually
from tests.api.live.test_sockets import follow, opened, say
from twins.records import Outcome, Profile, Transition

T0 = 1_700_000_000_000_000
_made = iter(range(1_000_000))


def transition(patient, priority="low", condition="sensor.silent", presence="on", ward="flood", **more):
    alarm = f"alarm-{next(_made)}"
    return Transition(
        id=f"{alarm}-1", alarm=alarm, patient=patient, ward=ward, condition=condition, priority=priority, onset=T0, time=T0,
        presence=presence, number=1, event="began", emitted=T0, **more,
    )  # fmt: skip


def publish(running, transitions, profiles=()):
    """Hand an outcome to the hub on the service's loop, as the worker does."""
    outcome = Outcome(partition=0, time=T0, transitions=transitions, profiles=list(profiles))

    async def work():
        running.hub.publish(outcome)

    running.call(work())


@pytest.fixture(scope="module")
def flooded(running):
    """3,000 patients in ward ``flood``."""
    publish(running, [], [Profile(patient=f"f{n}", ward="flood", admitted=1, begin=0) for n in range(3000)])


def messages(line, count):
    """Events and digests, until they cover so many events."""
    found = []
    while sum(one.get("count", 1) for one in found) < count:
        message = json.loads(line.recv(timeout=20))
        if message["type"] in {"alarm", "digest", "notice"}:
            found.append(message)
    return found


def test_a_flood_is_a_hundred_messages_and_a_digest_that_counts_the_others(running, admin, flooded):
    with opened(running, admin) as line:
        snapshot = follow(line, "ward/flood")
        publish(running, [transition(f"f{n}") for n in range(3000)])
        found = messages(line, 3000)
        assert [one["type"] for one in found] == ["alarm"] * 100 + ["digest"]
        digest = found[-1]
        assert (digest["first"], digest["offset"]) == (snapshot["offset"] + 101, snapshot["offset"] + 3000)
        assert (digest["count"], digest["patients"], digest["left_out"]) == (2900, 2900, 0)
        assert digest["groups"] == [{
            "ward": "flood", "condition": "sensor.silent", "event": "began", "priority": "low", "count": 2900,
            "patients": 2900,
        }]  # fmt: skip
    after, events = digest["first"] - 1, []
    while after is not None:
        page = admin.get("/v1/events/missed", params={"epoch": digest["epoch"], "after": after, "limit": 999}).json()
        events += page["events"]
        after = page["next"]
    assert [one["offset"] for one in events] == list(range(digest["first"], digest["offset"] + 1))
    assert len({one["alarm"]["id"] for one in events}) == 2900


def test_an_alarm_of_high_priority_is_never_in_a_digest_and_comes_in_order(running, admin, flooded):
    with opened(running, admin) as line:
        follow(line, "ward/flood")
        high = [transition(f"f{n}", "high", "limit.critical_low") for n in range(3)]
        flood = [transition(f"f{n}") for n in range(400)]
        publish(running, [*flood[:200], high[0], *flood[200:300], high[1], high[2], *flood[300:]])
        found = messages(line, 403)
        assert [one["type"] for one in found[100:]] == ["digest", "alarm", "digest", "alarm", "alarm", "digest"]
        offsets = [one["offset"] for one in found]
        assert offsets == sorted(offsets)
        assert [one["alarm"]["priority"] for one in found[100:] if one["type"] == "alarm"] == ["high"] * 3


def test_a_client_that_comes_back_after_a_flood_gets_a_digest_and_misses_nothing(running, admin, flooded):
    with opened(running, admin) as line:
        seen = follow(line, "ward/flood")
    publish(running, [transition(f"f{n}") for n in range(2500)])
    with opened(running, admin) as line:
        since = {"epoch": seen["epoch"], "offset": seen["offset"]}
        say(line, type="subscribe", id=2, channel="ward/flood", since=since)
        (digest,) = messages(line, 2500)
        assert (digest["first"], digest["offset"]) == (seen["offset"] + 1, seen["offset"] + 2500)
    publish(running, [transition(f"f{n}") for n in range(900)])
    with opened(running, admin) as line:
        since = {"epoch": seen["epoch"], "offset": digest["offset"]}
        say(line, type="subscribe", id=2, channel="ward/flood", since=since)
        found = messages(line, 900)
        assert [one["offset"] for one in found] == list(range(digest["offset"] + 1, digest["offset"] + 901))


def test_a_stream_of_events_gets_the_same(running, admin, flooded):
    kinds, ids = [], []
    with admin.stream("GET", "/v1/events?ward=flood") as stream:
        lines = stream.iter_lines()
        for text in lines:
            if text == "event: snapshot":
                publish(running, [transition(f"f{n}") for n in range(1000)])
            kinds += [text[7:]] if text.startswith("event: ") else []
            ids += [text[4:]] if text.startswith("id: ") else []
            if kinds and kinds[-1] == "digest" and text.startswith("data: "):
                digest = json.loads(text[6:])
                break
    assert kinds == ["snapshot"] + ["alarm"] * 100 + ["digest"]
    assert ids[-1] == f"{digest['epoch']}:{digest['offset']}"
    assert digest["count"] == 900
    publish(running, [transition("f1", presence="off")])
    with admin.stream("GET", "/v1/events?ward=flood", headers={"Last-Event-ID": ids[-1]}) as stream:
        texts = stream.iter_lines()
        assert next(text for text in texts if text.startswith("event: ")) == "event: alarm"


def test_what_is_no_longer_kept_is_said_and_another_ward_is_not_shown(running, admin, flooded):
    epoch = running.hub.ring.epoch
    for wrong in ({"epoch": "another", "after": 0}, {"epoch": epoch, "after": 10**9}):
        assert admin.get("/v1/events/missed", params=wrong).status_code == 404
    stranger = running.person("elsewhere", "viewer", wards=("Z",))
    top = running.hub.ring.top
    publish(running, [transition("f1")])
    answer = eventually(lambda: stranger.get("/v1/events/missed", params={"epoch": epoch, "after": top}).json())
    assert answer == {"epoch": epoch, "events": [], "next": None}


def test_the_list_by_cause_has_every_alarm_in_one_entry(running, admin, flooded):
    names = [f"g{n}" for n in range(60)]
    publish(running, [], [Profile(patient=name, ward="gateway", admitted=1, begin=0) for name in names])
    silent = [transition(name, ward="gateway", explanation={"silent_s": 30.0}) for name in names[:58]]
    high = transition("g59", "high", "limit.critical_low", ward="gateway", signal="heart_rate")
    publish(running, [*silent, high])
    wanted = {"grouped": True, "ward": "gateway"}
    answer = admin.get("/v1/alarms", params=wanted).json()
    assert (answer["alarms"], answer["unanswered"]) == (59, 59)
    first, ward = answer["entries"]
    assert (first["kind"], first["ids"], first["summary"]) == (
        "alarm", [high.alarm], "limit.critical_low of heart_rate: patient g59",
    )  # fmt: skip
    assert (ward["kind"], ward["patients"], ward["of"], ward["unanswered"]) == ("silent_ward", 58, 60, 58)
    assert ward["summary"].startswith("58 of 60 patients send nothing since 2023-11-14T22:12:50")
    assert sorted(ward["ids"]) == sorted(one.alarm for one in silent)
    assert ward["alarm"]["id"] == ward["ids"][0]
    assert len(admin.get("/v1/alarms", params={"ward": "gateway"}).json()["items"]) == 59
