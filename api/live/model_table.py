"""What a site's own models tell of each patient, taken out of the columns of an outcome."""

from math import isfinite

import msgspec

from api.live.protocol import ModelEntry
from twins.records import ModelOutputs
from twins.signals import SIGNALS

__all__ = ["Told", "told_by", "told_on_the_wire"]


class Told(msgspec.Struct, frozen=True):
    """What one model tells of one patient, or of one signal of the patient (``signal`` is empty at patient level).

    Times in µs: ``time`` of the newest input behind it, ``emitted`` when it was told. ``outputs`` are (name, unit, mean, sd);
    ``sd`` is ``None`` where the number has no spread.
    """

    model: str
    version: int
    signal: str
    time: int
    emitted: int
    outputs: list[tuple[str, str, float, float | None]]


def told_by(columns: ModelOutputs) -> dict[str, list[Told]]:
    """By patient what the model tells now; nothing where it has ceased to tell anything."""
    found: dict[str, list[Told]] = {patient: [] for patient in columns.patients}
    rows = columns.rows
    codes = rows["signal"].tolist() if columns.level == "channel" else [-1] * len(rows["patient"])
    for place, code, time, means, sds in zip(
        rows["patient"].tolist(), codes, rows["time"].tolist(), rows["mean"].tolist(), rows["sd"].tolist(), strict=True
    ):
        if code >= len(SIGNALS) or place >= len(columns.patients):
            continue
        outputs = [
            (name, unit, mean, sd if isfinite(sd) else None)
            for (name, unit), mean, sd in zip(columns.quantities, means, sds, strict=True)
            if isfinite(mean)
        ]
        signal = SIGNALS[code].name if code >= 0 else ""
        told = Told(columns.model, columns.version, signal, time or columns.emitted, columns.emitted, outputs)
        found[columns.patients[place]].append(told)
    return found


def told_on_the_wire(every: list[Told]) -> list[ModelEntry]:
    """The same for ``/ws``."""
    return [
        ModelEntry(told.model, told.time // 1000, told.outputs, told.signal or msgspec.UNSET) for told in every
    ]  # fmt: skip
