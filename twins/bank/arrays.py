"""The arrays of a bank: what each stores per channel or per patient, its type, and its initial value."""

from typing import Any

import numpy as np
import numpy.typing as npt

from twins.alarms import agreement
from twins.bank import layout
from twins.compiled.prefetch import aligned
from twins.signals import SIGNALS

__all__ = ["BLANK", "KEPT_PATIENTS", "KEPT_ROWS", "OF_READINGS", "PATIENTS", "ROWS", "grown", "new"]

ROWS: dict[str, tuple[str, tuple[int, ...]]] = {
    "state": ("f8", (layout.STATE_WIDTH,)),
    "watch": ("f8", (layout.WATCH_WIDTH,)),
    "ring": ("f8", (layout.RING, 2)),
    "kept": ("f8", (2, layout.STATE_WIDTH)),
    "warned": ("f4", (2, layout.WARNED_WIDTH)),
    "warned_at": ("i8", (2,)),
    "rate": ("f4", (layout.RATE_LIMITS,)),
    "rate_since": ("u4", (layout.RATE_LIMITS,)),
    "rate_phase": ("u1", (layout.RATE_LIMITS,)),
    "limit": ("f8", (layout.LIMIT_WIDTH,)),
    "judged": ("f8", (layout.JUDGED_WIDTH,)),
    "due": ("f8", (layout.HORIZONS * layout.SLOTS + 1,)),
    "forecasts": ("f4", (layout.HORIZONS * layout.SLOTS, 2)),
    "made": ("u1", (layout.MADE_WIDTH,)),
    "stretch": ("f4", (layout.HORIZONS, 2)),
    "recent": ("f4", (4,)),
    "tried": ("u2", (layout.HORIZONS,)),
    "awaiting": ("f8", (layout.AWAITING_WIDTH,)),
    "stated": ("f4", (layout.PENDING_STATEMENTS, layout.STATED_WIDTH)),
    "offsets": ("f4", (2, 2)),
    "mark": ("f8", (layout.LIMIT_CONDITIONS, 2)),
    "shown": ("f8", (2,)),
    "phase": ("u1", (layout.CONDITIONS,)),
    "since": ("i8", (layout.CONDITIONS,)),
    "signal_of_row": ("u2", ()),
    "patient_of_row": ("i8", ()),
}
PATIENTS: dict[str, tuple[str, tuple[int, ...]]] = {
    "slot": ("i4", (len(SIGNALS),)),
    "active": ("u1", ()),
    "live": ("u1", ()),
    "pending": ("u1", ()),
    "begin": ("i8", ()),
    "writer": ("u4", (len(SIGNALS),)),
    "emitted": ("i8", ()),
    "oxygen": ("f8", ()),
    "oxygen_time": ("i8", ()),
    "consciousness": ("f8", ()),
    "consciousness_time": ("i8", ()),
    "device": ("f8", (3, 2)),
    "scale2": ("u1", ()),
    "unscored": ("u1", ()),
    "parts": ("i1", (7,)),
    "stale": ("u1", (7,)),
    "scored": ("i8", ()),
    "score_phase": ("u1", (3,)),
    "score_since": ("i8", (3,)),
    "score_told": ("i1", (2,)),
    "known_parts": ("i1", (7,)),
    "agreement": ("f8", (len(agreement.PAIRS), layout.AGREEMENT_WIDTH)),
    "rule_force": ("u4", ()),
    "score_rise": ("i1", ()),
    "score_past": ("i1", (8,)),
    "score_inputs": ("u1", (8,)),
    "score_quarter": ("u4", ()),
}
KEPT_ROWS = tuple(name for name in ROWS if name != "patient_of_row")
"""Arrays with one row per channel that are in checkpoints."""
OF_READINGS = tuple(name for name in ROWS if name not in ("limit", "rate", "signal_of_row", "patient_of_row"))
"""Those that depend on readings alone."""
KEPT_PATIENTS = tuple(name for name in PATIENTS if name not in ("slot", "live"))
"""Arrays with one row per patient that are in checkpoints."""
_FILL: dict[str, float] = {
    "slot": -1, "patient_of_row": -1, "oxygen": np.nan, "consciousness": np.nan, "device": np.nan, "parts": -1, "limit": np.nan,
    "mark": np.nan, "awaiting": np.nan, "score_told": -1, "score_rise": -1, "score_past": -1, "known_parts": -1,
}  # fmt: skip


def new(name: str, dtype: npt.DTypeLike, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """An array of the bank in its initial state."""
    made = aligned(shape, dtype)
    if name in _FILL:
        made[...] = _FILL[name]
    return made


def grown(name: str, array: npt.NDArray[Any], count: int) -> npt.NDArray[Any]:
    """A longer copy; the new rows are as in ``new``."""
    grown = new(name, array.dtype, (count, *array.shape[1:]))
    grown[: len(array)] = array
    return grown


BLANK = {name: new(name, dtype, (1, *shape))[0] for name, (dtype, shape) in (ROWS | PATIENTS).items()}
"""One initial row of each array. Cached, because admitting a ward asks for it a thousand times."""
