"""Age bands: infant, child and adult, by age in whole years."""

from typing import Literal

__all__ = ["ADULT_FROM", "CHILD_FROM", "AgeBand", "band_of"]

AgeBand = Literal["infant", "child", "adult"]
CHILD_FROM, ADULT_FROM = 1, 16
"""First birthday; the age from which NEWS2 applies (Royal College of Physicians 2017)."""


def band_of(age: int | None) -> AgeBand:
    """The band of an age in whole years; somebody without an age counts as an adult, as for NEWS2.

    >>> [band_of(age) for age in (0, 1, 15, 16, None)]
    ['infant', 'child', 'child', 'adult', 'adult']
    """
    if age is None or age >= ADULT_FROM:
        return "adult"
    return "child" if age >= CHILD_FROM else "infant"
