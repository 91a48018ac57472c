"""Chains, schedules and the outbox over HTTP: from a silent alarm to a notice, and from the answer to its end."""

import json
import threading

import pytest

from tests.api.conftest import eventually
from tests.api.live.test_sockets import follow, hear, observe, opened, patient  # noqa: F401 - fixtures

STEPS = [{"after_s": 0, "to": ["role:clinician"]}, {"after_s": 1, "to": ["schedule:doctor"]}]


@pytest.fixture(autouse=True)
def nothing_set(admin):
    yield
    for one in admin.get("/v1/escalations").json()["items"]:
        admin.delete("/v1/escalations", params={"ward": one["ward"], "priority": one["priority"]})
    for one in admin.get("/v1/schedules").json()["items"]:
        admin.delete(f"/v1/schedules/{one['name']}")


def chain(admin, steps=STEPS, priority="high", ward="", **more):
    answer = admin.put("/v1/escalations", params={"priority": priority, "ward": ward}, json={"steps": steps, **more})
    assert answer.status_code == 200, answer.text
    return answer.json()


def hours_from_now(running):
    return lambda hours: running.now(3600 * hours)


def schedule(admin, name="doctor", person="root"):
    answer = admin.put(
        f"/v1/schedules/{name}", json={"rotations": [{"people": [person], "start": "2020-01-01", "every": "day"}]}
    )
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.fixture(scope="module")
def nurse(running):
    return running.person("nurse", "clinician", wards=("A",))


def test_unanswered_it_calls_one_after_the_other_until_somebody_acknowledges(
    running, admin, nurse, patient, observe  # noqa: F811
):  # fmt: skip
    schedule(admin)
    assert chain(admin)["warnings"] == []
    with opened(running, admin) as line:
        follow(line, f"patient/{patient}")
        observe(patient, 75.0)
        observe(patient, 40.0)
        on = hear(line, "alarm")["alarm"]
        assert (on["event"], on["escalates_to"], on["step"]) == ("began", ["role:clinician"], 0)
        first = hear(line, "alarm", lambda message: message["alarm"]["event"] == "escalated")["alarm"]
        assert (first["step"], first["called"], first["escalates_to"]) == (1, ["role:clinician"], ["schedule:doctor"])
        notice = hear(line, "notice")["notice"]
        assert (notice["state"], notice["to"], notice["alarm"]) == ("pending", ["role:clinician"], on["id"])
        second = hear(line, "notice", lambda message: message["notice"]["step"] == 2)["notice"]
        assert second["people"] == ["root"]
        kept = eventually(lambda: len(found := notices(nurse, alarm=on["id"])) == 2 and found)
        assert [(one["step"], one["state"], one["people"]) for one in kept] == [
            (2, "pending", ["root"]), (1, "pending", ["nurse"]),
        ]  # fmt: skip
        admin.post(f"/v1/alarms/{on['id']}/acknowledge")
        ended = [hear(line, "notice")["notice"] for _ in range(2)]
        assert {(one["id"], one["state"], one["reason"]) for one in ended} == {
            (notice["id"], "cancelled", "acknowledged"), (second["id"], "cancelled", "acknowledged"),
        }  # fmt: skip
    eventually(lambda: {one["state"] for one in notices(admin, alarm=on["id"])} == {"cancelled"})
    course = admin.get(f"/v1/alarms/{on['id']}").json()["transitions"]
    assert [one["event"] for one in course] == ["began", "escalated", "escalated", "acknowledged"]


def notices(person, **wanted):
    return person.get("/v1/notices", params=wanted).json()["items"]


def test_a_stream_of_events_has_pending_notices_in_its_snapshot_and_then_each_notice(
    running, admin, patient, observe  # noqa: F811
):  # fmt: skip
    chain(admin, [{"after_s": 0, "to": ["person:root"]}])
    observe(patient, 75.0)
    observe(patient, 40.0)
    alarm = eventually(lambda: notices(admin, patient=patient))[0]["alarm"]
    heard = []

    def read():
        with admin.stream("GET", "/v1/events") as stream:
            for text in stream.iter_lines():
                if text.startswith("event: "):
                    heard.append([text[7:], None])
                elif text.startswith("data: "):
                    heard[-1][1] = json.loads(text[6:])
                if heard and heard[-1][0] == "notice" and heard[-1][1]:
                    return

    reading = threading.Thread(target=read)
    reading.start()
    eventually(lambda: heard and heard[0][1])
    kind, snapshot = heard[0]
    assert kind == "snapshot"
    assert [one["alarm"] for one in snapshot["notices"] if one["patient"] == patient] == [alarm]
    admin.post(f"/v1/alarms/{alarm}/acknowledge")
    reading.join(20)
    assert (heard[-1][1]["alarm"], heard[-1][1]["state"]) == (alarm, "cancelled")


