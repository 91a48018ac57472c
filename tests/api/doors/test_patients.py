"""Patients, limits, facts, history: reads and changes over HTTP."""

import pytest

from api.http.answers import iso
from streams.clock import Clock
from tests.api.conftest import eventually
from twins.signals import BY_NAME


def problem(answer):
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    told = answer.json()
    assert told["status"] == answer.status_code
    assert told["instance"]
    return told["type"].removeprefix("/problems/")


@pytest.fixture(scope="module")
def nurse(running):
    return running.person("nurse", "clinician", ("A",))


@pytest.fixture(scope="module")
def warm(admin):
    """The twins are running: changes take effect at once."""
    eventually(lambda: admin.patch("/v1/limits?ward=warm", json={"glucose": {"low": 71}}).json()["glucose"]["own"])


@pytest.fixture(scope="module")
def viewer(running):
    return running.person("viewer", "viewer", ("A",))


def test_admit_move_discharge(admin):
    made = admin.post("/v1/patients", json={"id": "bed 3", "ward": "A", "bed": "3", "label": "Bed 3", "spo2_scale": 2})
    assert made.status_code == 201
    assert made.headers["location"] == "/v1/patients/bed%203"
    told = made.json()
    assert (told["ward"], told["bed"], told["label"], told["spo2_scale"], told["active"]) == (
        "A",
        "3",
        "Bed 3",
        2,
        True,
    )
    assert admin.get(made.headers["location"]).json() == told
    assert problem(admin.post("/v1/patients", json={"id": "bed 3"})) == "conflict"
    moved = admin.patch("/v1/patients/bed%203", json={"ward": "B", "spo2_scale": 1}).json()
    assert (moved["ward"], moved["bed"], moved["spo2_scale"]) == ("B", "3", 1)
    gone = admin.delete("/v1/patients/bed%203").json()
    assert gone["active"] is False
    assert admin.delete("/v1/patients/bed%203").status_code == 200
    assert problem(admin.patch("/v1/patients/bed%203", json={"ward": "A"})) == "discharged"
    listed = admin.get("/v1/patients", params={"discharged": True}).json()["items"]
    assert [one["id"] for one in listed] == ["bed 3"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"id": ""},
        {"id": " x"},
        {"id": "a/b"},
        {"id": ".."},
        {"id": "x" * 129},
        {"id": 7},
        {"id": "x", "ward": ""},
        {"id": "x", "label": "a\nb"},
        {"id": "x", "spo2_scale": 3},
        {"id": "x", "age": 70},
        [],
        "x",
        None,
    ],
)
def test_admissions_that_cannot_be(admin, body):
    answer = admin.post("/v1/patients", json=body)
    assert answer.status_code == 422
    assert problem(answer) == "invalid"
    assert answer.json()["errors"][0]["field"].startswith("body")


def test_wards_are_walls(admin, nurse, viewer):
    admin.post("/v1/patients", json={"id": "near", "ward": "A"})
    admin.post("/v1/patients", json={"id": "far", "ward": "B"})
    assert [one["id"] for one in nurse.get("/v1/patients").json()["items"]] == ["near"]
    assert nurse.get("/v1/patients/near").status_code == 200
    for path in ("", "/state", "/forecast", "/history?signal=heart_rate", "/limits"):
        assert problem(nurse.get(f"/v1/patients/far{path}")) == "not-found"
        assert (
            nurse.get(f"/v1/patients/nobody{path}").json()["detail"]
            == nurse.get(f"/v1/patients/far{path}").json()["detail"]
        )
    assert problem(nurse.patch("/v1/patients/near", json={"ward": "B"})) == "forbidden"
    assert problem(nurse.post("/v1/patients", json={"id": "other", "ward": "B"})) == "forbidden"
    assert [one["name"] for one in nurse.get("/v1/wards").json()["items"]] == ["A"]
    assert problem(nurse.put("/v1/limits?ward=B", json={})) == "forbidden"
    assert problem(viewer.patch("/v1/patients/near", json={"bed": "9"})) == "forbidden"
    assert problem(viewer.get("/v1/devices")) == "forbidden"
    assert problem(nurse.get("/v1/audit")) == "forbidden"
    assert problem(nurse.get("/v1/dead-letters")) == "forbidden"


def test_pages_of_patients(admin):
    for number in range(5):
        admin.post("/v1/patients", json={"id": f"page{number}", "ward": "P"})
    seen, address = [], "/v1/patients?ward=P&limit=2"
    while address:
        answer = admin.get(address)
        seen += [one["id"] for one in answer.json()["items"]]
        address = answer.links.get("next", {}).get("url")
        assert bool(address) == bool(answer.json()["next"])
    assert seen == [f"page{number}" for number in range(5)]
    stolen = admin.get("/v1/patients?ward=P&limit=2").json()["next"]
    assert problem(admin.get("/v1/patients", params={"cursor": stolen})) == "bad-cursor"
    assert problem(admin.get("/v1/patients", params={"cursor": "x"})) == "bad-cursor"


