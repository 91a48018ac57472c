"""The interface of a model and the register of those in use.

A site adds models of its own through the entry-point group ``vitaltwin.models`` (each entry names a ``ChannelModel``);
they run beside the built-in channel twin on every reading it took and are kept in its checkpoints. What they believe is
not shown on the pages yet. ``tests/twins/models/test_conformance.py`` holds what every model must do.
"""

from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

__all__ = ["ChannelModel"]


@runtime_checkable
class ChannelModel(Protocol):
    """A model with one state per channel. Columns in, columns out; no clock, no I/O, no state outside ``state``.

    ``rows`` are places in ``state``; ``signal`` is each reading's code; times are µs, values in the signal's unit.
    """

    name: str
    version: int
    dtype: np.dtype[Any]

    def update(
        self,
        state: npt.NDArray[Any],
        rows: npt.NDArray[np.int64],
        signal: npt.NDArray[np.uint16],
        time: npt.NDArray[np.int64],
        value: npt.NDArray[np.float64],
    ) -> npt.NDArray[np.uint8]:
        """Take readings in arrival order (a row may repeat); returns one ``Status`` each."""

    def advance(
        self,
        state: npt.NDArray[Any],
        rows: npt.NDArray[np.int64],
        signal: npt.NDArray[np.uint16],
        time: int,
    ) -> None:
        """Move rows forward to ``time`` without a measurement."""

    def forecast(
        self,
        state: npt.NDArray[Any],
        rows: npt.NDArray[np.int64],
        signal: npt.NDArray[np.uint16],
        horizons_s: npt.NDArray[np.float64],
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Mean and standard deviation of a reading, shape (rows, horizons), after each row's newest measurement."""

    def explain(self, state: npt.NDArray[Any], row: int, signal: int) -> dict[str, float]:
        """What the model believes of one channel, in plain figures."""
