"""``vitaltwin init`` from beginning to end, on a real broker and a real PostgreSQL."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import create_engine, inspect

from api.accounts.examination import examine
from tests.conftest import ROOT
from tests.support.cluster import command_of
from tests.support.postgres import Server

pytestmark = pytest.mark.slow
Initialise = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def init(given: dict[str, str], tmp_path: Path) -> Initialise:
    def run(**more: str) -> "subprocess.CompletedProcess[str]":
        named = {f"VITALTWIN_{name.upper()}": value for name, value in (given | more).items()}
        environment = os.environ | named | {"XDG_STATE_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
        return subprocess.run(
            [sys.executable, *command_of("init"), "--json"], env=environment, cwd=tmp_path, capture_output=True, text=True,
            check=False, timeout=120,
        )  # fmt: skip

    return run


def test_the_tables_of_accounts_are_made_once_and_it_says_when(init: Initialise, tmp_path: Path) -> None:
    server = Server(tmp_path / "postgres")
    server.start()
    try:
        first, second = init(accounts_database=server.url), init(accounts_database=server.url)
        assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
        assert json.loads(first.stdout)["made"]["tables of accounts"] is True
        assert json.loads(second.stdout)["made"]["tables of accounts"] is False
        seen = asyncio.run(examine(server.url))
        assert seen.revision == seen.wanted
        assert seen.server.startswith("postgresql 15")
        assert ":***@" in seen.where
        engine = create_engine(server.url)
        assert "accounts" in inspect(engine).get_table_names()
        engine.dispose()
    finally:
        server.stop()
    gone = init(accounts_database=server.url)
    assert gone.returncode == 1
    assert gone.stderr.startswith("error: the accounts database did not answer")


def test_other_hours_than_asked_are_told(init: Initialise) -> None:
    assert init().returncode == 0
    other = init(kafka_log_retention_hours="24")
    assert other.returncode == 0  # the service runs with it
    assert "differs  topic" in other.stderr
    assert "72 hours, not 24 hours" in other.stderr
    assert len(json.loads(other.stdout)["differs"]) == 1
    assert init().returncode == 0
