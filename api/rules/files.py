"""Rules read from TOML or JSON, with the line of every mistake."""

import json
import re
import tomllib

import msgspec

from api.rules.zones import UnknownZone, zone_named
from twins.alarms.rule_checks import Flaw, check
from twins.records import Rule, Zone

__all__ = ["Finding", "Read", "findings", "read_rules"]

_HEADER = re.compile(r"\s*(\[\[?)\s*([^\]]+?)\s*\]")
_KEY = re.compile(r"\s*(?:\"([^\"]+)\"|'([^']+)'|([A-Za-z0-9_.-]+))\s*=")
_AT_LINE = re.compile(r"\(at line (\d+), column (\d+)\)")


class Finding(msgspec.Struct, frozen=True, omit_defaults=True):
    """One mistake: where (``field``, ``line`` of the file, ``character`` of the text there, from 1), and what to do."""

    detail: str
    field: str = ""
    line: int | None = None
    character: int | None = None

    def __str__(self) -> str:
        """In one line, as compilers write it."""
        place = ", ".join(
            part for part in (
                f"line {self.line}" if self.line else "", self.field,
                f"character {self.character}" if self.character else "",
            ) if part
        )  # fmt: skip
        return f"{place}: {self.detail}" if place else self.detail


class Read(msgspec.Struct, frozen=True):
    """What was read: the rules and their time zone, valid only if there are no ``findings``."""

    rules: list[Rule]
    zone: Zone
    findings: list[Finding]


def read_rules(text: str, now: int, *, as_json: bool = False) -> Read:
    """Read rules from the text of a TOML (or JSON) file; ``now`` (µs) is the service's time."""
    try:
        written = json.loads(text) if as_json else tomllib.loads(text)
    except json.JSONDecodeError as error:
        return Read([], Zone(), [Finding(f"this is no JSON: {error.msg}", line=error.lineno, character=error.colno)])
    except tomllib.TOMLDecodeError as error:
        said = str(error)
        place = _AT_LINE.search(said)
        line, column = (int(place[1]), int(place[2])) if place else (None, None)
        return Read(
            [], Zone(), [Finding(f"this is no TOML: {_AT_LINE.sub('', said).strip()}", line=line, character=column)]
        )
    return findings(written, now, {} if as_json else _lines(text))


def findings(written: object, now: int, lines: dict[tuple[str | int, ...], int] | None = None) -> Read:
    """Check what was read; ``lines`` says in which line the key of each path is."""
    rules, name, flaws = check(written)
    zone = Zone()
    try:
        zone = zone_named(name, now)
    except UnknownZone as error:
        flaws.append(Flaw(("time_zone",), str(error)))
    return Read(rules, zone, [_finding(flaw, lines or {}) for flaw in flaws])


def _finding(flaw: Flaw, lines: dict[tuple[str | int, ...], int]) -> Finding:
    path = flaw.path
    while path and path not in lines:
        path = path[:-1]
    return Finding(flaw.message, flaw.field, lines.get(path), flaw.at + 1 if flaw.at >= 0 else None)


def _lines(text: str) -> dict[tuple[str | int, ...], int]:
    """The line of each key of a TOML file, as far as a look at the lines tells: keys of inline tables are left out."""
    found: dict[tuple[str | int, ...], int] = {}
    base: tuple[str | int, ...] = ()
    counts: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        header = _HEADER.match(line)
        if header:
            name = header[2].strip("\"' ")
            if header[1] == "[[":
                counts[name] = counts.get(name, -1) + 1
                base = (name, counts[name])
            else:
                first, *rest = (part.strip("\"' ") for part in name.split("."))
                base = (first, counts[first], *rest) if first in counts else (first, *rest)
            found.setdefault(base, number)
        elif key := _KEY.match(line):
            parts = [key[1] or key[2]] if key[1] or key[2] else key[3].split(".")
            found.setdefault((*base, *parts), number)
    return found
