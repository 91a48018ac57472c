"""The state of a site's own models: one array a model, with a row a channel or a row a patient."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from twins.models.registry import Level, Model, SiteModel, as_model

__all__ = ["ModelStates"]

_FIRST = 64
"""Rows at the beginning: as many as the bank's own arrays have."""


class ModelStates:
    """A site's models in their order, and the state of each by its name."""

    def __init__(self, given: Iterable[SiteModel] = ()) -> None:
        self._models: tuple[Model, ...] = tuple(map(as_model, given))
        self.state: dict[str, npt.NDArray[Any]] = {model.name: np.zeros(_FIRST, model.dtype) for model in self._models}
        self.failures: list[tuple[str, Exception]] = []
        """Calls that raised since the worker looked last, by the model's name."""
        self.begun: list[tuple[str, str]] = []
        """Models that could not use what a checkpoint holds of them, and why: once a block."""

    def __iter__(self) -> Iterator[Model]:
        return iter(self._models)

    def __len__(self) -> int:
        return len(self._models)

    def of_level(self, level: Level) -> list[npt.NDArray[Any]]:
        """The arrays of models at this level."""
        return [self.state[model.name] for model in self._models if model.level == level]

    def make_room(self, level: Level, count: int) -> None:
        """Let the arrays of this level have ``count`` rows."""
        for model in self._models:
            if model.level == level:
                held = self.state[model.name]
                longer = self.state[model.name] = np.zeros(count, model.dtype)
                longer[: len(held)] = held

    def forget(self, level: Level, row: int) -> None:
        """Let one row of each array be as at the beginning."""
        for array in self.of_level(level):
            array[row] = np.zeros((), array.dtype)
