"""The state of a site's own models: one array per model, with one row per channel or per patient."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from twins.models.registry import Level, Model, SiteModel, as_model

__all__ = ["ModelStates"]

_FIRST = 64
"""Initial rows, as many as the bank's own arrays have."""


class ModelStates:
    """A site's models in their order, and the state of each by its name."""

    def __init__(self, given: Iterable[SiteModel] = ()) -> None:
        self._models: tuple[Model, ...] = tuple(map(as_model, given))
        self.state: dict[str, npt.NDArray[Any]] = {model.name: np.zeros(_FIRST, model.dtype) for model in self._models}
        self.failures: list[tuple[str, Exception]] = []
        """Calls that raised since the worker last looked, by the model's name."""
        self.begun: list[tuple[str, str]] = []
        """Models that could not use their part of a checkpoint, and why, once per block."""

    def __iter__(self) -> Iterator[Model]:
        return iter(self._models)

    def __len__(self) -> int:
        return len(self._models)

    def of_level(self, level: Level) -> list[npt.NDArray[Any]]:
        """The arrays of models of this level."""
        return [self.state[model.name] for model in self._models if model.level == level]

    def make_room(self, level: Level, count: int) -> None:
        """Grow the arrays of this level to ``count`` rows."""
        for model in self._models:
            if model.level == level:
                held = self.state[model.name]
                longer = self.state[model.name] = np.zeros(count, model.dtype)
                longer[: len(held)] = held

    def forget(self, level: Level, row: int) -> None:
        """Reset one row of each array."""
        for array in self.of_level(level):
            array[row] = np.zeros((), array.dtype)
