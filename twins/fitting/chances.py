"""How good stated chances were: reliability, Brier score, skill and calibration error.

A stated chance is a probability that an event will come; it is judged once by whether the event came (1) or not (0).
The scores of many judged chances come from sums by bin of the stated chance, so they can be added up without the chances
themselves.
"""

from collections.abc import Iterable
from functools import reduce
from operator import add

import msgspec
import numpy as np
import numpy.typing as npt

from twins.arrays import I8

__all__ = ["BINS", "NOTHING", "Reliability", "bins_of", "brier", "ece", "reliability", "skill", "total"]

BINS = 10
"""Bins of equal width: 0 to 0.1, 0.1 to 0.2, …, 0.9 to 1. A bin contains its lower edge; the last contains 1 as well."""


class Reliability(msgspec.Struct, frozen=True, kw_only=True):
    """Judged chances by bin of the stated chance; each column has ``BINS`` numbers.

    ``count`` is the number of chances, ``stated_sum`` the sum of what was stated, ``came`` how many of the events came,
    and ``squares`` the sum of (stated - came)².
    """

    count: tuple[int, ...]
    stated_sum: tuple[float, ...]
    came: tuple[int, ...]
    squares: tuple[float, ...]

    def __add__(self, other: "Reliability") -> "Reliability":
        """Both together."""
        mine, others = msgspec.structs.astuple(self), msgspec.structs.astuple(other)
        return Reliability(
            **{
                name: tuple(a + b for a, b in zip(one, more, strict=True))
                for name, one, more in zip(self.__struct_fields__, mine, others, strict=True)
            }
        )

    @property
    def statements(self) -> int:
        """How many chances were judged."""
        return sum(self.count)

    @property
    def events(self) -> int:
        """How many of the events came."""
        return sum(self.came)

    @property
    def stated(self) -> tuple[float, ...]:
        """The mean stated chance by bin; NaN where the bin is empty."""
        return tuple(_share(part, count) for part, count in zip(self.stated_sum, self.count, strict=True))

    @property
    def true(self) -> tuple[float, ...]:
        """The share of events that came, by bin; NaN where the bin is empty."""
        return tuple(_share(part, count) for part, count in zip(self.came, self.count, strict=True))

    @property
    def mean_stated(self) -> float:
        """The mean of all stated chances; NaN without any."""
        return _share(sum(self.stated_sum), self.statements)

    @property
    def base_rate(self) -> float:
        """The share of all chances whose event came; NaN without any."""
        return _share(self.events, self.statements)

    @property
    def brier(self) -> float:
        """Mean squared difference of stated chance and event (Brier 1950); 0 is perfect. NaN without any."""
        return _share(sum(self.squares), self.statements)

    @property
    def skill(self) -> float:
        """1 - Brier score / that of always stating the base rate; NaN if the event came always or never.

        1 is perfect, 0 as good as the base rate, and below 0 worse than it.
        """
        rate = self.base_rate
        return 1.0 - _share(self.brier, rate * (1.0 - rate)) if 0.0 < rate < 1.0 else float("nan")

    @property
    def ece(self) -> float:
        """Expected calibration error: mean distance of stated and true by bin, weighted by count (Naeini 2015)."""
        apart = sum(abs(stated - came) for stated, came in zip(self.stated_sum, self.came, strict=True))
        return _share(apart, self.statements)


NOTHING = Reliability(count=(0,) * BINS, stated_sum=(0.0,) * BINS, came=(0,) * BINS, squares=(0.0,) * BINS)
"""No judged chances."""


def reliability(stated: npt.ArrayLike, came: npt.ArrayLike) -> Reliability:
    """Sort judged chances into bins; ``stated`` is within 0–1 and ``came`` is 0 or 1, of the same length.

    >>> reliability([0.05, 0.7, 0.75], [0, 1, 0]).count
    (1, 0, 0, 0, 0, 0, 0, 2, 0, 0)
    """
    chance, event = np.asarray(stated, np.float64), np.asarray(came, np.float64)
    place = bins_of(chance)

    def sums(weight: npt.NDArray[np.float64]) -> tuple[float, ...]:
        return tuple(np.bincount(place, weight, BINS).tolist())

    return Reliability(
        count=tuple(np.bincount(place, minlength=BINS).tolist()),
        stated_sum=sums(chance),
        came=tuple(round(number) for number in sums(event)),
        squares=sums((chance - event) ** 2),
    )


def bins_of(stated: npt.ArrayLike) -> I8:
    """The bin of each stated chance, from 0.

    >>> bins_of([0.0, 0.0999, 0.1, 0.7, 0.9, 1.0]).tolist()
    [0, 0, 1, 7, 9, 9]
    """
    # In float32, in which chances are stated, 0.7 is slightly below 0.7; the product is rounded to 7.
    return np.minimum((np.asarray(stated, np.float32) * np.float32(BINS)).astype(np.int64), BINS - 1)


def total(parts: Iterable[Reliability]) -> Reliability:
    """All of them together."""
    return reduce(add, parts, NOTHING)


def brier(stated: npt.ArrayLike, came: npt.ArrayLike) -> float:
    """Mean squared difference of stated chance and event; NaN without any.

    >>> brier([0.5, 1.0], [0, 1])
    0.125
    """
    return reliability(stated, came).brier


def skill(stated: npt.ArrayLike, came: npt.ArrayLike) -> float:
    """1 - Brier score / that of always stating the base rate; NaN if the event came always or never.

    >>> skill([0.0, 1.0], [0, 1])
    1.0
    """
    return reliability(stated, came).skill


def ece(stated: npt.ArrayLike, came: npt.ArrayLike) -> float:
    """Expected calibration error over ten bins; NaN without any.

    >>> ece([0.25, 0.25, 0.25, 0.25], [0, 0, 0, 1])
    0.0
    """
    return reliability(stated, came).ece


def _share(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")
