"""Small inputs that once showed faults, sent to a running service as a person would send them.

The inputs are stored beside the recordings. Each test says what a cautious ward expects. Glucose without a unit is refused,
so inputs for other faults get a unit.
"""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.api.conftest import Running, eventually, serving
from tests.conftest import RECORDINGS, require

CASES = RECORDINGS.parent / "cases"
AS_SENT = [
    "child",
    "glucose_without_unit",
    "names",
    "next_patient_same_id",
    "oxygen_by_device",
    "unit_hint",
    "wrong_patient",
]
WITH_UNIT = ["error_code_as_value", "limits_in_other_units"]


def with_units(step: Any) -> Any:
    """The same step with a unit at every glucose reading."""
    if isinstance(step, list):
        return [with_units(one) for one in step]
    if isinstance(step, dict) and step.get("signal") == "glucose" and "value" in step:
        return step | {"unit": "mg/dL"}
    return step


class Ward:
    """A service that got every input once, the sender's output, and an administrator's client."""

    def __init__(self, running: Running, folder: Path) -> None:
        self.running = running
        self.admin = running.person("matron", "admin")
        self._folder = folder
        cookies = "; ".join(f"{name}={value}" for name, value in self.admin.cookies.items())
        self._environment = os.environ | {"URL": running.url, "COOKIE": cookies}
        # A first reading, so that the kernels are compiled before the inputs depend on seconds.
        reading = running.reading(patient="warm")
        assert self.admin.post("/v1/observations", json=reading).json()["taken"] == 1
        eventually(lambda: self.state("warm").get("heart_rate"))
        with ThreadPoolExecutor() as pool:
            names = AS_SENT + WITH_UNIT
            self.printed = dict(zip(names, pool.map(self._send, names), strict=True))

    def _send(self, name: str) -> str:
        sender = require(CASES / "send.py", "the inputs lie beside the recordings")
        path = CASES / f"{name}.json"
        if name in WITH_UNIT:
            steps = with_units(json.loads(path.read_text(encoding="utf-8")))
            path = self._folder / path.name
            path.write_text(json.dumps(steps), encoding="utf-8")
        run = subprocess.run(
            [sys.executable, str(sender), str(path)], env=self._environment, capture_output=True, text=True, timeout=300,
            check=True,
        )  # fmt: skip
        return run.stdout

    def state(self, patient: str) -> dict[str, Any]:
        answer = self.admin.get(f"/v1/patients/{patient}/state")
        return answer.json()["signals"] if answer.status_code == 200 else {}

    def alarms(self, patient: str, **more: str) -> list[dict[str, Any]]:
        return list(self.admin.get("/v1/alarms", params={"patient": patient} | more).json()["items"])

    def statuses(self, name: str) -> list[int]:
        return [
            int(found)
            for found in re.findall(r"^(?:POST|PUT|PATCH|DELETE) \S+ (\d+)", self.printed[name], re.MULTILINE)
        ]


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ward]:
    folder = tmp_path_factory.mktemp("cases")
    with serving(folder / "vitaltwin.db") as running:
        yield Ward(running, folder)


def test_a_glucose_without_a_unit_is_refused(ward: Ward) -> None:
    assert ward.statuses("glucose_without_unit") == [422]
    assert "unit_missing" in ward.printed["glucose_without_unit"]
    assert ward.admin.get("/v1/patients/g1").status_code == 404


def test_a_refused_unit_names_those_that_would_work(ward: Ward) -> None:
    assert ward.statuses("unit_hint") == [422]
    reading = ward.running.reading(patient="h1", signal="glucose", value=5.5, unit="mmol/litre")
    (fault,) = ward.admin.post("/v1/observations", json=reading).json()["errors"]
    assert "did you mean mmol/L?" in fault["detail"]


def test_names_keep_their_marks(ward: Ward) -> None:
    assert ward.statuses("names") == [201, 201, 201, 201, 201, 200, 200]


