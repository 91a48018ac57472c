"""The interface of a twin: what the bank, the step, the API and the pages use of every model.

A site adds models of its own through the entry-point group ``vitaltwin.models``; each entry names a ``SiteModel``. They
run after the channel twin, on the readings that it took. ``docs/models.md`` shows a complete one, and
``tests/twins/models/test_conformance.py`` checks what every model must do.
"""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, Protocol, cast, runtime_checkable

import numpy as np
import numpy.typing as npt

from twins.arrays import F8, I8, U1, U2
from twins.records import Fact

__all__ = ["LEVELS", "Level", "Model", "Outputs", "Quantity", "SiteModel", "Twin", "as_model"]

Level = Literal["channel", "patient"]
LEVELS: tuple[Level, ...] = ("channel", "patient")
"""A model has one state per channel (one signal of one patient), or one per patient."""


class Quantity(NamedTuple):
    """One number that a model reports."""

    name: str
    unit: str = ""


class Outputs(NamedTuple):
    """What a model reports for some rows; ``mean`` and ``sd`` have the shape (rows, quantities).

    A mean of NaN reports nothing; an sd of NaN reports a number without a spread. ``time`` (rows) is the effective time
    in µs of the newest input behind each row, 0 if there is none.
    """

    mean: F8
    sd: F8
    time: I8


@runtime_checkable
class Twin(Protocol):
    """The methods of every twin, wherever its state is.

    ``rows`` are indices into ``state``. ``signal`` has the code of each row's channel; at patient level it is empty,
    except for ``forecast``. Times are µs since 1970, values are in the signal's unit.
    """

    name: str
    version: int
    level: Level
    quantities: tuple[Quantity, ...]
    """What ``outputs`` reports, in the order of its columns; empty: nothing."""

    def facts(self, state: Any, rows: I8, signal: U2, fact: Fact) -> bool:  # noqa: ANN401 - a state of the model's own
        """Take a charted fact (a meal, insulin, oxygen, …) of the patient of ``rows``; whether it changed anything."""

    def explain(self, state: Any, row: int, signal: int) -> dict[str, float]:  # noqa: ANN401
        """The model's estimates for one row, as plain numbers; ``signal`` is -1 at patient level."""

    def outputs(self, state: Any, rows: I8, signal: U2, time: int) -> Outputs:  # noqa: ANN401
        """What the model reports for ``rows`` at ``time``; changes nothing."""


@runtime_checkable
class SiteModel(Protocol):
    """What a site's model must have; ``as_model`` adds the rest of ``Model``.

    Columns in, columns out: no clock, no I/O, and no memory outside ``state``. A state of zero bytes is the initial
    state.
    """

    name: str
    version: int
    dtype: np.dtype[Any]

    def update(self, state: npt.NDArray[Any], rows: I8, signal: U2, time: I8, value: F8) -> U1:
        """Take readings in arrival order (a row may repeat); returns one ``Status`` each."""

    def advance(self, state: npt.NDArray[Any], rows: I8, signal: U2, time: int) -> None:
        """Move rows forward to ``time`` without a reading."""

    def forecast(self, state: npt.NDArray[Any], rows: I8, signal: U2, horizons_s: F8) -> tuple[F8, F8]:
        """Mean and sd of a reading of ``signal``, shape (rows, horizons), after each row's newest; NaN: no forecast."""

    def explain(self, state: npt.NDArray[Any], row: int, signal: int) -> dict[str, float]:
        """As in ``Twin``."""


@runtime_checkable
class Model(Twin, SiteModel, Protocol):
    """A twin whose state is stored by the bank."""

    def migrate(self, version: int, raw: bytes) -> npt.NDArray[Any] | None:
        """The rows of a checkpoint that another ``version`` wrote, converted to this version; ``None``: begin again."""


def as_model(given: SiteModel) -> Model:
    """The model with defaults for what it does not have: channel level, no outputs, no facts, no migration.

    Raises ``TypeError`` or ``ValueError`` if its quantities are not pairs (name, unit), or if it has quantities but no
    ``outputs``.
    """
    if isinstance(given, Model) and all(isinstance(one, Quantity) for one in given.quantities):
        return given
    return _Completed(given)


def _quantity(given: Any) -> Quantity:  # noqa: ANN401 - whatever a site wrote
    if isinstance(given, str):
        raise TypeError(f"{given!r} is a name without a unit")
    return Quantity(*map(str, given))


class _Completed:
    """A site's model with the defaults."""

    def __init__(self, given: SiteModel) -> None:
        self.name = given.name
        self.version = given.version
        self.dtype = given.dtype
        self.level: Level = getattr(given, "level", "channel")
        self.update, self.advance = given.update, given.advance
        self.forecast, self.explain = given.forecast, given.explain
        self._facts = cast("Callable[..., bool] | None", getattr(given, "facts", None))
        self._outputs = cast("Callable[..., Outputs] | None", getattr(given, "outputs", None))
        self._migrate = cast("Callable[..., npt.NDArray[Any] | None] | None", getattr(given, "migrate", None))
        self.quantities = tuple(map(_quantity, getattr(given, "quantities", ())))
        if self.quantities and self._outputs is None:
            raise ValueError("it names quantities and has no outputs")

    def facts(self, state: Any, rows: I8, signal: U2, fact: Fact) -> bool:  # noqa: ANN401
        return bool(self._facts(state, rows, signal, fact)) if self._facts else False

    def outputs(self, state: Any, rows: I8, signal: U2, time: int) -> Outputs:  # noqa: ANN401
        if self._outputs:
            return self._outputs(state, rows, signal, time)
        return Outputs(np.empty((len(rows), 0)), np.empty((len(rows), 0)), np.zeros(len(rows), np.int64))

    def migrate(self, version: int, raw: bytes) -> npt.NDArray[Any] | None:
        return self._migrate(version, raw) if self._migrate else None
