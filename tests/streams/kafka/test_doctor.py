"""`vitaltwin doctor` on a real broker: before and after `init`, with and without workers."""

import json
import subprocess
import time

import pytest

from tests.support.cluster import command_of
from tests.support.service import ServiceUnderTest

pytestmark = [pytest.mark.slow]


def looked(given: dict[str, str], worker: ServiceUnderTest, *command: str) -> tuple[int, dict[str, list[str]]]:
    """The exit code, and by name the findings, each after its state."""
    environment = worker.environment | {"VITALTWIN_WORKER_PORT": str(worker.port), "VITALTWIN_PORT": "9"}
    program = [worker.program[0], *command_of("doctor"), "--json", *command]
    ran = subprocess.run(program, env=environment, capture_output=True, text=True, check=False)
    found: dict[str, list[str]] = {}
    for one in json.loads(ran.stdout)["findings"]:
        found.setdefault(one["name"], []).append(f"{one['state']}: {one['detail']}")
    return ran.returncode, found


def test_what_is_wrong_is_told_until_nothing_is(given: dict[str, str], worker: ServiceUnderTest) -> None:
    code, found = looked(given, worker)
    assert code == 1
    assert found["Kafka"] == [f"good: {given['kafka_servers']}, 1 broker"]
    assert len(found["topics"]) == 7
    assert all("vitaltwin init creates it" in one for one in found["topics"])

    subprocess.run([worker.program[0], *command_of("init")], env=worker.environment, check=True, capture_output=True)
    code, found = looked(given, worker)
    assert code == 1
    assert found["topics"] == ["good: as `vitaltwin init` creates them, 2 partitions"]
    assert found["workers"][0].startswith("wrong: none")

    worker.start()
    time.sleep(2.0)
    code, found = looked(given, worker)
    assert code == 0, found
    assert found["clocks"][0].startswith("good: this machine's is ")
    assert found["workers"] == ["good: 1; partitions assigned: 127.0.0.1 (1) 2"]
    assert "records behind" in found["checkpoints"][0]
    assert "restored 2" in found["worker here"][0]
    assert found["InfluxDB"][0].startswith("note: no history")


def test_a_broker_that_is_not_there_and_a_password(given: dict[str, str], worker: ServiceUnderTest) -> None:
    worker.environment |= {
        "VITALTWIN_KAFKA_SERVERS": "127.0.0.1:9",
        "VITALTWIN_KAFKA_PASSWORD": "hunter2",
        "VITALTWIN_ACCOUNTS_DATABASE": "postgresql+psycopg://ward:hunter3@127.0.0.1:9/ward",
    }
    code, found = looked(given, worker)
    assert code == 1
    assert found["Kafka"] == [
        "wrong: no Kafka broker answers at 127.0.0.1:9; set VITALTWIN_KAFKA_SERVERS to the brokers"
    ]
    assert found["accounts"][0].startswith("wrong: the accounts database did not answer")
    assert "hunter" not in str(found)


def test_the_embedded_service_is_looked_at_when_asked_for(given: dict[str, str], worker: ServiceUnderTest) -> None:
    _, found = looked(given, worker, "--embedded")
    assert "Kafka" not in found
    assert "database" in found
