"""The program as a person runs it, with a home of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, require

PROGRAM = [sys.executable, "-c", "import sys; sys.argv[0] = 'vitaltwin'; from api.cli import main; main()"]


@pytest.fixture
def home(tmp_path):
    """Environment variables that keep a run's state apart; compiled kernels are shared."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("VITALTWIN_")}
    return kept | {"XDG_STATE_HOME": str(tmp_path / "state"), "VITALTWIN_DATABASE": str(tmp_path / "home.db")}


@pytest.fixture
def vitaltwin(home, tmp_path):
    def run(*arguments, timeout=60, **more):
        return subprocess.run(
            [*PROGRAM, *map(str, arguments)], env=home | more, cwd=tmp_path, capture_output=True, text=True,
            timeout=timeout, check=False,
        )  # fmt: skip

    return run


@pytest.fixture
def program():
    return PROGRAM


@pytest.fixture
def kafka():
    require("java", "apt-get install openjdk-17-jre-headless")
    require("mvn", "apt-get install maven")


@pytest.fixture
def influx():
    require("curl", "apt-get install curl")
    built = [ROOT / "infra" / "influxdb" / "build", "--where"]
    where = subprocess.run(built, capture_output=True, text=True, check=True).stdout.strip()
    require(Path(where), "infra/influxdb/build makes it, once, with Go and Rust (some minutes)")
