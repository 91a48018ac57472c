"""``vitaltwin burden`` reads a running service's file and asks over HTTP; both say the same."""

import json

import pytest

from tests.api.conftest import eventually, serving


@pytest.fixture(scope="module")
def ward(tmp_path_factory):
    path = tmp_path_factory.mktemp("burden") / "home.db"
    with serving(path) as running:
        device = running.device(scopes=("observations:write", "patients:read"))
        entries = [running.reading(time=running.now(-30 + second), value=31.0) for second in range(30)]
        assert device.post("/v1/observations", json=entries).json()["taken"] == 30
        eventually(lambda: device.get("/v1/alarm-burden").json()["alarms"])
        yield path, running, device.headers["authorization"].split()[1]


def test_from_the_file_and_over_http(ward, vitaltwin):
    path, running, key = ward
    told = {"VITALTWIN_KEY": key}
    asked = vitaltwin("burden", "--json", "--url", running.url, **told)
    assert asked.returncode == 0, asked.stderr
    found = json.loads(asked.stdout)
    assert found["alarms"] > 0
    # The file is behind by at most one sweep of checkpoints.
    read = eventually(lambda: _read(vitaltwin, path, found["alarms"]))
    for name in ("by_condition", "by_priority"):
        assert [(one["name"], one["alarms"]) for one in read[name]] == [
            (one["name"], one["alarms"]) for one in found[name]
        ]
    shown = vitaltwin("burden", "--database", path)
    assert "limit.critical_low" in shown.stdout
    trail = vitaltwin("audit", "export", "--database", path).stdout
    assert sum('"alarm_burden.read"' in line and "command line" in line for line in trail.splitlines()) >= 2


def _read(vitaltwin, path, alarms):
    read = vitaltwin("burden", "--json", "--database", path)
    assert read.returncode == 0, read.stderr
    figures = json.loads(read.stdout)
    return figures if figures["alarms"] == alarms else None


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (("--database", "nowhere.db"), 1),
        (("--days", "0"), 2),
        (("--url", "ftp://x"), 2),
        (("--url", "http://127.0.0.1:9"), 1),
    ],
)
def test_what_cannot_be_read(vitaltwin, options, code):
    ran = vitaltwin("burden", *options)
    assert ran.returncode == code
    assert ran.stderr.strip()


def test_an_unknown_zone(ward, vitaltwin):
    ran = vitaltwin("burden", "--database", ward[0], "--zone", "Middle/Earth")
    assert ran.returncode == 2
    assert "Europe/Berlin" in ran.stderr
