"""The channel twin as a model: a level made of a fast and a slow mode, robustly updated."""

from typing import Any

import numpy as np
import numpy.typing as npt

from twins.arrays import I8, U2
from twins.bank import layout
from twins.compiled.jit import kernel
from twins.models.channel import filter as channel
from twins.models.channel import forecast, lanes
from twins.models.registry import Level, Outputs, Quantity
from twins.records import Fact

__all__ = ["CHANNEL", "Channel", "update_rows"]

_DTYPE = np.dtype([(name, "f8") for name in layout.STATE_FIELDS])


@kernel(allocates=True)
def update_rows(
    state: npt.NDArray[np.float64],
    parameters: npt.NDArray[np.float64],
    rows: npt.NDArray[np.int64],
    signal: npt.NDArray[np.uint16],
    time: npt.NDArray[np.int64],
    value: npt.NDArray[np.float64],
    status: npt.NDArray[np.uint8],
) -> None:
    """Take readings in order of arrival into their rows."""
    lanes.update_rows(state, parameters, rows, signal, time, value, status, np.empty(lanes.SCRATCH))


@kernel()
def _advance_rows(
    state: npt.NDArray[np.float64],
    parameters: npt.NDArray[np.float64],
    rows: npt.NDArray[np.int64],
    signal: npt.NDArray[np.uint16],
    time: int,
) -> None:
    for k in range(len(rows)):
        own = state[rows[k]]
        parameter = parameters[signal[k]]
        if own[layout.COUNT] == 0.0 or time <= own[layout.T]:
            continue
        dt = (time - own[layout.T]) * 1e-6
        m0, m1, p00, p01, p11 = channel.predict(
            own[layout.M0], own[layout.M1], own[layout.P00], own[layout.P01], own[layout.P11], parameter, dt
        )  # fmt: skip
        own[layout.M0] = m0
        own[layout.M1] = m1
        own[layout.P00] = p00
        own[layout.P01] = p01
        own[layout.P11] = p11
        own[layout.T] = time


class Channel:
    """The built-in channel twin.

    The walk over a frame (``twins.step.walk.frame``) does not call ``update``. It inlines the same kernels, because a
    separate call per frame would cost a second pass over memory.
    """

    name = "channel"
    version = 2
    level: Level = "channel"
    quantities = (Quantity("level"), Quantity("trend_per_min"))
    dtype: np.dtype[Any] = _DTYPE

    def update(
        self,
        state: npt.NDArray[Any],
        rows: npt.NDArray[np.int64],
        signal: npt.NDArray[np.uint16],
        time: npt.NDArray[np.int64],
        value: npt.NDArray[np.float64],
    ) -> npt.NDArray[np.uint8]:
        """Take readings in arrival order; returns one ``Status`` each."""
        status = np.zeros(len(rows), np.uint8)
        # Readings are worked on side by side, which needs contiguous columns.
        rows, signal = np.ascontiguousarray(rows, np.int64), np.ascontiguousarray(signal, np.uint16)
        update_rows(plain(state), layout.PARAMETERS, rows, signal, time, value, status)
        return status

    def advance(
        self, state: npt.NDArray[Any], rows: npt.NDArray[np.int64], signal: npt.NDArray[np.uint16], time: int
    ) -> None:
        """Predict rows forward to ``time``; a row that has no measurement or is already there stays."""
        _advance_rows(plain(state), layout.PARAMETERS, rows, signal, time)

    def forecast(
        self,
        state: npt.NDArray[Any],
        rows: npt.NDArray[np.int64],
        signal: npt.NDArray[np.uint16],
        horizons_s: npt.NDArray[np.float64],
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Mean and standard deviation of a reading, shape (rows, horizons)."""
        mean = np.empty((len(rows), len(horizons_s)))
        sd = np.empty_like(mean)
        signal_of_row = np.zeros(len(state), np.uint16)
        signal_of_row[rows] = signal
        forecast.moments(plain(state), layout.PARAMETERS, rows, signal_of_row, horizons_s, mean, sd)
        return mean, sd

    def explain(self, state: npt.NDArray[Any], row: int, signal: int) -> dict[str, float]:
        """Estimate, spread, trend, baseline, noise scale and quality of one channel."""
        own = plain(state)[row]
        parameter = layout.PARAMETERS[signal]
        return {
            "mean": float(own[layout.M0]),
            "sd": float(np.sqrt(max(own[layout.P00], 0.0))),
            "trend_per_min": float(own[layout.TREND] * 60.0),
            "baseline": float(parameter[layout.A_MEAN] + own[layout.M1]),
            "noise_sd": float(np.sqrt(parameter[layout.A_R] * own[layout.R_SCALE] + parameter[layout.A_QUANTUM])),
            "quality": float(own[layout.QUALITY]),
            "measurements": float(own[layout.COUNT]),
        }

    def facts(self, state: npt.NDArray[Any], rows: I8, signal: U2, fact: Fact) -> bool:  # noqa: ARG002 - the interface
        """Charted facts change nothing here."""
        return False

    def outputs(self, state: npt.NDArray[Any], rows: I8, signal: U2, time: int) -> Outputs:  # noqa: ARG002
        """Level and trend in the signal's unit; the trend has no spread."""
        own = plain(state)[rows]
        begun = own[:, layout.COUNT] > 0.0
        mean = np.where(begun[:, None], np.stack([own[:, layout.M0], own[:, layout.TREND] * 60.0], axis=1), np.nan)
        sd = np.stack([np.sqrt(np.maximum(own[:, layout.P00], 0.0)), np.full(len(rows), np.nan)], axis=1)
        return Outputs(mean, sd, own[:, layout.LAST].astype(np.int64))

    def migrate(self, version: int, raw: bytes) -> npt.NDArray[Any] | None:  # noqa: ARG002
        """Rows of another version are not read: ``twins.bank.rebuild`` rebuilds them from the log."""
        return None


def plain(state: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """A structured state as the float matrix that the kernels use; a matrix is returned unchanged."""
    if state.dtype.names is None:
        return state
    return state.view(np.float64).reshape(len(state), layout.STATE_WIDTH)


CHANNEL = Channel()
