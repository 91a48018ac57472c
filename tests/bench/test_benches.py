"""Every benchmark in its short form, as a person runs it: real processes, files, sockets and kills."""

import json
import socket
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from api.cli.output import Failure
from tests.bench import ingest as bench_ingest
from tests.bench import kafka as bench_kafka
from tests.bench.abusers import ABUSES, Target, command
from tests.bench.peers import naive_filter
from tests.support.load import JSON_TYPE, SimulatedWard


@pytest.mark.slow
def test_abuse(bench):
    """Each abuse really happens, and every alarm of the probes comes; only a quiet machine can say how soon."""
    result = figures(bench, "abuse")
    assert result["quiet"]["alarm_p99_ms"] > 0
    for name in ABUSES:
        one = result[name]
        assert one["alarms"] > 30
        assert 0 < one["alarm_p50_ms"] <= one["alarm_p99_ms"] < 30_000  # an alarm that does not come counts as 30 s
        assert 50 < one["rss_mb"] < 1024


@pytest.mark.parametrize("name", ABUSES)
def test_an_abuser_reaches_the_service_and_ends_by_itself(name):
    """It connects, and stops after the given time, whatever it finds."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        door.settimeout(60)
        target = Target(door.getsockname()[1], "key", "cookie=1", 1.0)
        with subprocess.Popen(command(name, target)) as abuser:
            door.accept()[0].close()
            door.close()
            assert abuser.wait(120) == 0


def figures(bench, name, *more):
    shown = bench(name, "--quick", "--json", *more, timeout=300)
    assert shown.returncode == 0, shown.stderr
    return json.loads(shown.stdout)


def test_ingest(bench):
    result = figures(bench, "ingest")
    for way in ("frame", "json", "naive"):
        assert result[way]["readings_per_s"] > 0
        assert result[way]["cpu_s_per_million"] > 0
    # More than 30 on every machine so far: if it is not faster at all, something was counted or divided wrongly.
    assert min(result["ratio"].values()) > 2


class SlowServer(ThreadingHTTPServer):
    """A server that takes one request at a time and sleeps before each answer: its speed is known."""

    PAUSE_S = 0.05
    daemon_threads = True

    class Answers(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            sent = len(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            with self.server.one:
                self.server.readings += sent
                time.sleep(SlowServer.PAUSE_S)
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_):
            """Say nothing."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), self.Answers)
        self.one = threading.Lock()
        self.port = self.server_port
        self.readings, self.polls, self.spent_s = 0, 3, 0.0

    def cpu_s(self):
        """Half a second more at every call."""
        self.spent_s += 0.5
        return self.spent_s

    def lag(self):
        """Behind for the first few calls."""
        self.polls -= 1
        return max(0, self.polls)


def test_ingest_tells_a_server_of_known_pace_no_faster_than_it_is():
    with SlowServer() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        result = bench_ingest._measure(server, SimulatedWard(20), "", JSON_TYPE, 4)
        server.shutdown()
        thread.join(10)
    assert result["readings"] == server.readings == 4_000
    assert 0 < result["readings_per_s"] <= 1_000 / SlowServer.PAUSE_S
    assert result["cpu_s_per_million"] == pytest.approx(0.5 / 4_000 * 1e6)
    assert server.polls <= 0  # the clock ran until nothing was waiting


@pytest.mark.slow
def test_latency(bench):
    result = figures(bench, "latency")
    for load in ("1000", "10000"):
        assert result[load]["unseen"] == 0
        for what in ("estimate_ms", "alarm_ms"):
            assert 0 < result[load][what]["p50"] <= result[load][what]["p99"]


@pytest.mark.slow
@pytest.mark.usefixtures("kafka")
def test_kafka(bench):
    result = figures(bench, "kafka")
    assert result["readings_per_s"] > 0
    assert result["cpu_s_per_million"] > 0
    assert result["readings_per_record"] > 1
    assert result["outcomes_at_the_door"] > 0
    for peer in ("naive_faust", "quix"):
        assert result["peers"][peer]["readings"] > 0
        assert result["peers"][peer]["cpu_s_per_million"] > 0
        assert result["ratio"][peer] > 1


