"""Judged chances made by hand, and records of the log in which twins judge chances."""

import numpy as np

from streams.log.frame import as_record
from twins.records import Admit, Columns, JudgedChances, Move, Record
from twins.signals import BY_NAME

SECOND = 1_000_000
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


def monitored(begin: int, hours: int) -> list[Record]:
    """Six patients of two wards, whose heart rates cross the high limit now and then, a reading every 20 s; one moves."""
    rng = np.random.default_rng(3)
    names = [f"bed-{number}" for number in range(6)]
    records: list[Record] = [
        Admit(patient=name, ward="A" if number < 3 else "B", received=begin) for number, name in enumerate(names)
    ]
    everybody = np.arange(len(names), dtype="<u4")
    signal = np.full(len(names), BY_NAME["heart_rate"].code, "<u2")
    level = np.full(len(names), 100.0)
    for step in range(hours * 180):
        now = begin + (step + 1) * 20 * SECOND
        level += 0.02 * (100.0 - level) + rng.normal(0.0, 3.0, len(names))
        if step == hours * 90:
            records.append(Move(patient="bed-0", ward="B", received=now - 1))
        records.append(as_record(Columns(names, everybody, signal, np.full(len(names), now - 1), np.round(level)), now))
    return records
