"""The deterioration twin with the interface of ``twins.models.registry``.

Its state is in the bank's columns of patients, so ``state`` is a ``Bank`` and ``rows`` are patients' numbers. The step
calls the scoring itself (``model.evaluate``) directly, because it also changes alarms.
"""

import numpy as np

from twins.arrays import I8, U2
from twins.bank.bank import Bank
from twins.models.deterioration import facts, news2
from twins.models.deterioration.model import inputs, score_of
from twins.models.registry import Level, Outputs, Quantity
from twins.records import Fact

__all__ = ["DETERIORATION", "Deterioration"]


class Deterioration:
    """NEWS2 of each patient."""

    name = "deterioration"
    version = 1
    level: Level = "patient"
    quantities = (Quantity("news2", "{score}"),)

    def facts(self, state: Bank, rows: I8, signal: U2, fact: Fact) -> bool:  # noqa: ARG002 - the interface
        """Take oxygen or consciousness; whether the fact is one of these and not older than what was charted before."""
        changed = [facts.chart(state, number, fact) for number in rows.tolist()]
        return any(changed)

    def explain(self, state: Bank, row: int, signal: int) -> dict[str, float]:  # noqa: ARG002
        """The points of each input that counts."""
        parts = zip(news2.PARAMETERS, state.parts[row].tolist(), strict=True)
        return {str(name): float(points) for name, points in parts if points >= 0}

    def outputs(self, state: Bank, rows: I8, signal: U2, time: int) -> Outputs:  # noqa: ARG002
        """The present score, which has no spread, and the time of its newest vital sign."""
        _, age = inputs(state, rows, time)
        mean, measured = np.full((len(rows), 1), np.nan), np.zeros(len(rows), np.int64)
        for at, number in enumerate(rows.tolist()):
            score = score_of("", state.parts[number], age[at], time)
            if score.parts:
                mean[at], measured[at] = score.total, score.measured
        return Outputs(mean, np.full_like(mean, np.nan), measured)


DETERIORATION = Deterioration()