def test_kafka_says_which_extra_is_missing(monkeypatch):
    monkeypatch.setattr(bench_kafka, "find_spec", lambda name: None if name == "quixstreams" else name)
    with pytest.raises(Failure, match=r"needs quixstreams: pip install 'vitaltwin\[bench,distributed\]'"):
        bench_kafka.run(quick=True)


def test_a_filter_from_a_store_goes_on_as_one_that_was_never_away():
    kept, other, live = None, None, naive_filter.begun(70.0)
    for at, value in ((0.0, 70.0), (1.0, 72.0), (1.5, 71.0), (9.0, 65.0)):
        if kept is not None:
            naive_filter.move(live, at - kept["at"][0], value)
        kept = json.loads(json.dumps(naive_filter.kept_after(kept, at, value)))
        other = naive_filter.kept_after(other, at, -value)
    assert kept["x"] == live.x.ravel().tolist()
    assert kept["p"] == live.P.ravel().tolist()


@pytest.mark.slow
@pytest.mark.fault
def test_recovery(bench):
    result = figures(bench, "recovery")
    assert result["kills"] == 3
    assert result["acknowledged"] > 0
    assert result["logged"] >= result["acknowledged"]
    assert (result["lost"], result["applied_twice"], result["identical"]) == (0, 0, True)


@pytest.mark.slow
def test_start(bench):
    found = figures(bench, "start")
    assert found["warm_s"] > 0
    assert found["files_cold_s"] > 0
    assert found["warm_cpu_s"] > 0


def nothing_lost(result):
    assert result["acknowledged"] > 50_000
    gone = {name: result[name] for name in ("lost", "applied_twice", "alarms_doubled", "alarms_missed")}
    assert not any(gone.values()), gone
    assert result["identical"]


@pytest.mark.slow
@pytest.mark.fault
@pytest.mark.usefixtures("kafka")
@pytest.mark.parametrize("fault", ["partitioned", "door_partitioned"])
def test_a_cut_network(bench, fault):
    result = figures(bench, "failover", "--only", fault)[fault]
    nothing_lost(result)
    if fault == "partitioned":
        assert result["gaps"] < 8  # reading again does not bring about more of what it heals


@pytest.mark.slow
@pytest.mark.fault
@pytest.mark.usefixtures("kafka", "influx")
def test_the_history_is_whole_after_influxdb_was_away(bench):
    result = figures(bench, "failover", "--only", "influx_stopped")["influx_stopped"]
    nothing_lost(result)
    assert result["spilled_mb"] > 0
    assert result["checkpoints_while_away"] > 0
    assert result["history_missing"] == result["history_missing_transitions"] == result["history_dropped"] == 0


@pytest.mark.slow
@pytest.mark.usefixtures("kafka")
def test_restore(bench):
    result = figures(bench, "restore")
    assert result["patients"] * 6 == result["channels"]
    assert result["blocks"]["max"] >= result["patients"] / 64 + 32
    assert 0 < result["restore_s"]["max"] < result["cold_start_s"]["max"]


@pytest.mark.slow
@pytest.mark.usefixtures("kafka", "influx")
def test_live(bench):
    result = figures(bench, "live")["gather_0.01"]
    assert result["readings_per_s"] > 0
    assert result["readings_per_record"] > 1
    each = result["per_thousand_patients"]
    for name in (
        "door_cores",
        "worker_cores",
        "kafka_cores",
        "influx_cores",
        "inputs_bytes_per_s",
        "twins_bytes_per_s",
    ):
        assert result[name] > 0
        assert each[name] == pytest.approx(result[name] / 2, rel=1e-3)
