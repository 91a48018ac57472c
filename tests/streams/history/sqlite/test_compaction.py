"""Cutting and merging: interrupted anywhere, nothing is lost; in the end, few chunks are left."""

import sqlite3

import numpy as np
import pytest

from streams.history.sqlite import compaction
from tests.streams.history.conftest import File

EVER = (0, 1 << 60)
PATIENTS = [f"patient {number}" for number in range(7)]


def fill(file: File, *, segments: int = 6) -> dict[str, list[int]]:
    for segment in range(segments):
        for number, patient in enumerate(PATIENTS):
            file.observe(patient, [segment * 10, segment * 10 + number], [segment, number])
        file.flush()
    return {
        patient: sorted({time for segment in range(segments) for time in (segment * 10, segment * 10 + number)})
        for number, patient in enumerate(PATIENTS)
    }


async def result(file: File) -> dict[str, list[int]]:
    return {patient: (await file.history.observations(patient, 0, *EVER)).time.tolist() for patient in PATIENTS}


@pytest.mark.parametrize("fails_at", range(0, 30, 3))
async def test_a_slice_that_fails_is_done_again(file: File, small, monkeypatch, fails_at: int) -> None:
    wanted = fill(file)
    calls, whole = 0, compaction.insert_chunk

    def failing(*args, **kwargs) -> int:
        nonlocal calls
        calls += 1
        if calls == fails_at:
            raise sqlite3.OperationalError("disk full")
        return whole(*args, **kwargs)

    monkeypatch.setattr(compaction, "insert_chunk", failing)
    more, failures = True, 0
    while more:
        try:
            with file.transaction() as connection:
                more = file.history.compact(connection, 0.0)
        except sqlite3.OperationalError:
            failures += 1
        assert await result(file) == wanted
    assert failures == (0 < fails_at <= calls)
    file.check_bytes()
    assert file.count("history_progress") == 0


async def test_reopened_between_any_two_slices(file: File, small) -> None:
    wanted = fill(file)
    more = True
    while more:
        # A slice of no time ends before its first chunk, so only those that wrote something are followed by a reopening.
        before = file.connection.total_changes
        while more and file.connection.total_changes == before:
            with file.transaction() as connection:
                more = file.history.compact(connection, 0.0)
        assert await result(file) == wanted
        file.close()
        file.__init__(file.path)
    file.check_bytes()
    rows = file.connection.execute("SELECT coalesce(sum(rows), 0) FROM history_chunk").fetchone()[0]
    rows += file.connection.execute("SELECT coalesce(sum(rows), 0) FROM history_lot").fetchone()[0]
    assert rows <= 6 * 7 * 2


def test_small_chunks_become_few(file: File) -> None:
    for lap in range(64 * 32):
        file.observe("a", np.arange(5) + lap * 5, np.zeros(5))
        file.flush()
        if lap % 32 == 31:
            file.compact()
    assert file.count("history_chunk") <= 8
    assert file.count("history_lot") < 64
    assert (
        file.history.backlog == file.connection.execute("SELECT coalesce(sum(rows), 0) FROM history_lot").fetchone()[0]
    )


async def test_much_of_one_patient_is_cut_into_chunks_of_bounded_size(file: File, monkeypatch) -> None:
    monkeypatch.setattr(compaction, "READY_ROWS", 1)
    for signal in range(3):
        file.observe("a", np.arange(60_000), np.arange(60_000), signal=signal)
    file.flush()
    file.compact()
    rows = [row[0] for row in file.connection.execute("SELECT rows FROM history_chunk")]
    assert sum(rows) == 180_000
    assert max(rows) <= 50_000
    assert len((await file.history.observations("a", 1, *EVER)).time) == 60_000


def test_idle_it_writes_nothing(file: File) -> None:
    file.observe("a", [1], [1.0])
    file.flush()
    before = file.connection.total_changes
    with file.transaction() as connection:
        assert file.history.compact(connection, 0.01) is False
        assert file.history.compact(connection, 0.01) is False
    assert file.connection.total_changes == before


async def test_patients_beyond_sixteen_bits_are_sorted_as_well(file: File, monkeypatch) -> None:
    monkeypatch.setattr(compaction, "READY_ROWS", 1)
    count = 70_000
    names = [f"{number:05}" for number in range(count)]
    patient = np.random.default_rng(3).permutation(count).astype("u4")
    file.history.add_observations(
        0, 0, names, patient, np.zeros(count, "u2"), patient.astype("i8"), patient * 1.0, np.zeros(count, "u1")
    )
    file.history.complete(0, 0)
    file.flush()
    file.compact()
    assert file.count("history_chunk") == count
    for name in ("00000", "65536", "69999"):
        assert (await file.history.observations(name, 0, *EVER)).time.tolist() == [int(name)]
