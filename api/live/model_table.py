"""What a site's own models report of each patient, taken from the columns of an outcome."""

from math import isfinite

import msgspec

from api.live.protocol import ModelEntry
from twins.records import ModelOutputs
from twins.signals import SIGNALS

__all__ = ["ModelReport", "entries_of", "reports_by_patient"]


class ModelReport(msgspec.Struct, frozen=True):
    """What one model reports of one patient, or of one signal of the patient (``signal`` is empty at patient level).

    Times in µs: ``time`` of the newest input behind it, ``emitted`` when the model reported it. ``outputs`` are (name, unit,
    mean, sd); ``sd`` is ``None`` if the number has no spread.
    """

    model: str
    version: int
    signal: str
    time: int
    emitted: int
    outputs: list[tuple[str, str, float, float | None]]


def reports_by_patient(columns: ModelOutputs) -> dict[str, list[ModelReport]]:
    """What the model reports now, by patient; empty for a patient of whom it no longer reports anything."""
    found: dict[str, list[ModelReport]] = {patient: [] for patient in columns.patients}
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
        report = ModelReport(columns.model, columns.version, signal, time or columns.emitted, columns.emitted, outputs)
        found[columns.patients[place]].append(report)
    return found


def entries_of(every: list[ModelReport]) -> list[ModelEntry]:
    """The same for ``/ws``."""
    return [
        ModelEntry(one.model, one.time // 1000, one.outputs, one.signal or msgspec.UNSET) for one in every
    ]  # fmt: skip