def test_limits_by_ward_and_patient(admin, warm):
    admin.post("/v1/patients", json={"id": "lim", "ward": "L"})
    own = "/v1/patients/lim/limits"
    assert admin.get(own).json()["heart_rate"]["origin"] == "default"
    ward = admin.put("/v1/limits?ward=L", json={"heart_rate": {"low": 55}}).json()
    assert (ward["heart_rate"]["low"], ward["heart_rate"]["origin"]) == (55, "ward")
    assert admin.get(own).json()["heart_rate"]["low"] == 55
    mine = admin.put(own, json={"heart_rate": {"high": 110, "delay_s": 5}, "glucose": {"low": 80.5}}).json()
    assert (mine["heart_rate"]["low"], mine["heart_rate"]["high"], mine["heart_rate"]["origin"]) == (55, 110, "patient")
    assert (mine["heart_rate"]["delay_s"], mine["glucose"]["low"]) == (5, 80.5)
    back = admin.put(own, json={"heart_rate": None}).json()
    assert (back["heart_rate"]["high"], back["heart_rate"]["origin"]) == (120, "ward")
    assert back["glucose"]["low"] == 80.5
    assert admin.put("/v1/limits?ward=L", json={"heart_rate": None}).json()["heart_rate"]["origin"] == "default"
    assert admin.get("/v1/limits").json()["heart_rate"]["critical_low"] == 40


def test_one_bound_changes_and_the_others_go_on_following(admin, warm):
    admin.post("/v1/patients", json={"id": "one", "ward": "One"})
    own, ward = "/v1/patients/one/limits", "/v1/limits?ward=One"
    first = admin.patch(own, json={"heart_rate": {"high": 110}}).json()["heart_rate"]
    assert first["own"] == {"high": 110}
    assert first["follows"] == {
        "critical_low": 40, "low": 50, "high": 120, "critical_high": 140, "delay_s": 10, "clear_s": 60, "falling_per_min": None,
        "rising_per_min": None,
    }  # fmt: skip
    # The ward's change applies to every limit except the one set for the patient.
    admin.patch(ward, json={"heart_rate": {"low": 55, "high": 125, "delay_s": 3}})
    now = admin.get(own).json()["heart_rate"]
    assert (now["low"], now["high"], now["delay_s"]) == (55, 110, 3)
    second = admin.patch(own, json={"heart_rate": {"low": 45}}).json()["heart_rate"]
    assert second["own"] == {"high": 110, "low": 45}
    back = admin.patch(own, json={"heart_rate": {"high": None}}).json()["heart_rate"]
    assert (back["own"], back["low"], back["high"], back["origin"]) == ({"low": 45}, 45, 125, "patient")
    assert admin.patch(own, json={"heart_rate": {}}).json()["heart_rate"]["own"] == {"low": 45}
    none = admin.patch(own, json={"heart_rate": None}).json()["heart_rate"]
    assert (none["own"], none["low"], none["origin"]) == ({}, 55, "ward")
    gone = admin.patch(ward, json={"heart_rate": {"low": None}}).json()["heart_rate"]
    assert (gone["own"], gone["low"]) == ({"high": 125, "delay_s": 3}, 50)
    # In order with the limits that stay in force, not only with the sent ones.
    admin.patch(own, json={"heart_rate": {"high": 100}})
    assert problem(admin.patch(own, json={"heart_rate": {"low": 101}})) == "invalid"


def test_a_bound_of_a_second_source_leaves_its_others_with_the_first(admin, warm):
    admin.post("/v1/patients", json={"id": "two", "ward": "Two"})
    own = "/v1/patients/two/limits"
    admin.patch(own, json={"oxygen_saturation": {"critical_low": 80, "low": 86}})
    found = admin.patch(own, json={"second_oxygen_saturation": {"low": 88}}).json()["second_oxygen_saturation"]
    assert (found["critical_low"], found["low"], found["own"]) == (80, 88, {"low": 88})


@pytest.mark.parametrize(
    "body",
    [
        {"heart_rate": {"low": 130}},
        {"heart_rate": {"low": "x"}},
        {"mood": {"low": 1}},
        {"insulin_bolus": {"low": 1}},
        [],
    ],
)
def test_limits_that_cannot_be(admin, body):
    admin.post("/v1/patients", json={"id": "lim2", "ward": "L"})
    assert problem(admin.put("/v1/patients/lim2/limits", json=body)) == "invalid"


