"""A real broker for the tests of the distributed runtime, with separate topics for each test."""

from collections.abc import Iterator
from pathlib import Path
from zlib import crc32

import pytest

from streams.settings import Settings
from tests.conftest import require
from tests.support.cluster import Brokers, command_of
from tests.support.service import ServiceUnderTest


@pytest.fixture(scope="session")
def brokers() -> Iterator[Brokers]:
    require("java", "apt-get install openjdk-17-jre-headless")
    require("mvn", "apt-get install maven")
    with Brokers() as started:
        yield started


@pytest.fixture
def given(brokers: Brokers, request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """Settings of programs that share this test's own topics."""
    return {
        "kafka_servers": brokers.servers,
        "kafka_prefix": f"{request.node.name[:40].replace('[', '-').replace(']', '')}-{crc32(request.node.name.encode()):x}.",
        "kafka_partitions": "2",
        "kafka_session_seconds": "3",
        "influx_spill": str(tmp_path / "spill"),
    }


@pytest.fixture
def settings(given: dict[str, str]) -> Settings:
    return Settings.model_validate(given)


@pytest.fixture
def worker(given: dict[str, str]) -> Iterator[ServiceUnderTest]:
    """A worker, not started yet."""
    with ServiceUnderTest(command_of("worker"), **given) as made:
        yield made
