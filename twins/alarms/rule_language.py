"""The language of rules: an expression such as ``oxygen_saturation < 92 and respiratory_rate > 24`` as a program.

A term compares one value with a number. Terms are joined by ``and``, ``or``, ``not`` and brackets, ``not`` before
``and`` before ``or``. A value is a signal's name (the twin's estimate), a name with an aspect
(``oxygen_saturation.reading``, ``.trend``, ``.quality``), ``news2`` or one of its parts (``news2.pulse``). A number may
have a unit. The program is in postfix order: terms put a truth on a stack, the other operations take it from there.
"""

import re
from collections.abc import Iterator

import msgspec

from twins.models.deterioration.news2 import PARAMETERS
from twins.signals import BY_NAME, SIGNALS, Signal
from twins.units import examples, factor

__all__ = [
    "AND", "ASPECTS", "DEEPEST", "ESTIMATE", "MOST_TERMS", "NEWS2", "NEWS2_PART", "NEWS2_RISE", "NOT", "OR", "QUALITY",
    "READING", "TERM", "TREND", "Fault", "Program", "Term", "names_of", "nearest", "parse",
]  # fmt: skip

ESTIMATE, READING, TREND, QUALITY, NEWS2, NEWS2_PART, NEWS2_RISE = range(7)
"""What a term reads."""
ASPECTS = {"estimate": ESTIMATE, "reading": READING, "trend": TREND, "quality": QUALITY}
TERM, AND, OR, NOT = range(4)
COMPARISONS = ("<", "<=", ">", ">=")
MOST_TERMS, DEEPEST = 12, 6
"""The most terms of an expression, and how deep brackets and ``not`` may nest."""
_SPELT = {"≤": "<=", "≥": ">=", "=<": "<=", "=>": ">="}
_USUAL_NAMES = {
    "spo2": "oxygen_saturation", "sao2": "oxygen_saturation", "sats": "oxygen_saturation", "hr": "heart_rate",
    "pulse": "pulse_rate", "rr": "respiratory_rate", "resp": "respiratory_rate", "sbp": "systolic_bp",
    "dbp": "diastolic_bp", "map": "mean_bp", "temp": "body_temperature", "temperature": "body_temperature",
    "bg": "glucose", "news": "news2", "ews": "news2",
}  # fmt: skip
_TOKEN = re.compile(
    r"(?P<number>[+-]?(?:\d+\.?\d*|\.\d+))|(?P<word>[A-Za-z_]\w*(?:\.\w*)*)|(?P<compare><=|>=|=<|=>|<|>|≤|≥)|(?P<bracket>[()])"
)
_UNIT = re.compile(r"\s*(?!(?:and|or|not)\b)([^\s()<>=≤≥]+)")


class Fault(ValueError):
    """What is wrong with an expression, and at which character (from 0)."""

    def __init__(self, message: str, place: int) -> None:
        super().__init__(message)
        self.place = place


class Term(msgspec.Struct, frozen=True):
    """One comparison: ``kind`` and ``code`` (signal, or part of NEWS2) of the value, and the bound in the value's unit."""

    kind: int
    code: int
    compare: int
    bound: float
    name: str
    text: str
    unit: str


class Program(msgspec.Struct, frozen=True):
    """An expression in postfix order: operations as (``TERM``, index of the term) or (``AND`` …, 0)."""

    terms: tuple[Term, ...]
    operations: tuple[tuple[int, int], ...]


def parse(text: str) -> Program:
    """The program of an expression; raises ``Fault``.

    >>> [term.text for term in parse("oxygen_saturation < 92 and not (heart_rate.trend <= 5)").terms]
    ['oxygen_saturation < 92', 'heart_rate.trend <= 5']
    """
    return _Parser(text).program()


