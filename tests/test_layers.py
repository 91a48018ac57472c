"""Imports between the packages go one way, and ``twins`` stays pure."""

import shutil
import subprocess
import sys
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("api", "streams", "twins")

NAMED = (
    "api/cli", "api/doors", "api/http", "api/intake", "api/live", "streams/embedded", "streams/kafka", "twins/models",
    "twins/models/channel", "twins/models/deterioration",
)  # fmt: skip
"""Packages named in contracts: a contract on a missing package is an error."""

PURE = {
    "__future__",
    "abc",
    "bisect",
    "collections",
    "contextlib",
    "dataclasses",
    "enum",
    "functools",
    "hashlib",
    "heapq",
    "itertools",
    "math",
    "operator",
    "re",
    "statistics",
    "types",
    "typing",
}
"""Modules of the standard library without clock, file, socket, thread or random numbers."""

ONLY_IN = {
    "numba": "twins.compiled",
    "fastapi": "api",
    "sqlalchemy": "api.accounts",
    "alembic": "api.accounts",
    "typer": "api.cli",
    "prometheus_client": "api",
}
"""Libraries that only one place may import."""


@pytest.fixture(scope="module")
def imports() -> dict[str, set[str]]:
    """The external imports of each module, by top-level name."""
    graph = grimp.build_graph(*ROOMS, include_external_packages=True, cache_dir=None)
    modules = [module for module in graph.modules if module.split(".")[0] in ROOMS]
    return {
        module: {name.split(".")[0] for name in graph.find_modules_directly_imported_by(module)} - set(ROOMS)
        for module in modules
    }


def lint_imports(where: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as main; main()", "--no-cache"]
    return subprocess.run(
        command, cwd=where, capture_output=True, text=True, check=False, env={"PYTHONPATH": str(where)}
    )


def test_contracts_are_kept() -> None:
    outcome = lint_imports(ROOT)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr


@pytest.mark.parametrize(
    ("room", "line", "contract"),
    [
        ("twins", "import streams", "never back"),
        ("streams", "import api", "never back"),
        ("twins", "import time", "reads no clock"),
        ("twins", "import asyncio", "reads no clock"),
        ("streams", "import fastapi", "stays in api"),
        ("api", "import sqlite3", "not by SQL of its own"),
        ("api/intake", "import api.doors", "every door ends at intake"),
        ("api/live", "import api.doors", "know no door"),
        ("api/http", "import api.doors", "know no door"),
        ("twins/models/channel", "import twins.models.deterioration", "not look inside another model"),
        ("twins/models/deterioration", "import twins.models.channel", "not look inside another model"),
        ("streams/kafka", "import streams.embedded", "do not know each other"),
    ],
)
def test_contracts_find_violations(room: str, line: str, contract: str, tmp_path: Path) -> None:
    for name in (*ROOMS, *NAMED):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / room / "stray.py").write_text(line + "\n")
    outcome = lint_imports(tmp_path)
    broken = [words for words in outcome.stdout.splitlines() if words.endswith("BROKEN")]
    assert outcome.returncode == 1
    assert any(contract in words for words in broken), outcome.stdout + outcome.stderr


def test_twins_import_only_numerics(imports: dict[str, set[str]]) -> None:
    allowed = PURE | {"numpy", "numba", "msgspec"}
    imports = {**imports, "twins.zones": imports["twins.zones"] - {"datetime", "zoneinfo"}}
    strays = {module: names - allowed for module, names in imports.items() if module.split(".")[0] == "twins"}
    assert {module: names for module, names in strays.items() if names} == {}


@pytest.mark.parametrize(("library", "home"), ONLY_IN.items())
def test_a_library_is_imported_only_in_its_place(library: str, home: str, imports: dict[str, set[str]]) -> None:
    users = {module for module, names in imports.items() if library in names}
    assert {module for module in users if not f"{module}.".startswith(f"{home}.")} == set()


IO = {
    "asyncio",
    "http",
    "httpx",
    "io",
    "os",
    "pathlib",
    "socket",
    "sqlite3",
    "starlette",
    "subprocess",
    "threading",
    "time",
}


def test_decoders_do_no_io(imports: dict[str, set[str]]) -> None:
    """A protocol's ``decode`` module turns bytes into readings; its ``door`` communicates with the device."""
    decoders = {module: names & IO for module, names in imports.items() if module.split(".")[-1] == "decode"}
    assert {module: names for module, names in decoders.items() if names} == {}


def room_of(module: str) -> tuple[str, str]:
    """Package and room of a module: a folder, or a file beside the folders."""
    package, _, rest = module.partition(".")
    name = rest.partition(".")[0]
    return package, name if (ROOT / package / name).is_dir() else f"{name}.py"


def test_the_drawing_agrees_with_the_imports() -> None:
    """The packages and arrows in docs/architecture.md agree with the imports."""
    drawn: dict[str, dict[str, str]] = {}
    package = ""
    for line in (ROOT / "docs" / "architecture.md").read_text().splitlines():
        if line.startswith("### `"):
            package = line.split("`")[1].rstrip("/")
            drawn[package] = {}
        elif line.startswith("| `") and package:
            room, _, uses = (cell.strip() for cell in line.strip("|").rsplit("|", 2))
            drawn[package][room.strip("`")] = uses
        elif line.startswith("## "):
            package = ""
    graph = grimp.build_graph(*ROOMS, cache_dir=None)
    found: dict[str, dict[str, str]] = {name: {} for name in ROOMS}
    uses_of: dict[tuple[str, str], set[str]] = {}
    for module in graph.modules - set(ROOMS):
        here = room_of(module)
        uses = uses_of.setdefault(here, set())
        for other in graph.find_modules_directly_imported_by(module) - set(ROOMS):
            there = room_of(other)
            if there != here and there[0] == here[0]:
                uses.add(there[1])
    for (name, room), uses in uses_of.items():
        found[name][room] = ", ".join(sorted(uses)) or "–"
    assert drawn == found