def test_facts(running, admin, nurse):
    admin.post("/v1/patients", json={"id": "charted", "ward": "A"})
    facts = [
        {"patient": "charted", "kind": "oxygen", "value": 2, "unit": "L/min"},
        {"patient": "charted", "kind": "consciousness", "value": "V", "note": "sleepy"},
        {"patient": "charted", "kind": "consciousness", "value": "Z"},
        {"patient": "charted", "kind": "mood", "value": 1},
        {"patient": "charted", "kind": "oxygen", "value": -1},
        {"patient": "charted", "kind": "note"},
        {"patient": "nobody", "kind": "note", "note": "x"},
        {"patient": "charted", "kind": "note", "note": "x", "time": "2020-01-01T00:00:00Z"},
        7,
    ]
    answer = nurse.post("/v1/facts", json=facts)
    assert answer.status_code == 200
    told = answer.json()
    assert (told["taken"], told["refused"]) == (2, 7)
    assert [one["index"] for one in told["errors"]] == list(range(2, 9))
    assert {one["reason"] for one in told["errors"]} >= {
        "unknown_value",
        "unknown_kind",
        "missing_field",
        "time_too_old",
    }
    assert len(running.letters(7)) == 7
    eventually(lambda: admin.get("/v1/patients/charted").json()["oxygen"] == 2.0)
    assert admin.get("/v1/patients/charted").json()["consciousness"] == "V"
    kept = eventually(lambda: admin.get("/v1/patients/charted/history?kind=facts").json()["items"])
    assert {one["kind"] for one in kept} == {"oxygen", "consciousness"}
    assert {one["by"] for one in kept} == {"nurse"}
    assert problem(nurse.post("/v1/facts", json={"patient": "nobody", "kind": "note", "note": "x"})) == "nothing-taken"
    assert (
        problem(nurse.post("/v1/facts", content=b"{", headers={"Content-Type": "application/json"})) == "malformed-body"
    )


def test_history_in_full_and_thinned(running, device, admin):
    readings = [running.reading(patient="hist", time=running.now(-600 + n), value=60 + n % 7) for n in range(500)]
    assert device.post("/v1/observations", json=readings).json()["taken"] == 500
    address = "/v1/patients/hist/history"
    full = eventually(
        lambda: (found := admin.get(address, params={"signal": "heart_rate"}).json())["time"][499:] and found
    )
    assert full["value"] == [60 + n % 7 for n in range(500)]
    assert full["unit"] == "/min"
    pages, following = [], f"{address}?signal=heart_rate&limit=200"
    while following:
        answer = admin.get(following)
        pages += answer.json()["value"]
        following = answer.links.get("next", {}).get("url")
    assert pages == full["value"]
    thin = admin.get(address, params={"signal": "heart_rate", "points": 20}).json()
    assert 1 <= len(thin["time"]) <= 21
    assert sum(thin["count"]) == 500
    assert (min(thin["low"]), max(thin["high"])) == (60, 66)
    believed = admin.get(address, params={"signal": "heart_rate", "kind": "estimates", "points": 50}).json()
    assert set(believed) >= {"time", "mean", "sd", "quality"}
    assert problem(admin.get(address, params={"signal": "mood"})) == "invalid"
    assert problem(admin.get(address, params={"signal": "heart_rate", "start": "2026-01-01T00:00:00"})) == "invalid"
    ends = {"signal": "heart_rate", "start": running.now(), "end": running.now(-60)}
    assert problem(admin.get(address, params=ends)) == "invalid"


def test_an_alarm_from_crossing_to_acknowledgement(running, device, admin, nurse, viewer):
    admin.post("/v1/patients", json={"id": "alarmed", "ward": "A"})
    high = BY_NAME["heart_rate"].limits.critical_high + 20
    for ago in range(20, 0, -1):
        device.post("/v1/observations", json=running.reading(patient="alarmed", time=running.now(-ago), value=high))
    query = {"patient": "alarmed"}
    items = eventually(lambda: nurse.get("/v1/alarms", params=query).json()["items"])
    alarm = next(one for one in items if one["condition"] == "limit.critical_high")
    assert (alarm["priority"], alarm["presence"], alarm["signal"]) == ("high", "on", "heart_rate")
    assert alarm["explanation"]["observations"]
    address = f"/v1/alarms/{alarm['id']}"
    assert problem(viewer.post(f"{address}/acknowledge")) == "forbidden"
    done = nurse.post(f"{address}/acknowledge", json={"note": "at the bed"}).json()
    assert (done["presence"], done["by"], done["note"]) == ("acknowledged", "nurse", "at the bed")
    assert nurse.post(f"{address}/acknowledge").status_code == 200
    course = eventually(lambda: (found := nurse.get(address).json()["transitions"])[1:] and found)
    assert [one["presence"] for one in course] == ["on", "acknowledged"]
    every = nurse.get("/v1/alarms", params={"state": "all", **query}).json()["items"]
    assert [one["presence"] for one in every if one["id"] == alarm["id"]] == ["acknowledged"]
    assert admin.get("/v1/patients/alarmed/state").json()["alarms"]
    other = running.person("other", "clinician", ("B",))
    assert problem(other.get(address)) == "not-found"
    assert problem(other.post(f"{address}/acknowledge")) == "not-found"
    assert other.get("/v1/alarms").json()["items"] == []
    assert problem(nurse.get("/v1/alarms/none")) == "not-found"


