"""What every test may ask for: missing parts named aloud, the shared recordings, a browser, a quiet environment."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from api.cli.environment import prepare

prepare()  # a cache of kernels that an edit of what they bake in makes anew
settings.register_profile("untimed", deadline=None)  # the first example may have to compile a kernel
settings.load_profile("untimed")

ROOT = Path(__file__).parent.parent
MAY_SKIP = os.environ.get("CI", "").lower() not in {"1", "true"} and not os.environ.get("VITALTWIN_NO_SKIP")
RECORDINGS = Path(os.environ.get("VITALTWIN_DATA") or ROOT.parent / "shared" / "data")


def require(part: str | Path, how: str) -> Path:
    """Where ``part`` is: a command by name or a path; skips, or in CI fails, with ``how`` to get it."""
    found = shutil.which(part) if isinstance(part, str) else part.exists() and part
    if found:
        return Path(found)
    reason = f"{part} is missing: {how}"
    if MAY_SKIP:
        pytest.skip(reason)
    pytest.fail(reason, pytrace=False)


@pytest.fixture(scope="session")
def shared_recordings() -> Path:
    """The folder of recorded patients."""
    return require(RECORDINGS, "name the folder of recordings in VITALTWIN_DATA")


@pytest.fixture(scope="session")
def browser_type_launch_args() -> dict[str, object]:
    """Debian's Chromium in place of the one Playwright would download."""
    chromium = require("chromium", "apt-get install chromium fonts-dejavu-core")
    return {
        "executable_path": str(chromium),
        "args": [
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--no-first-run",
        ],
    }


@pytest.fixture(scope="session", autouse=True)
def quiet_environment() -> Iterator[None]:
    """No setting of the person running the tests reaches the program under test."""
    with pytest.MonkeyPatch.context() as patch:
        for name in os.environ:
            if name.startswith("VITALTWIN_"):
                patch.delenv(name)
        yield


@pytest.fixture
def home(tmp_path):
    """Environment variables that keep a run's state apart; compiled kernels are shared."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("VITALTWIN_")}
    return kept | {"XDG_STATE_HOME": str(tmp_path / "state"), "VITALTWIN_DATABASE": str(tmp_path / "home.db")}


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


SERVERS = tuple(str(ROOT / "tests" / place) for place in ("streams/kafka", "streams/history/influx", "bench"))
"""Tests that start brokers and whole services, load them and let them fail: two at once would fail each other."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what starts servers and what drives a browser, and put that last.

    Playwright's loop, once begun, keeps asyncio tests from starting theirs.
    """
    in_browser = [item for item in items if "playwright" in getattr(item, "fixturenames", ())]
    for item in in_browser:
        item.add_marker("browser")
    for item in items:
        if str(item.path).startswith(SERVERS):
            item.add_marker("servers")
    items.sort(key=in_browser.__contains__)
