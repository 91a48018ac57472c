"""The first start of a version, before its kernels are compiled: readings are accepted, and readiness is false."""

import time
from pathlib import Path

import pytest

from streams.embedded.restore import open_offline
from tests.api.cli.test_serve import ServiceUnderTest
from tests.api.cli.test_wrong_wall import Bed


@pytest.mark.slow
def test_what_is_sent_while_kernels_are_compiled_is_judged_before_it_says_ready(program, home, tmp_path):
    service = ServiceUnderTest(
        program, home | {"XDG_CACHE_HOME": str(tmp_path / "cache"), "NUMBA_CACHE_DIR": ""}, tmp_path
    )
    service.start(until="/health/live")
    try:
        monitor = Bed(service, tmp_path / "state")
        assert monitor.sends(30)["taken"] == 1
        health = monitor.ask("/health/ready")
        assert (health["ready"], health["parts"]["twins"]) == (False, "warming")
        service.saying("readings are accepted; the twins process them once their kernels are compiled")
        deadline = time.monotonic() + 600
        seen = []
        while not (health := monitor.ask("/health/ready"))["ready"] and time.monotonic() < deadline:
            monitor.sends(30)
            seen.append(health["parts"]["lag_s"])
            time.sleep(0.5)
        assert health["ready"]
        assert max(seen) > 1.0
        service.saying("the twins are up to date")
    finally:
        service.end()
    with open_offline(Path(home["VITALTWIN_DATABASE"])) as file:
        alarms = [alarm for bank in file.worker().banks.values() for alarm in bank.alarms.values()]
    assert "limit.critical_low" in {alarm.condition for alarm in alarms}
