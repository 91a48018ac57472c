"""A site's own models, found through the entry-point group ``vitaltwin.models``."""

from importlib.metadata import entry_points

from streams.errors import ModelUnusable
from twins.models.registry import ChannelModel

__all__ = ["GROUP", "site_models"]

GROUP = "vitaltwin.models"


def site_models() -> tuple[ChannelModel, ...]:
    """Every installed model, in order of name; an entry point names a ``ChannelModel`` or a class of one.

    Raises:
        ModelUnusable: an entry cannot be imported, is no ``ChannelModel``, or has the name of another.
    """
    found: dict[str, ChannelModel] = {}
    for entry in sorted(entry_points(group=GROUP), key=lambda one: one.name):
        try:
            loaded = entry.load()
            model = loaded() if isinstance(loaded, type) else loaded
        except Exception as error:
            raise ModelUnusable(f"model {entry.name} ({entry.value}) cannot be loaded: {error}") from error
        if not isinstance(model, ChannelModel):
            raise ModelUnusable(f"{entry.value} is no ChannelModel; twins/models/registry.py says what it must have")
        if model.name in found:
            raise ModelUnusable(f"two models are named {model.name}; names of models must differ")
        found[model.name] = model
    return tuple(found[name] for name in sorted(found))
