"""The program's own folders on this machine."""

import os
from pathlib import Path

__all__ = ["cache_folder", "state_folder"]


def state_folder() -> Path:
    """For what must survive: databases without a given path, local keys, spilled points. ``$XDG_STATE_HOME/vitaltwin``."""
    return _folder("XDG_STATE_HOME", ".local/state")


def cache_folder() -> Path:
    """For what may be deleted at any time: compiled kernels. ``$XDG_CACHE_HOME/vitaltwin``."""
    return _folder("XDG_CACHE_HOME", ".cache")


def _folder(variable: str, otherwise: str) -> Path:
    given = os.environ.get(variable, "")
    return (Path(given) if given else Path.home() / otherwise) / "vitaltwin"
