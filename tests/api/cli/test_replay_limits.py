"""``vitaltwin replay-limits`` over HTTP and on the service's file: both say what other limits would have done."""

import json

import numpy as np
import pytest

from tests.api.conftest import eventually, serving


@pytest.fixture(scope="module")
def ward(tmp_path_factory):
    path = tmp_path_factory.mktemp("replay-limits") / "home.db"
    with serving(path) as running:
        device = running.device(scopes=("observations:write", "patients:read"))
        value = np.full(300, 72.0)
        value[100:200] = 47.0
        entries = [
            running.reading(time=running.now(second - 300), value=float(one)) for second, one in enumerate(value)
        ]
        for part in range(0, 300, 100):
            assert device.post("/v1/observations", json=entries[part : part + 100]).json()["taken"] == 100
        yield path, running.url, device.headers["authorization"].split()[1]


def test_from_the_file_and_over_http(ward, vitaltwin):
    path, url, key = ward
    asked = ("replay-limits", "--patient", "p1", "--set", "heart_rate.low=45", "--days", 0.1, "--stored")
    figures = []
    for way, told in (
        (("--url", url), {"VITALTWIN_KEY": key}), (("--database", path), {}),
    ):  # fmt: skip

        def all_of(way=way, told=told):
            ran = vitaltwin(*asked, *way, "--json", timeout=120, **told)
            assert ran.returncode == 0, ran.stderr
            found = json.loads(ran.stdout)
            return found if found["readings"] == 300 else None

        figures.append(eventually(all_of))
    for found in figures:
        assert [(one["condition"], one["limit"]) for one in found["lost"]] == [("limit.low", 50.0)]
        assert (found["lost_sustained"], found["gained_count"]) == (1, 0)
    shown = vitaltwin(*asked, "--url", url, VITALTWIN_KEY=key)
    assert "1 lost, 1 of them lasted 60 s or more; 0 gained" in shown.stderr
    assert "limit.low" in shown.stdout


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--set", "heart_rate.low=45"), 2, "patient or a ward"),
        (("--patient", "p1"), 2, "--set"),
        (("--patient", "p1", "--set", "heart_rate=45"), 2, "heart_rate.low=45"),
        (("--patient", "p1", "--set", "heart_rate.low=nan"), 2, "heart_rate.low=45"),
        (("--patient", "p1", "--set", "heart_rate.low=5"), 1, "5 /min lies outside"),
        (("--patient", "p1", "--set", "mood.low=5"), 1, "no such signal"),
        (("--patient", "nobody", "--set", "heart_rate.low=45"), 1, "no such patient"),
    ],
)
def test_what_cannot_be_asked(ward, vitaltwin, options, code, said):
    _, url, key = ward
    ran = vitaltwin("replay-limits", *options, "--url", url, VITALTWIN_KEY=key)
    assert ran.returncode == code
    assert said in " ".join(ran.stderr.replace("│", " ").split())
