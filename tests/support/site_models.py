"""Models as sites write them: one per channel with the least a model must have, and patient-level ones with all of it."""

# mypy: allow-untyped-defs, allow-untyped-calls, disable-error-code="operator"

import re
from pathlib import Path

import numpy as np

from twins.models.registry import Outputs, Quantity
from twins.records import Status
from twins.signals import BY_NAME

HALF_LIFE_US = 3_600_000_000


class LastValue:
    """The least a site's model can be: it says what was said last."""

    name = "last-value"
    version = 1
    dtype = np.dtype([("value", "f8"), ("time", "i8")])

    def update(self, state, rows, signal, time, value):
        status = np.zeros(len(rows), np.uint8)
        for place, row in enumerate(rows):
            if not np.isfinite(value[place]):
                status[place] = Status.INVALID
            elif time[place] <= state["time"][row]:
                same = time[place] == state["time"][row] and value[place] == state["value"][row]
                status[place] = Status.DUPLICATE if same else Status.LATE
            else:
                state[row] = value[place], time[place]
        return status

    def advance(self, state, rows, signal, time):
        pass

    def forecast(self, state, rows, signal, horizons_s):
        shape = (len(rows), len(horizons_s))
        return np.broadcast_to(state["value"][rows][:, None], shape), np.ones(shape)

    def explain(self, state, row, signal):
        return {"value": float(state["value"][row])}


class Telling(LastValue):
    """The same, and it tells it."""

    name = "telling"
    quantities = (("last", ""), ("never", "1"))

    def outputs(self, state, rows, signal, time):
        own = state[rows]
        known = np.where(own["time"] > 0, own["value"], np.nan)
        mean = np.stack([known, np.full(len(rows), np.nan)], axis=1)
        return mean, np.where(np.isnan(mean), np.nan, 1.0), own["time"]


class InsulinOnBoard:
    """Insulin that still works, and glucose as last measured; version 2 of it."""

    name = "insulin-on-board"
    version = 2
    level = "patient"
    dtype = np.dtype([("units", "f8"), ("units_time", "i8"), ("glucose", "f8"), ("glucose_time", "i8")])
    quantities = (Quantity("insulin_on_board", "U"), Quantity("last_glucose", "mg/dL"))

    def update(self, state, rows, signal, time, value):
        status = np.full(len(rows), Status.UNFILTERED, np.uint8)
        for place in np.flatnonzero(signal == BY_NAME["glucose"].code):
            row = rows[place]
            newest = state["glucose_time"][row]
            if not np.isfinite(value[place]):
                status[place] = Status.INVALID
            elif time[place] <= newest:
                same = time[place] == newest and value[place] == state["glucose"][row]
                status[place] = Status.DUPLICATE if same else Status.LATE
            else:
                state["glucose"][row], state["glucose_time"][row] = value[place], time[place]
                status[place] = Status.ACCEPTED
        return status

    def advance(self, state, rows, signal, time):
        for row in rows:
            if 0 < state["units_time"][row] < time:
                state["units"][row] *= 0.5 ** ((time - state["units_time"][row]) / HALF_LIFE_US)
                state["units_time"][row] = time

    def facts(self, state, rows, signal, fact):
        if fact.kind != "insulin":
            return False
        self.advance(state, rows, signal, fact.time)
        for row in rows:
            late = max(state["units_time"][row] - fact.time, 0)
            state["units"][row] += fact.value * 0.5 ** (late / HALF_LIFE_US)
            state["units_time"][row] = max(state["units_time"][row], fact.time)
        return True

    def forecast(self, state, rows, signal, horizons_s):
        nothing = np.full((len(rows), len(horizons_s)), np.nan)
        return nothing, nothing

    def explain(self, state, row, signal):
        return {"units": float(state["units"][row]), "glucose": float(state["glucose"][row])}

    def outputs(self, state, rows, signal, time):
        own = state[rows]
        mean = np.stack(
            [
                np.where(own["units_time"] > 0, own["units"], np.nan),
                np.where(own["glucose_time"] > 0, own["glucose"], np.nan),
            ],
            axis=1,
        )
        return Outputs(mean, np.full_like(mean, np.nan), np.maximum(own["units_time"], own["glucose_time"]))

    def migrate(self, version, raw):
        """Version 1 knew only of insulin."""
        if version != 1:
            return None
        old = np.frombuffer(raw, [("units", "f8"), ("units_time", "i8")])
        state = np.zeros(len(old), self.dtype)
        state["units"], state["units_time"] = old["units"], old["units_time"]
        return state


def documented():
    """The model that docs/models.md shows."""
    page = (Path(__file__).parents[2] / "docs" / "models.md").read_text()
    (source,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    names = {"__name__": "docs.models"}
    exec(compile(source, "docs/models.md", "exec"), names)  # noqa: S102 - our own page
    return names["ShockIndex"]()
