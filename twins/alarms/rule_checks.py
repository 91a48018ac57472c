"""Check rules as people write them, before they are set: every mistake with its place and what to do."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, get_type_hints

import msgspec

from twins.alarms.rule_language import Fault, Program, names_of, nearest, parse
from twins.alarms.rules import MOST_RULES, MOST_TIMES, minutes
from twins.records import Hours, Rule

__all__ = ["LONGEST_TEXT", "Flaw", "check"]

Path = tuple[str | int, ...]
LONGEST_WAIT_S, LONGEST_WINDOW_S = 3_600.0, 86_400.0
LONGEST_TEXT = 200
_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_TYPES = get_type_hints(Rule)
_FIELDS = Rule.__struct_fields__
_TOP = ("rules", "time_zone")


class Flaw(msgspec.Struct, frozen=True):
    """What is wrong at a place: ``path`` as keys and indices, ``at`` the character in the text there (−1: all of it)."""

    path: Path
    message: str
    at: int = -1

    @property
    def field(self) -> str:
        """The place in writing: ``rules[0].when``."""
        return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in self.path).lstrip(".")


def check(written: object) -> tuple[list[Rule], str, list[Flaw]]:
    """The rules and the name of the time zone in ``written`` (as read from TOML or JSON), and every flaw.

    >>> check({"rules": [{"id": "low", "when": "spo2 < 90"}]})[2][0].field
    'rules[0].when'
    """
    if not isinstance(written, Mapping):
        return [], "UTC", [Flaw((), "rules are a table with the key 'rules', a list of rules")]
    flaws = [Flaw((key,), _unknown(key, _TOP)) for key in written if key not in _TOP]
    zone = written.get("time_zone", "UTC")
    if not isinstance(zone, str) or not zone:
        flaws.append(Flaw(("time_zone",), "a time zone is a name such as 'Europe/Berlin'"))
        zone = "UTC"
    listed = written.get("rules", [])
    if not isinstance(listed, list):
        return [], zone, [*flaws, Flaw(("rules",), "'rules' is a list; in TOML each rule begins with [[rules]]")]
    if len(listed) > MOST_RULES:
        flaws.append(Flaw(("rules", MOST_RULES), f"a site may have {MOST_RULES} rules; here are {len(listed)}"))
    rules: list[Rule] = []
    seen: dict[str, int] = {}
    for at, one in enumerate(listed):
        found, rule = _rule(one, ("rules", at))
        if rule is not None and rule.id in seen:
            found.append(Flaw(("rules", at, "id"), f"rule {seen[rule.id] + 1} has the id {rule.id!r} already"))
        if rule is not None and not found:
            seen[rule.id] = at
            rules.append(rule)
        flaws += found
    return rules, zone, flaws


def _rule(one: object, path: Path) -> tuple[list[Flaw], Rule | None]:
    if not isinstance(one, Mapping):
        return [Flaw(path, "a rule is a table with at least 'id' and 'when'")], None
    flaws = [Flaw((*path, key), _unknown(key, _FIELDS)) for key in one if key not in _FIELDS]
    flaws += [Flaw(path, f"{need!r} is missing") for need in ("id", "when") if need not in one]
    values: dict[str, Any] = {}
    for name in _FIELDS:
        if name not in one:
            continue
        try:
            values[name] = msgspec.convert(one[name], _TYPES[name])
        except msgspec.ValidationError as error:
            flaws.append(Flaw((*path, name), _plain(name, str(error))))
    program, wrong = _program(values, path)
    flaws += wrong
    if not {"id", "when"} <= values.keys():
        return flaws, None
    rule = Rule(**values)
    return [*flaws, *_flaws(rule, path, program)], rule


def _program(values: dict[str, Any], path: Path) -> tuple[Program | None, list[Flaw]]:
    """The program of ``when``, if it has one, and what is wrong with the expressions."""
    programs: dict[str, Program] = {}
    flaws = []
    for name in ("when", "clear"):
        if name in values and (name == "when" or values[name]):
            try:
                programs[name] = parse(values[name])
            except Fault as fault:
                flaws.append(Flaw((*path, name), str(fault), fault.place))
    return programs.get("when"), flaws


def _flaws(rule: Rule, path: Path, program: Program | None) -> Iterator[Flaw]:
    if not _ID.fullmatch(rule.id):
        yield Flaw(
            (*path, "id"), f"{rule.id!r}: an id has small letters, digits, '-' and '_', at most 40, and begins with one"
        )
    yield from _waits(rule, path)
    if rule.hours is not None:
        yield from _hours(rule.hours, (*path, "hours"))
    yield from _texts(rule, path, program)
    for name in ("days", "wards", "ages"):
        listed = getattr(rule, name)
        if len(listed) != len(set(listed)):
            yield Flaw((*path, name), "a value is listed twice")


def _waits(rule: Rule, path: Path) -> Iterator[Flaw]:
    for name in ("for_s", "clear_after_s"):
        value = getattr(rule, name)
        if not 0.0 <= value <= LONGEST_WAIT_S:
            yield Flaw((*path, name), f"{value:g}: from 0 to {LONGEST_WAIT_S:g} s")
    if not 1 <= rule.times <= MOST_TIMES:
        yield Flaw((*path, "times"), f"{rule.times}: from 1 to {MOST_TIMES}")
    if rule.times > 1 and not rule.for_s < rule.within_s <= LONGEST_WINDOW_S:
        yield Flaw(
            (*path, "within_s"), f"'times' needs 'within_s', longer than 'for_s' and at most {LONGEST_WINDOW_S:g} s"
        )  # fmt: skip
    if rule.times == 1 and rule.within_s:
        yield Flaw((*path, "within_s"), "'within_s' needs 'times' of 2 or more")
    if rule.times > 1 and (rule.clear or rule.clear_after_s):
        name = "clear" if rule.clear else "clear_after_s"
        yield Flaw(
            (*path, name), "with 'times' the alarm ends when fewer occurrences are in the window; leave this out"
        )


def _hours(hours: Hours, path: Path) -> Iterator[Flaw]:
    for name, clock in (("from", hours.begin), ("to", hours.end)):
        try:
            minutes(clock)
        except ValueError as error:
            yield Flaw((*path, name), str(error))
    if hours.begin == hours.end:
        yield Flaw(path, "'from' and 'to' are equal; leave 'hours' out for the whole day")


def _texts(rule: Rule, path: Path, program: Program | None) -> Iterator[Flaw]:
    known = list(names_of(program)) if program else []
    for language, text in rule.text.items():
        here = (*path, "text", language)
        if not _LANGUAGE.fullmatch(language):
            yield Flaw(here, f"{language!r} is no language; use codes such as 'en' or 'de'")
        if not text.strip() or len(text) > LONGEST_TEXT or not text.isprintable():
            yield Flaw(here, f"a text is one line of 1 to {LONGEST_TEXT} characters")
        for found in _PLACEHOLDER.finditer(text):
            if program and found.group(1) not in known:
                yield Flaw(here, f"{found.group()} is no value of 'when'; known: {', '.join(known)}", found.start())


def _unknown(key: object, known: tuple[str, ...]) -> str:
    meant = nearest(str(key), list(known))
    return f"{key!r} is not known here" + (f"; did you mean {meant!r}?" if meant else f"; known: {', '.join(known)}")


def _plain(name: str, said: str) -> str:
    """What msgspec says, for somebody who does not know its words."""
    allowed = {
        "priority": "one of 'high', 'medium', 'low'", "days": "a list of 'mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'",
        "ages": "a list of 'infant', 'child', 'adult'", "hours": '{ from = "22:00", to = "06:00" }',
        "latches": "true or false", "wards": "a list of names of wards", "text": "a text per language", "times": "a whole number",
    }  # fmt: skip
    wanted = allowed.get(name) or ("a number of seconds" if name.endswith("_s") else "a text")
    return f"{wanted} is expected ({said[:1].lower()}{said[1:].replace('`', '')})"
