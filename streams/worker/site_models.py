"""A site's own models, found through the entry-point group ``vitaltwin.models``."""

from importlib.metadata import entry_points

import numpy as np

from streams.errors import ModelUnusable
from twins.models.registry import LEVELS, Model, SiteModel, as_model

__all__ = ["GROUP", "site_models"]

GROUP = "vitaltwin.models"


def site_models() -> tuple[Model, ...]:
    """Every installed model, by name; each entry point names a ``SiteModel`` or a class of one.

    Raises:
        ModelUnusable: an entry cannot be imported, is no ``SiteModel``, or shares its name with another.
    """
    found: dict[str, Model] = {}
    for entry in sorted(entry_points(group=GROUP), key=lambda one: one.name):
        try:
            loaded = entry.load()
            given = loaded() if isinstance(loaded, type) else loaded
        except Exception as error:
            raise ModelUnusable(f"model {entry.name} ({entry.value}) cannot be loaded: {error}") from error
        if not isinstance(given, SiteModel):
            raise ModelUnusable(f"{entry.value} is no SiteModel; docs/models.md says what it must have")
        try:
            model = as_model(given)
        except (TypeError, ValueError) as error:
            raise ModelUnusable(f"model {given.name} ({entry.value}): quantities are (name, unit); {error}") from error
        _fit(model, entry.value)
        if model.name in found:
            raise ModelUnusable(f"two models are named {model.name}; names of models must differ")
        found[model.name] = model
    return tuple(found[name] for name in sorted(found))


def _fit(model: Model, value: str) -> None:
    """Raise ``ModelUnusable`` where an attribute of the model cannot be what it is."""
    names = [quantity.name for quantity in model.quantities]
    problem = (
        f"level {model.level!r} is none of {', '.join(LEVELS)}" if model.level not in LEVELS
        else "its version is less than 1" if model.version < 1
        else "its dtype holds Python objects, which no checkpoint keeps" if np.dtype(model.dtype).hasobject
        else "two of its quantities share a name" if len(set(names)) < len(names)
        else ""
    )  # fmt: skip
    if problem:
        raise ModelUnusable(f"model {model.name} ({value}): {problem}; docs/models.md says what it must have")
