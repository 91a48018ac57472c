"""What readers see: windows, pages, the buffer, and a file that is being written."""

import asyncio
import threading
from pathlib import Path

import numpy as np
import pytest

from streams.history.columns import ESTIMATES, OBSERVATIONS
from streams.history.sqlite import compaction
from streams.history.sqlite import history as sqlite
from tests.streams.history.conftest import SECOND, File
from twins.records import Status

EVER = (0, 1 << 60)


async def test_what_is_only_buffered_is_seen(file: File) -> None:
    file.observe("a", [1, 2], [70.0, 71.0], complete=False)
    series = await file.history.observations("a", 0, *EVER)
    assert series.value.tolist() == [70.0, 71.0]
    assert file.flush() == 0
    assert file.history.buffered == 2
    file.history.complete(0, 0)
    assert file.flush() == 2
    assert file.history.buffered == 0
    assert (await file.history.observations("a", 0, *EVER)).value.tolist() == [70.0, 71.0]


async def test_a_window_is_half_open(file: File, small) -> None:
    for second in range(50):
        file.observe("a", second, second)
        file.flush()
    file.compact()
    assert file.count("history_chunk") > 0
    assert (await file.history.observations("a", 0, 10, 40)).time.tolist() == list(range(10, 40))
    assert len((await file.history.observations("a", 0, 40, 10)).time) == 0
    assert len((await file.history.observations("nobody", 0, *EVER)).time) == 0


async def test_a_reposted_reading_shows_once_wherever_the_first_is(file: File, small) -> None:
    for round_ in range(30):
        file.observe("a", [5, 6], [float(round_)] * 2)
        file.flush()
        if round_ % 3:
            file.compact()
        assert (await file.history.observations("a", 0, *EVER)).value.tolist() == [float(round_)] * 2


@pytest.mark.parametrize("compacted", [False, True])
async def test_what_was_taken_back_is_shown_nowhere_until_it_comes_again(file: File, small, compacted: bool) -> None:
    file.observe("a", range(30), 70.0 + np.arange(30))
    for second in (3, 4, 5, 29):
        file.observe("a", second, 0.0, status=Status.RETRACTED)
        if compacted:
            file.flush()
            file.compact()
    kept = [second for second in range(30) if second not in (3, 4, 5, 29)]
    assert (await file.history.observations("a", 0, *EVER)).time.tolist() == kept
    page = await file.history.observations_page("a", 0, 0, 30, limit=3)
    assert page.series.time.tolist() == [0, 1, 2]
    page = await file.history.observations_page("a", 0, 0, 30, cursor=page.cursor, limit=23)
    assert (page.series.time.tolist(), page.cursor) == (kept[3:], None)
    buckets = await file.history.observations("a", 0, 0, 30, points=1)
    assert (buckets.count.tolist(), buckets.low.tolist()) == ([26], [70.0])
    file.observe("a", 4, 90.0)
    assert (await file.history.observations("a", 0, 4, 5)).value.tolist() == [90.0]


async def test_a_patient_named_twice_in_a_record_is_one(file: File) -> None:
    two = np.zeros(2, "u2")
    file.history.add_observations(
        0, 0, ["a", "a"], np.array([0, 1], "u4"), two, np.array([1, 2]), np.ones(2), two.astype("u1")
    )
    file.history.complete(0, 0)
    assert len((await file.history.observations("a", 0, *EVER)).time) == 2
    file.flush()
    assert len((await file.history.observations("a", 0, *EVER)).time) == 2


def add_forecasts(file: File, time, quantiles) -> None:
    """Add forecasts of one patient and signal, as one record."""
    nothing = np.zeros(len(time), "u4")
    file.history.add_forecasts(0, file.offset, ["a"], nothing, nothing.astype("u2"), np.asarray(time, "i8"), quantiles)
    file.history.complete(0, file.offset)
    file.offset += 1


async def test_forecasts_stay_when_the_reading_they_followed_is_taken_back(file: File, small) -> None:
    quantiles = np.arange(90, dtype="f4").reshape(10, 3, 3)
    file.observe("a", range(10), np.arange(10.0))
    add_forecasts(file, range(10), quantiles)
    file.flush()
    file.compact()
    file.observe("a", 4, 0.0, status=Status.RETRACTED)
    result = await file.history.forecasts("a", 0, 2, 9)
    assert result.time.tolist() == list(range(2, 9))
    np.testing.assert_array_equal(result.quantiles, quantiles[2:9])
    assert result.quantiles.dtype == np.float32
    thin = await file.history.forecasts("a", 0, 2, 9, points=3)
    assert thin.time.tolist() == [2, 5, 8]
    np.testing.assert_array_equal(thin.quantiles, quantiles[[2, 5, 8]])
    assert len((await file.history.forecasts("a", 1, *EVER)).time) == 0


