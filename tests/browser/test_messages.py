"""The message files: every text in every language, and no unused keys."""

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.accounts.rights import Role
from twins.alarms.conditions import CHANNEL_CONDITIONS, SCORE_CONDITIONS
from twins.alarms.explain import FAULTS
from twins.alarms.table import EVENTS
from twins.models.deterioration.news2 import PARAMETERS
from twins.signals import SIGNALS

CONDITIONS = [condition.name for condition in (*CHANNEL_CONDITIONS, *SCORE_CONDITIONS)]
PAGES = Path(__file__).parents[2] / "api" / "pages"
LANGUAGES = sorted(path.stem for path in (PAGES / "messages").glob("*.json"))
SOURCES = [
    *(path for path in PAGES.rglob("*.js") if "vendor" not in path.parts),
    *PAGES.glob("*.html"),
    *PAGES.rglob("*.part"),
]

# t("a.b"), known("a.b", …), data-t="a.b", and keys kept in tables; then keys built from a value: `a.b.${…}`.
LITERAL = re.compile(r"""["`]([a-z0-9_]+(?:\.[A-Za-z0-9_\-]+)+)["`]""")
BUILT = re.compile(r"`((?:[a-z0-9_]+\.)+)\$\{")


def messages(language: str) -> dict[str, str]:
    """The messages of a language; a key given twice is an error."""

    def once(pairs: list[tuple[str, str]]) -> dict[str, str]:
        keys = [key for key, _ in pairs]
        assert len(keys) == len(set(keys)), "a key is given twice"
        return dict(pairs)

    found: dict[str, str] = json.loads(
        (PAGES / "messages" / f"{language}.json").read_text("utf-8"), object_pairs_hook=once
    )
    return found


def stem(key: str) -> str:
    """A key without its plural form."""
    return re.sub(r"\.(one|other)$", "", key)


def used() -> Iterator[str]:
    """The keys used in the pages."""
    spaces = {key.split(".")[0] for key in messages("en")}
    for source in SOURCES:
        for key in LITERAL.findall(source.read_text("utf-8")):
            if key.split(".")[0] in spaces and not key.endswith((".js", ".json", ".css", ".html")):
                yield key


def test_there_are_two_languages() -> None:
    assert LANGUAGES == ["de", "en"]


def test_languages_have_the_same_keys_in_the_same_order() -> None:
    assert list(messages("de")) == list(messages("en"))


@pytest.mark.parametrize("language", LANGUAGES)
def test_placeholders_agree(language: str) -> None:
    def places(text: str) -> set[str]:
        return set(re.findall(r"\{(\w+)\}", text))

    english = messages("en")
    differing = {key for key, text in messages(language).items() if places(text) != places(english[key])}
    assert not differing


def test_every_key_used_is_there() -> None:
    # Alarm conditions have the same dotted form in code but are not keys.
    known = {stem(key) for key in messages("en")} | set(CONDITIONS)
    assert {key for key in used() if stem(key) not in known} == set()


def test_no_key_is_left_over() -> None:
    text = "".join(source.read_text("utf-8") for source in SOURCES)
    built = tuple(BUILT.findall(text))
    named = set(LITERAL.findall(text)) | set(re.findall(r'data-t(?:-\w+)?="([^"]+)"', text))
    # The service's own answers use the sentences, see api/live/sentence.py.
    left = {key for key in messages("en") if stem(key) not in named and not key.startswith((*built, "sentence."))}
    assert left == set()


@pytest.mark.parametrize(
    ("prefix", "names"),
    [
        ("signal", [signal.name for signal in SIGNALS]),
        ("short", [signal.name for signal in SIGNALS]),
        ("unit", [signal.unit for signal in SIGNALS]),
        ("alarm", CONDITIONS),
        ("sentence", EVENTS),
        ("why.fault", list(FAULTS.values())),
        ("explain.fault", list(FAULTS.values())),
        ("news2.input", PARAMETERS),
        ("news2.short", PARAMETERS),
        ("role", [role.value for role in Role]),
        ("priority", ["high", "medium", "low"]),
        ("presence", ["on", "latched", "acknowledged", "off"]),
        ("consciousness", "ACVPU"),
        ("news2.risk", ["unknown", "low", "low-medium", "medium", "high"]),
    ],
)
def test_every_word_of_the_service_has_its_message(prefix: str, names: list[str]) -> None:
    assert [name for name in names if f"{prefix}.{name}" not in messages("en")] == []


def test_pages_carry_nothing_inline_and_fetch_nothing_elsewhere() -> None:
    for source in SOURCES:
        text = source.read_text("utf-8")
        assert not re.search(r"""(?:src|href)=["']?(?:https?:)?//|from ["']https?:|import\(["']https?:""", text), source
        assert not re.search(r"innerHTML|insertAdjacentHTML|document\.write|\beval\(", text), source
        if source.suffix in {".html", ".part"}:
            assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", text), source


def test_vendored_files_are_what_their_table_says() -> None:
    table = (PAGES / "vendor" / "README.md").read_text("utf-8")
    rows = re.findall(r"^\| (\S+) \|.*`([0-9a-f]{64})` \|$", table, re.MULTILINE)
    assert {name for name, _ in rows} == {path.name for path in (PAGES / "vendor").iterdir()} - {"README.md"}
    for name, digest in rows:
        assert hashlib.sha256((PAGES / "vendor" / name).read_bytes()).hexdigest() == digest, name
