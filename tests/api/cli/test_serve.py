"""The service as a process: start, sign-in, replay, kill, restart."""

import json
import os
import re
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from contextlib import closing
from pathlib import Path

import pytest

from streams.log.times import moment
from tests.support.service import free_port

HEADER = "patient,time,signal,value,unit\n"


class ServiceUnderTest:
    """One service as a process; ``start`` waits until it answers and records its output."""

    def __init__(self, program, home, where):
        self.program, self.home, self.where = program, home, where
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.said = []
        self.process = None

    def start(self, command="serve", *more, until="/health/ready"):
        self.process = subprocess.Popen(
            [*self.program, command, "--port", str(self.port), *more], env=self.home, cwd=self.where,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        threading.Thread(target=self._listen, args=(self.process.stdout,), daemon=True).start()
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                urllib.request.urlopen(f"{self.url}{until}", timeout=1).close()
            except OSError:
                time.sleep(0.1)
            else:
                return self
        raise AssertionError("".join(self.said))

    def _listen(self, stream):
        with stream:
            self.said.extend(stream)

    def saying(self, text):
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            found = [line for line in self.said if text in line]
            if found:
                return found[0]
            time.sleep(0.05)
        raise AssertionError(f"{text!r} not in {self.said}")

    def taking(self):
        """Wait until the twins have processed a reading."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            shown = urllib.request.urlopen(f"{self.url}/metrics").read().decode()
            if re.search(r'^vitaltwin_readings_total\{status="accepted"\} [1-9]', shown, re.MULTILINE):
                return
            time.sleep(0.05)
        raise AssertionError("no reading came")

    def end(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        return self.process.wait(90)


@pytest.fixture
def service(program, home, tmp_path):
    made = ServiceUnderTest(program, home, tmp_path)
    yield made
    if made.process is not None and made.process.poll() is None:
        made.end(signal.SIGKILL)


def test_first_start_sign_in_key_replay_and_a_clean_end(service, vitaltwin, tmp_path):
    service.start()
    link = service.saying("/sign-in?token=").split()[-1]
    key = tmp_path / "state" / "vitaltwin" / f"{service.port}.key"
    service.saying("medical device")
    deadline = time.monotonic() + 5
    while not key.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert stat.S_IMODE(key.stat().st_mode) == 0o600

    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    with opener.open(link) as page:
        assert page.status == 200
    with opener.open(urllib.request.Request(link, method="POST", headers={"Origin": service.url})) as answer:
        assert answer.status == 200
    with opener.open(f"{service.url}/v1/session") as answer:
        assert json.load(answer)["role"] == "admin"
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(f"{service.url}/v1/session")

    rows = [f"p{n % 3},2000-01-01T00:00:{n:02}Z,heart_rate,{80 + n % 5},/min\n" for n in range(30)]
    (tmp_path / "r.csv").write_text(HEADER + "".join(rows))
    shown = vitaltwin("replay", "r.csv", "--url", service.url, "--speed", 0, "--json")
    assert shown.returncode == 0, shown.stderr
    summary = json.loads(shown.stdout)
    assert (summary["taken"], summary["refused"]) == (30, 0)
    with opener.open(f"{service.url}/v1/patients") as answer:
        assert "p2" in answer.read().decode()

    stranger = vitaltwin("replay", "r.csv", "--url", service.url, "--key", "vt_wrong")
    assert stranger.returncode == 1
    assert "401" in stranger.stderr
    healthy = vitaltwin("doctor", "--port", service.port)
    assert "in use by a running service" in healthy.stdout
    assert healthy.returncode == 0, healthy.stdout
    assert service.end() == 0


def test_a_port_or_a_file_in_use_is_one_plain_line(service, vitaltwin):
    service.start()
    taken = vitaltwin("serve", "--port", service.port)
    assert taken.returncode == 1
    assert taken.stderr.startswith("error: cannot listen on 127.0.0.1 port")
    second = vitaltwin("serve", "--port", free_port())
    assert second.returncode == 1
    assert second.stderr.startswith("error: ")
    assert "Traceback" not in second.stderr


def test_killed_during_a_replay_it_resumes_and_nothing_is_lost(service, vitaltwin, tmp_path):
    rows = [f"p{n % 5},2000-01-01T00:{n // 60:02}:{n % 60:02}Z,heart_rate,{80 + n % 5},/min\n" for n in range(600)]
    (tmp_path / "r.csv").write_text(HEADER + "".join(rows))
    service.start("serve", "--clock-speed", "100")
    service.saying("sign in once")
    shown = {}
    going = threading.Thread(
        target=lambda: shown.update(run=vitaltwin("replay", "r.csv", "--url", service.url, "--json", timeout=120))
    )
    going.start()
    service.taking()
    service.end(signal.SIGKILL)
    time.sleep(1)
    service.start("serve", "--clock-speed", "100")
    going.join(120)
    run = shown["run"]
    assert run.returncode == 0, run.stderr
    summary = json.loads(run.stdout)
    assert (summary["sent"], summary["taken"], summary["refused"]) == (600, 600, 0)
    assert summary["retries"] > 0


def test_the_demo_opens_signed_in_and_goes_on_after_a_kill(service):
    service.start("demo", "--no-open")
    assert service.saying("Open ").split()[1] == f"{service.url}/"

    def patients():
        with urllib.request.urlopen(f"{service.url}/v1/patients?limit=100") as answer:
            return answer.read().decode().count("demo-")

    deadline = time.monotonic() + 20
    while patients() < 16 and time.monotonic() < deadline:
        time.sleep(0.2)
    first = patients()
    assert first >= 16
    service.end(signal.SIGKILL)
    service.start("demo", "--no-open")
    time.sleep(1)
    assert patients() == first
    assert service.end(signal.SIGINT) == 0


def test_the_demo_goes_on_at_its_own_pace_after_it_ran_fast(service):
    service.start("demo", "--no-open", "--clock-speed", "600")
    time.sleep(3)
    assert service.end(signal.SIGINT) == 0
    service.start("demo", "--no-open")

    def ask(path):
        with urllib.request.urlopen(service.url + path) as answer:
            return json.load(answer)

    deadline = time.monotonic() + 60
    times = []
    while len(times) < 3 and time.monotonic() < deadline:
        now = moment(ask("/v1/clock")["now"])
        signals = ask("/v1/patients/demo-01/state")["signals"]
        newest = max((moment(one["time"]) for one in signals.values()), default=0)
        if 0 <= now - newest < 30_000_000 and newest not in times:
            times.append(newest)
        time.sleep(0.5)
    assert times == sorted(times)
    assert len(times) == 3
    assert abs(ask("/v1/clock")["apart_s"]) < 2
    assert service.end(signal.SIGINT) == 0
    assert "Traceback" not in "".join(service.said)


@pytest.mark.fault
def test_a_worker_that_died_ends_the_program_once_the_doors_have_said_so(home, tmp_path):
    root = Path(__file__).parents[3]
    struck = ServiceUnderTest(
        [sys.executable, str(root / "tests/api/cli/struck.py")],
        home | {"STRIKE": str(tmp_path / "strike"), "PYTHONPATH": str(root)}, tmp_path,
    ).start()  # fmt: skip
    (tmp_path / "strike").touch()
    refused = {}
    deadline = time.monotonic() + 60
    while struck.process.poll() is None and time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"{struck.url}/health/ready", timeout=5).close()
        except urllib.error.HTTPError as answer:
            refused = {"status": answer.code} | json.load(answer)["parts"]
        except OSError:
            pass
        time.sleep(0.1)
    assert struck.process.wait(60) == 1
    assert refused["status"] == 503
    assert "MemoryError" in refused["twins"]
    assert struck.saying("error: stopped because MemoryError()")
    assert "Traceback" not in "".join(struck.said).partition("error: ended")[2]


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql+psycopg://vitaltwin:secret@127.0.0.1:1/vitaltwin", "did not answer"),
        ("nonsense", "cannot be used"),
        ("mysql://127.0.0.1/vitaltwin", "not in mysql"),
    ],
)
def test_a_service_that_cannot_open_its_accounts_says_so_in_a_line(vitaltwin, url, said):
    ran = vitaltwin("serve", "--port", 0, VITALTWIN_ACCOUNTS_DATABASE=url)
    assert ran.returncode == 1
    assert said in ran.stderr
    assert "Traceback" not in ran.stderr
    assert "secret" not in ran.stderr


def test_a_file_of_a_newer_version_is_one_plain_line(service, vitaltwin, tmp_path):
    service.start()
    assert service.end() == 0
    with closing(sqlite3.connect(tmp_path / "home.db")) as file:
        file.execute("UPDATE log_facts SET value = 99 WHERE name = 'format'")
        file.commit()
    for command in (("serve", "--port", 0), ("backup", "copy.db"), ("repair", "home.db")):
        told = vitaltwin(*command)
        assert told.returncode == 1
        assert "was written by a newer version of vitaltwin (format 99" in told.stderr
        assert told.stderr.startswith("error: ")
        assert "Traceback" not in told.stderr
    assert "newer version" in vitaltwin("doctor", "--port", 9).stdout


def test_log_lines_as_json_from_a_level_on(service, tmp_path):
    database = tmp_path / "home.db"
    database.touch(0o644)
    service.home |= {"VITALTWIN_LOG_FORMAT": "json"}
    service.start()
    line = json.loads(service.saying("was readable by others"))
    assert line["level"] == "warning"
    assert line["file"] == str(database)
    assert line["timestamp"].endswith("Z")
    assert service.end() == 0
    database.chmod(0o644)
    service.said.clear()
    service.home |= {"VITALTWIN_LOG_LEVEL": "error"}
    service.start()
    service.saying("storing everything in")
    assert service.end() == 0
    assert not [said for said in service.said if "readable by others" in said]


def test_a_copy_is_taken_while_it_runs_and_put_back(service, vitaltwin, tmp_path):
    service.start()
    copied = vitaltwin("backup", "copy.db", "--json")
    assert copied.returncode == 0, copied.stderr
    assert json.loads(copied.stdout)["rows"]["log"] > 0
    assert "is there already" in vitaltwin("backup", "copy.db").stderr
    running = vitaltwin("restore", "copy.db")
    assert (running.returncode, "stop it first" in running.stderr) == (1, True)
    assert service.end() == 0
    back = vitaltwin("restore", "copy.db")
    assert back.returncode == 0, back.stderr
    assert "home.db.before-1" in back.stderr
    service.start()


READ_ONLY = """
mount -t tmpfs tmpfs "$1" && mount -o remount,bind,ro / && shift && exec "$@"
"""


@pytest.mark.fault
def test_nothing_but_the_files_folder_can_be_written(service, program, tmp_path):
    if os.geteuid() or not shutil.which("unshare"):
        pytest.skip("a read-only root needs root and unshare")
    (tmp_path / "data").mkdir()
    inside = ["unshare", "--mount", "sh", "-ec", READ_ONLY, "sh", str(tmp_path / "data")]
    if subprocess.run([*inside, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no root can be remounted here")
    service.program = [*inside, *program]
    service.home |= {
        "XDG_CACHE_HOME": "/proc/none", "XDG_STATE_HOME": "/proc/none", "HOME": "/proc/none", "NUMBA_CACHE_DIR": "",
        "VITALTWIN_DATABASE": str(tmp_path / "data" / "v.db"),
    }  # fmt: skip
    service.start()
    assert service.end() == 0
    service.home |= {"VITALTWIN_DATABASE": "v.db"}
    with pytest.raises(AssertionError, match=r"error: cannot use v\.db: Read-only file system"):
        service.start()
    assert "Traceback" not in "".join(service.said)
