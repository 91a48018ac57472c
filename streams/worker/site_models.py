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
        ModelUnusable: an entry cannot be imported, is no ``SiteModel``, has an attribute that cannot be, or shares its name.
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
        model = _checked(given, entry.value)
        if model.name in found:
            raise ModelUnusable(f"two models are named {model.name}; names of models must differ")
        found[model.name] = model
    return tuple(found[name] for name in sorted(found))


def _checked(given: SiteModel, value: str) -> Model:
    try:
        model = as_model(given)
        problem = _problem(model)
    except (TypeError, ValueError) as error:
        raise ModelUnusable(f"model {given.name} ({value}): {error}; docs/models.md says what it must have") from error
    if problem:
        raise ModelUnusable(f"model {given.name} ({value}): {problem}; docs/models.md says what it must have")
    return model


def _problem(model: Model) -> str:
    """What is wrong with the attributes of a model; empty where nothing is."""
    names = [quantity.name for quantity in model.quantities]
    name: object = model.name
    if not isinstance(name, str) or not name:
        return "its name is no text"
    if model.level not in LEVELS:
        return f"its level {model.level!r} is none of {', '.join(LEVELS)}"
    if model.version < 1:
        return "its version is less than 1"
    if np.dtype(model.dtype).hasobject:
        return "its dtype holds Python objects, which no checkpoint keeps"
    if len(set(names)) < len(names):
        return "two of its quantities have the same name"
    return ""