async def test_a_file_from_before_forecasts_goes_on(tmp_path: Path, small, monkeypatch) -> None:
    path = tmp_path / "old.db"
    with monkeypatch.context() as before:
        for module in (sqlite, compaction):
            before.setattr(module, "KINDS", (OBSERVATIONS, ESTIMATES))
        old = File(path)
        for second in range(50):
            old.observe("a", second, second)
            old.flush()
        old.compact()
        old.close()
    file = File(path)
    assert len((await file.history.forecasts("a", 0, *EVER)).time) == 0
    for minute in range(50):
        add_forecasts(file, [minute], np.full((1, 3, 3), minute, "f4"))
        file.flush()
    file.compact()
    assert (await file.history.observations("a", 0, *EVER)).value.tolist() == list(range(50))
    assert (await file.history.forecasts("a", 0, *EVER)).quantiles[:, 1, 1].tolist() == list(range(50))
    file.check_bytes()
    file.close()


@pytest.mark.parametrize("limit", [1, 7, 1000])
async def test_pages_make_the_whole(file: File, small, limit: int) -> None:
    time = np.sort(np.random.default_rng(2).choice(40 * 24 * 3600, 200, replace=False)) * SECOND
    for first in range(0, 180, 10):
        file.observe("a", time[first : first + 10], np.arange(10))
        file.flush()
    file.compact()
    file.observe("a", time[180:], np.arange(20))
    result, cursor = [], None
    while True:
        page = await file.history.observations_page("a", 0, *EVER, cursor=cursor, limit=limit)
        assert len(page.series.time) <= limit
        result += page.series.time.tolist()
        cursor = page.cursor
        if cursor is None:
            break
    assert result == time.tolist()


async def test_a_foreign_cursor_is_refused(file: File) -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        await file.history.observations_page("a", 0, *EVER, cursor="x")


async def test_an_empty_history_has_one_empty_page(file: File) -> None:
    page = await file.history.observations_page("a", 0, *EVER)
    assert (len(page.series.time), page.cursor) == (0, None)
    assert len((await file.history.observations("a", 0, 0, 1000, points=10)).time) == 0


async def test_months_of_a_sparse_signal_are_read_from_daily_chunks(file: File, small, monkeypatch) -> None:
    monkeypatch.setattr("streams.history.sqlite.chunks.FULL_ROWS", 10_000)
    five_minutes = 300 * SECOND
    for day in range(30):
        file.observe("a", (np.arange(288) + day * 288) * five_minutes, np.full(288, 100.0), signal=14)
        file.flush()
        file.compact()
    assert len((await file.history.observations("a", 14, *EVER)).time) == 30 * 288
    buckets = await file.history.observations("a", 14, 0, 30 * 288 * five_minutes, points=30)
    assert buckets.count.tolist() == [288] * 30
    (longest,) = file.connection.execute("SELECT max(end_us - start_us) FROM history_chunk").fetchone()
    assert longest <= 4 * 86_400 * SECOND


@pytest.mark.parametrize("how", ["unequal", "unlisted"])
def test_columns_that_could_not_be_read_again_are_refused(file: File, how: str) -> None:
    patient = np.array([0, 7 if how == "unlisted" else 0], "u4")
    time = np.zeros(1 if how == "unequal" else 2, "i8")
    with pytest.raises(ValueError, match=r"unequal length|not listed"):
        file.history.add_observations(0, 0, ["a"], patient, np.zeros(2, "u2"), time, np.zeros(2), np.zeros(2, "u1"))


def test_a_large_addition_is_split_into_segments(file: File, monkeypatch) -> None:
    monkeypatch.setattr(sqlite, "SEGMENT_ROWS", 10)
    file.observe("a", np.arange(4), np.zeros(4))
    file.observe("a", np.arange(35), np.zeros(35))
    file.observe("a", np.arange(3), np.zeros(3))
    file.flush()
    rows = [row[0] for row in file.connection.execute("SELECT rows FROM history_lot ORDER BY lot")]
    assert sum(rows) == 42
    assert max(rows) <= 10
    file.check_bytes()


async def test_reads_while_writing_see_no_gap(file: File, small) -> None:
    """An added row is visible from then on, through flushes, rollbacks, compaction and merging."""
    added, stop = 0, threading.Event()
    connection, history = file.connection, file.history

    def write() -> None:
        nonlocal added
        for number in range(400):
            file.observe("a", number, number)
            added = number + 1
            if number % 3 == 0:
                connection.execute("BEGIN IMMEDIATE")
                history.flush(connection)
                connection.execute("ROLLBACK" if number % 5 == 0 else "COMMIT")
            connection.execute("BEGIN IMMEDIATE")
            history.compact(connection, 0.0)
            connection.execute("COMMIT")
        stop.set()

    thread = threading.Thread(target=write)
    thread.start()
    reads = 0
    while not stop.is_set():
        least = added
        both = await asyncio.gather(*(file.history.observations("a", 0, *EVER) for _ in range(2)))
        for series in both:
            assert series.time.tolist() == list(range(len(series.time)))
            assert len(series.time) >= least
        reads += 1
    thread.join()
    assert len((await file.history.observations("a", 0, *EVER)).time) == 400
    assert reads > 3
