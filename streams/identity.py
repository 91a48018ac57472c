"""Who a record is about: which names may stand for a patient. Every door asks here, Kafka's too."""

__all__ = ["LONGEST", "flaw"]

LONGEST = 128
"""Characters of an id."""


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
        return f"{what} has no control characters"
    if "/" in name or name in {".", ".."}:
        return f"{what} has no slash and is not . or .."
    return ""