@pytest.mark.parametrize("patient", ["u1", "u2", "u3", "u4", "u5"])
def test_limits_in_other_units_do_not_turn_alarms_off(ward: Ward, patient: str) -> None:
    assert ward.statuses("limits_in_other_units").count(422) == 4
    if patient == "u3":  # the delay of temperature is longer than the input

        def fever() -> bool:
            reading = ward.running.reading(patient="u3", signal="body_temperature", value=41.5)
            assert ward.admin.post("/v1/observations", json=reading).json()["taken"] == 1
            time.sleep(1.0)
            return "limit.critical_high" in {alarm["condition"] for alarm in ward.alarms("u3")}

        eventually(fever)
    assert "high" in {alarm["priority"] for alarm in ward.alarms(patient)}


def test_a_new_stay_under_an_id_has_nothing_of_the_earlier_one(ward: Ward) -> None:
    told = ward.admin.get("/v1/patients/bed-3").json()
    assert (told["label"], told["spo2_scale"]) == ("Second", 1)
    limits = ward.admin.get("/v1/patients/bed-3/limits").json()["oxygen_saturation"]
    assert (limits["critical_low"], limits["low"]) == (85.0, 90.0)
    assert "limit.critical_low" in {alarm["condition"] for alarm in ward.alarms("bed-3")}
    readings = ward.admin.get("/v1/patients/bed-3/history", params={"signal": "oxygen_saturation"}).json()
    assert set(readings["value"]) == {82.0}


def test_withdrawn_readings_of_the_wrong_patient_leave_nothing(ward: Ward) -> None:
    held = ward.state("w1").get("heart_rate")
    assert held is None or held["value"] is None
    assert [alarm for alarm in ward.alarms("w1") if alarm["signal"] == "heart_rate"] == []
    news2 = ward.admin.get("/v1/patients/w1/state").json()["news2"]
    assert news2 is None or "pulse" not in news2["parts"]


def test_an_error_code_is_not_the_reading(ward: Ward) -> None:
    held = ward.state("e1")["glucose"]
    assert held["value"] != 9.0
    assert held["quality"] < 1.0
    assert ward.alarms("e1"), "nobody is told that the sensor sends an error code"


def test_oxygen_measured_by_a_device_counts(ward: Ward) -> None:
    news2 = ward.admin.get("/v1/patients/x1/state").json()["news2"]
    assert news2["parts"]["oxygen"] == 2


def test_a_child_has_no_adult_score_once_the_age_is_set(ward: Ward) -> None:
    changed = ward.admin.patch("/v1/patients/y1", json={"age_years": 1})
    assert changed.status_code == 200, changed.text
    eventually(lambda: [alarm for alarm in ward.alarms("y1") if alarm["condition"].startswith("news2")] == [])


@pytest.fixture
def vitaltwin(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        program = "import sys; sys.argv[0] = 'vitaltwin'; from api.cli import main; main()"
        return subprocess.run(
            [sys.executable, "-c", program, *map(str, arguments)], cwd=tmp_path, capture_output=True, text=True, timeout=600,
            check=False, env=os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent)},
        )  # fmt: skip

    return run


@pytest.mark.parametrize("command", ["evaluate", "replay"])
def test_an_invalid_time_is_reported_in_one_line_with_its_line_number(vitaltwin, command: str) -> None:
    path = require(CASES / "time_missing.csv", "the inputs lie beside the recordings")
    shown = vitaltwin(command, path)
    assert shown.returncode == 1
    assert shown.stderr.strip() == "error: time_missing.csv: line 3: time 'Z': not ISO 8601, like 2026-01-01T00:00:00Z"


def test_the_same_course_sent_twice_raises_as_many_alarms_as_once(vitaltwin, tmp_path: Path) -> None:
    maker = require(CASES / "make_dup.py", "the inputs lie beside the recordings")
    subprocess.run([sys.executable, str(maker), str(tmp_path)], check=True, timeout=60)
    told = {}
    for name in ("cgm_once", "cgm_twice"):
        shown = vitaltwin("evaluate", tmp_path / f"{name}.csv", "--json")
        assert shown.returncode == 0, shown.stderr
        told[name] = json.loads(shown.stdout)["signals"]["glucose"]["hypo_alarms"]["alarms"]
    assert told["cgm_once"] > 0
    assert told["cgm_twice"] <= 1.1 * told["cgm_once"] + 2
