"""An alarm reopened over HTTP: its sentences, the twin's state at each change, and where that came from."""

import pytest

from tests.api.conftest import eventually
from twins.records import HORIZONS_MIN, QUANTILES


@pytest.fixture(scope="module")
def alarm(running, admin, device):
    assert admin.post("/v1/patients", json={"id": "ada", "ward": "A"}).status_code == 201
    entries = [
        running.reading(patient="ada", time=running.now(second - 40), value=72.0 if second < 20 else 31.0)
        for second in range(40)
    ]
    assert device.post("/v1/observations", json=entries).json()["taken"] == 40
    listed = eventually(lambda: admin.get("/v1/alarms", params={"patient": "ada"}).json()["items"])
    return next(one for one in listed if one["family"] == "low")


def test_without_asking_there_are_sentences_and_no_moments(alarm, admin):
    found = admin.get(f"/v1/alarms/{alarm['id']}").json()
    assert found["moments"] is None
    assert len(found["sentences"]) == len(found["transitions"])
    assert "31 /min is below" in found["sentences"][0]["en"]
    assert found["sentences"][0]["de"].startswith("Herzfrequenz")


def test_the_moment_is_reopened_from_the_log(alarm, admin):
    found = admin.get(f"/v1/alarms/{alarm['id']}", params={"moment": True}).json()
    first = found["moments"][0]
    assert (first["source"], first["signal"]) == ("log", "heart_rate")
    assert first["transition"] == found["transitions"][0]["transition"]
    # The readings came in one record, so the state is that after all of them.
    assert first["mean"] == pytest.approx(31.0, abs=0.5)
    assert (first["horizons_min"], first["quantiles"]) == (list(HORIZONS_MIN), list(QUANTILES))
    assert len(first["forecast"]) == len(HORIZONS_MIN)
    assert {72.0, 31.0} == set(first["reading_value"])


def test_of_an_earlier_stay_the_history_says_what_it_has(alarm, admin):
    eventually(
        lambda: admin.get(
            "/v1/patients/ada/history", params={"signal": "heart_rate", "kind": "estimates"}
        ).json()["time"]
    )  # fmt: skip
    assert admin.delete("/v1/patients/ada").status_code in {200, 204}
    assert admin.post("/v1/patients", json={"id": "ada", "ward": "A"}).status_code == 201
    found = admin.get(f"/v1/alarms/{alarm['id']}", params={"moment": True}).json()
    assert found["transitions"][-1]["event"] in {"discharged", "ended"}
    assert found["moments"][0]["source"] == "history"
    assert found["moments"][0]["trend_per_min"] is None
