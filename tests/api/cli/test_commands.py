"""Commands that need no running service: usage, exit codes, output."""

import json
import os
import subprocess

import pytest

from api.cli import environment

HEADER = "patient,time,signal,value,unit\n"


def test_help_names_every_command(vitaltwin):
    shown = vitaltwin("--help")
    assert shown.returncode == 0
    for name in ("demo", "serve", "replay", "evaluate", "simulate", "doctor", "warm", "version"):
        assert name in shown.stdout


def test_help_imports_nothing_heavy(program, home):
    code = "import sys; import api.cli; print([m for m in ('numpy', 'numba', 'fastapi', 'rich') if m in sys.modules])"
    shown = subprocess.run([program[0], "-c", code], env=home, capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "wrong",
    [
        ("nonsense",),
        ("replay", "missing.csv"),
        ("evaluate",),
        ("serve", "--port", "99999"),
        ("serve", "--clock-speed", "-1"),
        ("simulate", "--patients", "0", "--out", "x.csv"),
    ],
)
def test_wrong_usage_ends_with_2(vitaltwin, wrong):
    assert vitaltwin(*wrong).returncode == 2


def test_version_as_json(vitaltwin):
    assert json.loads(vitaltwin("version", "--json").stdout)["version"].count(".") == 2


def test_simulate_is_repeatable_and_evaluate_reads_it(vitaltwin, tmp_path):
    arguments = ("--patients", 3, "--hours", 2, "--seed", 5, "--every", 30, "--json")
    first = vitaltwin("simulate", "--out", "a.csv.gz", *arguments)
    assert first.returncode == 0, first.stderr
    figures = json.loads(first.stdout)
    assert figures["patients"] == 3
    vitaltwin("simulate", "--out", "b.csv.gz", *arguments)
    assert (tmp_path / "a.csv.gz").read_bytes() == (tmp_path / "b.csv.gz").read_bytes()
    shown = vitaltwin("evaluate", "a.csv.gz", "--json", "--signals", "heart_rate,glucose", timeout=300)
    assert shown.returncode == 0, shown.stderr
    scores = json.loads(shown.stdout)["signals"]["heart_rate"]["horizons"]["30"]
    assert scores["pairs"] > 0
    assert set(scores["coverage"]) == {"50", "80", "95"}
    drawn = vitaltwin("evaluate", "a.csv.gz", "--limit-patients", 1, timeout=300)
    assert "heart_rate" in drawn.stdout


def test_an_unreadable_recording_is_one_line_and_1(vitaltwin, tmp_path):
    (tmp_path / "r.csv").write_text(HEADER + "p,yesterday,heart_rate,1,/min\n")
    for command in ("evaluate", "replay"):
        shown = vitaltwin(command, "r.csv")
        assert shown.returncode == 1
        assert shown.stderr.strip() == "error: r.csv: line 2: time 'yesterday': not ISO 8601, like 2026-01-01T00:00:00Z"


def test_replay_with_nobody_there_says_so(vitaltwin, tmp_path):
    (tmp_path / "r.csv").write_text(HEADER + "p,2000-01-01T00:00:00Z,heart_rate,80,/min\n")
    shown = vitaltwin("replay", "r.csv", "--url", "http://127.0.0.1:9")
    assert shown.returncode == 1
    assert "refused" in shown.stderr
    assert vitaltwin("replay", "r.csv", "--url", "ftp://x").returncode == 2
    assert vitaltwin("replay", "r.csv", "--signals", "mood").returncode == 2
    assert vitaltwin("replay", "r.csv", "--patients", "nobody").returncode == 1


def test_doctor_finds_a_broken_database_and_an_unknown_setting(vitaltwin, tmp_path):
    good = vitaltwin("doctor", "--port", "9", "--json", VITALTWIN_COLOUR="red")
    findings = json.loads(good.stdout)["findings"]
    assert good.returncode == 0, good.stdout
    assert any("VITALTWIN_COLOUR is not a setting" in finding["detail"] for finding in findings)
    (tmp_path / "home.db").write_bytes(b"no database" * 1_000)
    bad = vitaltwin("doctor", "--port", "9")
    assert bad.returncode == 1
    assert "WRONG" in bad.stdout


def test_the_demo_listens_on_loopback_only(vitaltwin):
    shown = vitaltwin("demo", "--no-open", VITALTWIN_HOST="::")
    assert shown.returncode == 2
    assert "loopback only" in shown.stderr


def test_the_kernels_cache_is_of_this_version_and_old_ones_go(tmp_path, monkeypatch):
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for number in range(12):
        old = tmp_path / "vitaltwin" / f"numba-{number}"
        old.mkdir(parents=True)
        if number < 6:
            os.utime(old, (number, number))
    folder = environment.prepare()
    assert os.environ["NUMBA_CACHE_DIR"] == str(folder)
    left = {path.name for path in (tmp_path / "vitaltwin").iterdir()}
    assert left == {folder.name, *(f"numba-{number}" for number in range(6, 12))}  # other processes may use theirs
    assert environment.prepare() is None  # the environment variable takes precedence
