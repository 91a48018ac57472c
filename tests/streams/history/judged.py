"""Judged chances made by hand or at random."""

import numpy as np

from twins.records import JudgedChances

COLUMNS = {
    "patient": "<u4", "signal": "<u2", "side": "u1", "kind": "u1", "made": "<i8", "judged": "<i8", "stated": "<f4",
    "came": "u1",
}  # fmt: skip


def judged(wards: dict[str, str], rows: list[tuple]) -> JudgedChances:
    """Rows of (patient, signal, side, kind, made, stated, came); ``wards`` has the ward of each patient."""
    patients = list(wards)
    table = [
        (patients.index(patient), signal, side, kind, made, made + 1_800_000_000, stated, came)
        for patient, signal, side, kind, made, stated, came in rows
    ]
    columns = zip(*table, strict=True) if table else [()] * len(COLUMNS)
    return JudgedChances(
        patients=patients, wards=list(wards.values()),
        **{name: np.array(column, dtype).tobytes() for (name, dtype), column in zip(COLUMNS.items(), columns, strict=True)},
    )  # fmt: skip
