"""Who a record is about: which names may stand for a patient. Every door asks here, Kafka's too.

The letter é has two forms in Unicode that look the same: one character, or an e and an accent. Two ids that differ only
so would be two patients whom nobody can tell apart. So names are kept in the composed form, NFC (Unicode Standard Annex
15): doors bring what arrives into it.
"""

from collections.abc import Iterable
from unicodedata import normalize

__all__ = ["LONGEST", "all_composed", "composed", "flaw"]

LONGEST = 128
"""Characters of an id."""


def composed(name: str) -> str:
    r"""A name in the one form in which names are kept, NFC.

    >>> composed("Rene\u0301") == "Ren\u00e9"
    True
    """
    return name if name.isascii() else normalize("NFC", name)


def all_composed(names: Iterable[str]) -> list[str]:
    """Names as ``composed``; most often there is nothing to do, which is asked of all at once."""
    held = list(names)
    return held if "".join(held).isascii() else list(map(composed, held))


def flaw(name: str, what: str = "a patient's id") -> str:
    """What is wrong with a name that becomes part of addresses, empty when nothing is.

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