class _Parser:
    """Recursive descent over one expression."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._terms: list[Term] = []
        self._operations: list[tuple[int, int]] = []

    def program(self) -> Program:
        if not self._text.strip():
            raise Fault("the expression is empty; write for example: oxygen_saturation < 92", 0)
        self._either(0)
        kind, word, place = self._next()
        if kind:
            raise Fault(f"unexpected {word!r}; join terms by 'and' or 'or'", place)
        return Program(tuple(self._terms), tuple(self._operations))

    def _either(self, depth: int) -> None:
        self._both(depth)
        while self._accept("or"):
            self._both(depth)
            self._operations.append((OR, 0))

    def _both(self, depth: int) -> None:
        self._single(depth)
        while self._accept("and"):
            self._single(depth)
            self._operations.append((AND, 0))

    def _single(self, depth: int) -> None:
        if depth > DEEPEST:
            raise Fault(f"brackets and 'not' may nest {DEEPEST} deep; split the rule in two", self._at)
        if self._accept("not"):
            self._single(depth + 1)
            self._operations.append((NOT, 0))
        elif self._accept("("):
            self._either(depth + 1)
            kind, word, place = self._next()
            if word != ")":
                raise Fault(f"')' is missing{f' before {word!r}' if kind else ' at the end'}", place)
        else:
            self._term()

    def _term(self) -> None:
        kind, name, place = self._next()
        if kind != "word" or name in {"and", "or"}:
            found = f"; found {name!r}" if kind else "; the expression ends here"
            raise Fault(f"a signal or news2 is expected{found}", place)
        what, code, unit = _value(name, place)
        kind, compare, at = self._next()
        if kind != "compare":
            found = f"; found {compare!r}" if kind else ""
            raise Fault(f"{name} must be compared with a number by <, <=, > or >={found}", at)
        compare = _SPELT.get(compare, compare)
        kind, number, at = self._next()
        if kind != "number":
            raise Fault(f"a number is expected after {name} {compare}{f'; found {number!r}' if kind else ''}", at)
        bound = self._bound(what, code, float(number), at)
        if len(self._terms) == MOST_TERMS:
            raise Fault(f"an expression may have {MOST_TERMS} terms; split the rule in two", place)
        said = self._text[place : self._at].strip()
        self._operations.append((TERM, len(self._terms)))
        self._terms.append(Term(what, code, COMPARISONS.index(compare), bound, name, said, unit))

    def _bound(self, what: int, code: int, number: float, place: int) -> float:
        """The number of a term in the value's own unit; checks that the value can reach it."""
        found = _UNIT.match(self._text, self._at)
        unit = ""
        if found:
            unit, self._at = found.group(1), found.end()
        if what in {QUALITY, NEWS2, NEWS2_PART, NEWS2_RISE}:
            if unit:
                raise Fault(f"this value has no unit; leave {unit!r} out", place)
            lowest, highest = {
                QUALITY: (0.0, 1.0),
                NEWS2: (0.0, 20.0),
                NEWS2_PART: (0.0, 3.0),
                NEWS2_RISE: (0.0, 20.0),
            }[what]
            if not lowest <= number <= highest:
                raise Fault(f"the value lies between {lowest:g} and {highest:g}, not at {number:g}", place)
            return number
        signal = BY_NAME[SIGNALS[code].name]
        conversion = factor(signal, unit or signal.unit)
        if conversion is None:
            raise Fault(f"{signal.name} does not come in {unit!r}; known: {', '.join(examples(signal))}", place)
        scale, offset = conversion
        if what == TREND:
            return number * scale
        own = number * scale + offset
        _reachable(signal, number, own, unit or signal.unit, place)
        return own

    def _accept(self, word: str) -> bool:
        at = self._at
        _, found, _ = self._next()
        if found == word:
            return True
        self._at = at
        return False

    def _next(self) -> tuple[str, str, int]:
        """Kind, text and place of the next token; an empty kind at the end."""
        place = self._at + len(self._text[self._at :]) - len(self._text[self._at :].lstrip())
        if place >= len(self._text):
            self._at = len(self._text)
            return "", "", place
        found = _TOKEN.match(self._text, place)
        if found is None:
            hint = "; compare with <, <=, > or >=" if self._text[place] in "=!" else ""
            raise Fault(f"{self._text[place]!r} has no meaning here{hint}", place)
        self._at = found.end()
        return str(found.lastgroup), found.group(), place


def _value(name: str, place: int) -> tuple[int, int, str]:
    """Kind, code and unit of the value with a name; raises ``Fault``."""
    base, _, aspect = name.partition(".")
    if base == "news2":
        if not aspect:
            return NEWS2, -1, ""
        if aspect == "rise":
            return NEWS2_RISE, -1, ""
        if aspect in PARAMETERS:
            return NEWS2_PART, PARAMETERS.index(aspect), ""
        raise Fault(f"news2 has no {aspect!r}; known: rise, {', '.join(PARAMETERS)}", place)
    signal = BY_NAME.get(base)
    if signal is None or not signal.filtered:
        known = [one.name for one in SIGNALS if one.filtered]
        meant = _USUAL_NAMES.get(base.lower()) or nearest(base, [*known, "news2"])
        hint = f"; did you mean {meant}?" if meant else f"; known: {', '.join(known)}, news2"
        raise Fault(f"{base!r} is no signal with a twin{hint}", place)
    if aspect and aspect not in ASPECTS:
        raise Fault(f"{base} has no {aspect!r}; known: {', '.join(ASPECTS)}", place)
    kind = ASPECTS[aspect or "estimate"]
    unit = "" if kind == QUALITY else f"{signal.unit}/min" if kind == TREND else signal.unit
    return kind, signal.code, unit


def _reachable(signal: Signal, number: float, own: float, unit: str, place: int) -> None:
    lowest, highest = signal.plausible
    if lowest <= own <= highest:
        return
    for other in examples(signal):
        scale, offset = factor(signal, other) or (1.0, 0.0)
        if other != unit and lowest <= number * scale + offset <= highest:
            raise Fault(
                f"{signal.name} lies between {lowest:g} and {highest:g} {signal.unit}; write {number:g} {other}?", place
            )
    raise Fault(f"{signal.name} lies between {lowest:g} and {highest:g} {signal.unit}, not at {number:g} {unit}", place)


def nearest(word: str, known: list[str]) -> str:
    """The known name that is nearest to a word, if it is near.

    >>> nearest("heart_rat", ["heart_rate", "glucose"])
    'heart_rate'
    """
    longer = [name for name in known if name.startswith(f"{word}_")]
    if len(longer) == 1:
        return longer[0]
    best = min(known, key=lambda name: _distance(word, name))
    return best if _distance(word, best) <= max(1, len(word) // 3) else ""


def _distance(a: str, b: str) -> int:
    """Single-character changes between two words."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        before, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (x != y))
    return row[-1]


def names_of(program: Program) -> Iterator[str]:
    """The names of the values of a program, each once."""
    yield from dict.fromkeys(term.name for term in program.terms)
