"""Patient ids: which names are allowed. Every door checks here, Kafka's too.

The letter é has two forms in Unicode that look the same: one character, or an e and an accent. Two ids that differ only in
this would be two patients that nobody can distinguish. So names are stored in the composed form, NFC (Unicode Standard
Annex 15); doors convert incoming names to it.
"""

from collections.abc import Iterable
from unicodedata import normalize

__all__ = ["LONGEST", "all_composed", "composed", "flaw"]

LONGEST = 128
"""Most characters of an id."""


def composed(name: str) -> str:
    r"""A name in the form in which names are stored, NFC.

    >>> composed("Rene\u0301") == "Ren\u00e9"
    True
    """
    return name if name.isascii() else normalize("NFC", name)


def all_composed(names: Iterable[str]) -> list[str]:
    """Names as ``composed``; usually nothing needs to change, which is checked for all at once."""
    given = list(names)
    return given if "".join(given).isascii() else list(map(composed, given))


def flaw(name: str, what: str = "a patient's id") -> str:
    """What is wrong with a name that becomes part of addresses; empty if nothing is.

    >>> flaw("bed 3"), flaw(" bed")
    ('', "a patient's id has no space at its ends")
    """
    if not 0 < len(name) <= LONGEST:
        return f"{what} has 1 to {LONGEST} characters"
    if name != name.strip():
        return f"{what} has no space at its ends"
    if not name.isprintable():
        return f"{what} has no control characters, joiners or spaces other than the plain one; a label may"
    if composed(name) != name:
        return f"{what} is in Unicode's composed form, NFC"
    if "/" in name or name in {".", ".."}:
        return f"{what} has no slash and is not . or .."
    return ""
