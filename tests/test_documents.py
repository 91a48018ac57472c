"""Checks the documents: settings, links and versions are right, and no path of the author's machine is in them."""

import json
import re
import shutil
import string
import subprocess
import tomllib
from functools import cache
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from streams.settings import Settings

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
MESSAGES = ROOT / "api" / "pages" / "messages"

REGISTRY = re.compile(r"https?://[^ \"']*(pypi|pythonhosted|npmjs|maven2|golang|crates|debian)", re.IGNORECASE)
MACHINE_PATH = re.compile(r"(?:^|[^A-Za-z0-9_.])/(?:home|root|work|farm|Users)/[A-Za-z0-9._-]+", re.MULTILINE)


@cache
def texts() -> dict[str, str]:
    """Every text file of the project, by path: the files known to git, or without git all files."""
    if shutil.which("git") and (ROOT / ".git").exists():
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        names = [name for name in listed.split("\0") if name]
    else:
        parts = ("api", "streams", "twins", "tests", "docs", "infra")
        names = [str(path.relative_to(ROOT)) for part in parts for path in (ROOT / part).rglob("*")]
        names += [path.name for path in ROOT.iterdir()]
    found = {}
    for name in names:
        try:
            found[name] = (ROOT / name).read_text(encoding="utf-8")
        except (UnicodeDecodeError, FileNotFoundError, IsADirectoryError):
            continue
    return found


def pins() -> dict[str, Version]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): Version(version) for name, version in pairs}


def shown(default: object) -> str:
    """A setting's default as a person would write it in the environment."""
    if isinstance(default, bool) or default is None or isinstance(default, list):
        return json.dumps(default)
    if isinstance(default, float) and default.is_integer():
        return str(int(default))
    return str(default)


def expected_rows() -> list[str]:
    fields = {
        name: (field.get_default(call_default_factory=True), field) for name, field in Settings.model_fields.items()
    }
    return [
        f"| `VITALTWIN_{name.upper()}` | `{shown(default)}` | {field.description} |"
        for name, (default, field) in fields.items()
    ]


def test_every_setting_is_documented() -> None:
    written = [line for line in (ROOT / "docs" / "settings.md").read_text().splitlines() if line.startswith("| `VITAL")]
    assert written == expected_rows(), "docs/settings.md should read:\n" + "\n".join(expected_rows())


def test_no_registry_is_named() -> None:
    assert [name for name, text in texts().items() if REGISTRY.search(text)] == []


def test_no_path_of_a_machine_is_named() -> None:
    found = {name: MACHINE_PATH.findall(text) for name, text in texts().items()}
    assert {name: hits for name, hits in found.items() if hits} == {}


def test_the_changelog_has_this_version() -> None:
    newest = re.search(r"^## \[(.+?)]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest
    assert newest[1] == PROJECT["version"]


@pytest.mark.parametrize(
    "document",
    ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/architecture.md", "docs/distributed.md", "docs/settings.md"],
)
def test_links_lead_to_existing_files(document: str) -> None:
    targets = re.findall(r"]\(([^)#\s]+)", (ROOT / document).read_text())
    local = [target for target in targets if "://" not in target]
    assert [target for target in local if not ((ROOT / document).parent / target).exists()] == []


def test_every_dependency_is_pinned_within_its_range() -> None:
    extras = PROJECT["optional-dependencies"]
    wanted = [Requirement(line) for line in [*PROJECT["dependencies"], *extras["test"], *extras["bench"]]]
    strays = [str(need) for need in wanted if pins().get(canonicalize_name(need.name)) not in need.specifier]
    assert strays == []


def placeholders(message: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(message) if name}


def test_every_language_has_all_messages() -> None:
    languages = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in MESSAGES.glob("*.json")}
    assert {"en", "de"} <= languages.keys()
    english = languages["en"]
    for language, messages in languages.items():
        assert messages.keys() == english.keys(), language
        without_sign = {"unit.1", "unit.{score}"}
        assert {key for key, text in messages.items() if not text.strip()} == without_sign
        assert [key for key in english if placeholders(messages[key]) != placeholders(english[key])] == [], language
