"""The probability that a channel crosses its limits within ``PREDICT_WITHIN_S``, as its process says, uncorrected."""

import math

from twins.arrays import F4, F8, I8, U2
from twins.bank.layout import (
    A_FAST,
    A_MEAN,
    A_S11,
    A_S12,
    A_S22,
    A_SLOW,
    COUNT,
    LOW,
    M0,
    M1,
    P00,
    P01,
    P11,
    PREDICT_WITHIN_S,
)
from twins.compiled.jit import kernel
from twins.models.channel import passage

__all__ = ["raw_chances"]

_FEWEST = 6.0
"""Measurements that a channel needs before it states a chance."""


@kernel()
def raw_chances(
    rows: I8, signal_of_row: U2, state: F8, limit: F8, parameters: F8, scratch: F4, stated: F8
) -> None:  # fmt: skip
    """Write the probability for each row (low and high limit); NaN without a limit or with few measurements."""
    for i in range(len(rows)):
        own, parameter = state[rows[i]], parameters[signal_of_row[rows[i]]]
        for side in range(2):
            stated[i, side] = math.nan
            bound = limit[rows[i], LOW + side]
            if math.isnan(bound) or own[COUNT] < _FEWEST:
                continue
            stated[i, side], _ = passage.crossing(
                own[M0], own[M1], own[P00], own[P01], own[P11], parameter[A_MEAN], parameter[A_FAST], parameter[A_SLOW],
                parameter[A_S11], parameter[A_S12], parameter[A_S22], bound, 2.0 * side - 1.0, PREDICT_WITHIN_S, scratch,
            )  # fmt: skip