def test_notices_are_read_page_by_page_and_only_of_own_wards(running, admin, nurse, patient, observe):  # noqa: F811
    chain(admin, [{"after_s": 0, "to": ["person:root"]}, {"after_s": 0, "to": ["person:root"]}])
    admin.post("/v1/patients", json={"id": f"{patient}-b", "ward": "B"})
    assert [one for one in notices(nurse) if one["ward"] != "A"] == []
    observe(patient, 75.0)
    observe(patient, 40.0)
    whole = eventually(lambda: len(found := notices(admin, patient=patient)) == 2 and found)
    page = admin.get("/v1/notices", params={"patient": patient, "limit": 1})
    again = admin.get(page.links["next"]["url"])
    assert [*page.json()["items"], *again.json()["items"]] == whole
    assert again.json()["next"] is None
    stranger = running.person("stranger", "clinician", wards=("Z",))
    assert notices(stranger) == []
    assert stranger.get("/v1/notices", params={"patient": patient}).status_code == 404


def test_saving_warns_of_what_reaches_nobody(running, admin):
    at = hours_from_now(running)
    warned = chain(admin, [
        {"after_s": 5, "to": ["person:nobody", "schedule:none"]}, {"after_s": 5, "to": ["role:admin"]},
    ])["warnings"]  # fmt: skip
    assert [(one["field"], one["detail"]) for one in warned] == [
        ("steps[0].to[0]", "there is no account nobody, or it is disabled"),
        ("steps[0].to[1]", "there is no schedule none"),
        ("steps[0]", "this step reaches nobody now"),
    ]
    body = {
        "rotations": [{
            "people": ["root"], "start": "2020-01-01", "every": "day", "zone": "Europe/Berlin", "hours": ["08:00", "20:00"],
        }],
        "overrides": [
            {"start": at(1), "end": at(3), "person": "root"}, {"start": at(2), "end": at(4), "person": "root"},
        ],
    }  # fmt: skip
    warned = admin.put("/v1/schedules/doctor", json=body).json()["warnings"]
    assert "nobody is on call from" in warned[0]["detail"]
    assert (warned[-1]["field"], warned[-1]["detail"]) == (
        "overrides[1]",
        "overlaps overrides[0]; the later one counts",
    )
    assert "more gaps" in warned[-2]["detail"]


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"steps": []}, "steps"),
        ({"steps": [{"after_s": -1, "to": ["role:admin"]}]}, "steps.0.after_s"),
        ({"steps": [{"after_s": 1, "to": ["role:nurse"]}]}, "steps.0.to.0"),
        ({"steps": [{"after_s": 1, "to": ["role:admin"]}], "repeat": 99}, "repeat"),
        ({"steps": [{"after": 1, "to": ["role:admin"]}]}, "steps.0.after_s"),
    ],
)
def test_a_mistake_in_a_chain_is_answered_with_its_place(admin, changes, place):
    answer = admin.put("/v1/escalations", params={"priority": "high"}, json=changes)
    assert answer.status_code == 422
    assert f"body.{place}" in [one["field"] for one in answer.json()["errors"]]
    assert admin.get("/v1/escalations").json()["items"] == []


@pytest.mark.parametrize(
    ("rotation", "place"),
    [
        ({"zone": "Europe/Atlantis"}, "rotations.0.zone"),
        ({"handover": "24:00"}, "rotations.0.handover"),
        ({"start": "2020-02-30"}, "rotations.0"),
        ({"hours": ["08:00"]}, "rotations.0.hours"),
        ({"people": []}, "rotations.0.people"),
        ({"weekday": "monday"}, "rotations.0.weekday"),
    ],
)
def test_a_mistake_in_a_schedule_is_answered_with_its_place(admin, rotation, place):
    body = {"rotations": [{"people": ["root"], "start": "2020-01-01"} | rotation]}
    answer = admin.put("/v1/schedules/doctor", json=body)
    assert answer.status_code == 422
    assert f"body.{place}" in [one["field"] for one in answer.json()["errors"]]


def test_who_is_on_call_and_an_override_for_a_while(running, admin, nurse):
    at = hours_from_now(running)
    schedule(admin)
    assert nurse.get("/v1/on-call").json()["schedules"] == {"doctor": ["root"]}
    answer = nurse.post(
        "/v1/schedules/doctor/overrides", json={"start": at(1), "end": at(2), "person": "nurse", "instead_of": "root"}
    )
    assert answer.status_code == 200, answer.text
    assert nurse.get("/v1/on-call", params={"at": at(1.5)}).json()["schedules"] == {"doctor": ["nurse"]}
    assert nurse.get("/v1/on-call", params={"at": at(2.5)}).json()["schedules"] == {"doctor": ["root"]}
    assert (
        nurse.post("/v1/schedules/none/overrides", json={"start": at(1), "end": at(2), "person": "x"}).status_code
        == 404
    )


def test_only_an_administrator_sets_chains_and_schedules(admin, nurse, running):
    chain(admin, ward="A")
    assert [one["ward"] for one in nurse.get("/v1/escalations").json()["items"]] == ["A"]
    refused = [
        nurse.put("/v1/escalations", params={"priority": "high"}, json={"steps": STEPS}),
        nurse.delete("/v1/escalations", params={"priority": "high", "ward": "A"}),
        nurse.put("/v1/schedules/doctor", json={"rotations": [{"people": ["nurse"], "start": "2020-01-01"}]}),
        running.device().get("/v1/on-call"),
    ]
    assert [one.status_code for one in refused] == [403] * 4
    assert admin.delete("/v1/escalations", params={"priority": "low"}).status_code == 404
    entries = admin.get("/v1/audit").json()["items"]
    assert "escalation.write" in [one["action"] for one in entries]