def test_reads_and_writes_are_audited(admin):
    admin.post("/v1/patients", json={"id": "watched", "ward": "A"})
    admin.get("/v1/patients/watched/state")
    admin.delete("/v1/patients/watched")
    found = eventually(
        lambda: (items := admin.get("/v1/audit", params={"patient": "watched"}).json()["items"])[2:] and items
    )
    assert [one["action"] for one in found] == ["patient.discharge", "patient.read", "patient.admit"]
    assert {one["actor"] for one in found} == {"root"}
    first = admin.get("/v1/audit", params={"limit": 1})
    following = admin.get(first.links["next"]["url"])
    assert following.json()["items"][0]["id"] < first.json()["items"][0]["id"]


def test_dead_letters_by_page(running, device, admin):
    device.post("/v1/observations", json=[running.reading(signal="mood"), running.reading(signal="weather")])
    first = admin.get("/v1/dead-letters", params={"limit": 1})
    second = admin.get(first.links["next"]["url"])
    assert first.json()["items"][0]["id"] > second.json()["items"][0]["id"]
    assert first.json()["items"][0]["reason"] == "unknown_signal"


def test_a_child_and_whoever_is_not_to_be_scored(admin, nurse, warm):
    child = admin.post("/v1/patients", json={"id": "child", "ward": "A", "age_years": 1}).json()
    assert (child["age_years"], child["news2_off"], child["adult_limits"]) == (1, "child", False)
    born = admin.post(
        "/v1/patients", json={"id": "born", "ward": "A", "birth_date": "1950-02-28", "news2": False}
    ).json()
    assert (born["birth_date"], born["news2"], born["news2_off"]) == ("1950-02-28", False, "patient")
    changed = nurse.patch("/v1/patients/born", json={"news2": "by_ward"}).json()
    assert (changed["news2"], changed["news2_off"], changed["birth_date"]) == (None, "", "1950-02-28")
    told = nurse.patch("/v1/wards/A", json={"news2": False}).json()
    assert (told["name"], told["news2"]) == ("A", False)
    eventually(lambda: nurse.get("/v1/patients/born").json()["news2_off"] == "ward")
    assert [one["news2"] for one in nurse.get("/v1/wards").json()["items"]] == [False]
    assert nurse.patch("/v1/wards/A", json={"news2": True}).status_code == 200
    assert problem(nurse.patch("/v1/wards/B", json={"news2": False})) == "forbidden"
    for wrong in ({"birth_date": "28.2.1950"}, {"birth_date": "2999-01-01"}, {"birth_date": "1950-02-28", "age_years": 3},
                  {"age_years": -1}, {"age_years": 1.5}, {"news2": "no"}):  # fmt: skip
        assert problem(admin.post("/v1/patients", json={"id": "wrong", **wrong})) == "invalid", wrong
    now = iso(Clock().now())
    told = [{"patient": name, "signal": "heart_rate", "value": 150, "time": now} for name in ("child", "born")]
    assert admin.post("/v1/observations", json=told).status_code < 300
    eventually(lambda: nurse.get("/v1/patients/born/state").json()["news2"] is not None)
    state = nurse.get("/v1/patients/child/state").json()
    assert (state["news2"], state["patient"]["news2_off"]) == (None, "child")


def test_nobody_admits_a_flood_by_hand(start):
    slow = start(new_patients_per_minute=0)
    admin, other = slow.person("root", "admin"), slow.person("other", "clinician", ("A",))
    answers = [admin.post("/v1/patients", json={"id": f"flood-{number}", "ward": "A"}) for number in range(61)]
    assert [answer.status_code for answer in answers] == [201] * 60 + [429]
    assert problem(answers[-1]) == "too-many-attempts"
    assert 0 < int(answers[-1].headers["retry-after"]) <= 60
    assert other.post("/v1/patients", json={"id": "flood-60", "ward": "A"}).status_code == 201
    refused = slow.device().post("/v1/observations", json=slow.reading(patient="by-reading"))
    assert refused.json()["errors"][0]["reason"] == "too_many_new_patients"
