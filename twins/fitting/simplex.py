"""The least value of a function of a few numbers without its derivatives, by the method of Nelder and Mead."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from twins.arrays import F8

__all__ = ["Minimum", "minimise"]


class Minimum(NamedTuple):
    """The best place found, the value there and how often the function was called."""

    place: F8
    value: float
    calls: int


def minimise(
    function: Callable[[F8], float], start: F8, *, step: float = 0.4, most: int = 1_000, tolerance: float = 1e-8
) -> Minimum:
    """Walk a simplex downhill from ``start``, its other corners ``step`` along each axis.

    Ends when the corners' values are within ``tolerance`` and the corners within its root of each other, or after about
    ``most`` calls. A value that is not a number counts as infinite. Nelder & Mead 1965, with the factors that depend on
    the number of dimensions of Gao & Han 2012 (Comput Optim Appl 51:259-277).

    >>> minimise(lambda x: (x[0] - 3.0) ** 2 + 1.0, np.zeros(1)).place.round(3).tolist()
    [3.0]
    """
    size = len(start)
    wide = max(size, 2)
    expand, contract, shrink = 1.0 + 2.0 / wide, 0.75 - 0.5 / wide, 1.0 - 1.0 / wide
    corners = np.vstack([start, start + step * np.eye(size)])
    calls = 0

    def at(place: F8) -> float:
        nonlocal calls
        calls += 1
        told = function(place)
        return told if told == told else np.inf  # noqa: PLR0124 (not a number)

    values = np.array([at(corner) for corner in corners])
    while calls < most:
        order = np.argsort(values, kind="stable")
        corners, values = corners[order], values[order]
        if values[-1] - values[0] <= tolerance and np.abs(corners - corners[0]).max() <= tolerance**0.5:
            break
        middle = corners[:-1].mean(axis=0)
        away = middle - corners[-1]
        tried = middle + away
        told = at(tried)
        if told < values[0]:
            farther = middle + expand * away
            told_farther = at(farther)
            if told_farther < told:
                tried, told = farther, told_farther
        elif told >= values[-2]:
            side = contract if told < values[-1] else -contract
            nearer = middle + side * away
            told_nearer = at(nearer)
            if told_nearer < min(told, values[-1]):
                tried, told = nearer, told_nearer
            else:
                corners[1:] = corners[0] + shrink * (corners[1:] - corners[0])
                values[1:] = [at(corner) for corner in corners[1:]]
                continue
        corners[-1], values[-1] = tried, told
    best = int(np.argmin(values))
    return Minimum(corners[best].copy(), float(values[best]), calls)
