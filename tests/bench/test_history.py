"""``infra/bench history``: a short run against a real InfluxDB, which is left as it was."""

import json
import subprocess

import pytest

from tests.streams.history.influx.conftest import INFRA, Server


@pytest.mark.slow
@pytest.mark.usefixtures("influx")
def test_a_short_run(bench, tmp_path):
    server = Server(tmp_path / "influx")
    server.start()
    try:
        where = {"VITALTWIN_INFLUX_URL": server.url, "VITALTWIN_INFLUX_TOKEN": server.token}
        shown = bench("history", "--quick", "--json", timeout=300, **where)
        assert shown.returncode == 0, shown.stderr
        result = json.loads(shown.stdout)
        assert result["influx"]["readings_per_s"] > 0
        assert result["spill"]["readings_per_s"] > 0
        assert set(result["read_a_day_s"]) == {"readings", "readings_as_300", "estimates_as_300", "page_of_1000"}
        buckets = {bucket["name"] for bucket in server.call("/api/v2/buckets?limit=100")["buckets"]}
        assert buckets == {"setup", "_tasks", "_monitoring"}
        assert server.call("/api/v2/tasks")["tasks"] == []
    finally:
        subprocess.run([INFRA / "stop", server.folder], check=True)


@pytest.mark.slow
@pytest.mark.usefixtures("influx")
def test_it_begins_a_server_of_its_own(bench):
    shown = bench("history", "--quick", "--json", timeout=300)
    assert shown.returncode == 0, shown.stderr
    result = json.loads(shown.stdout)
    assert result["influx"]["readings_per_s"] > 0
    kept = result["on_disk"]
    # 17 with estimates kept to what they mean, 28 with all their digits; the reading and the forecasts alone are more than 7.
    assert 8 < kept["bytes_per_reading"] < 22
    assert kept["readings"] == 150_000
