"""Judged chances in the SQLite history are counted once, whatever happens between judging and reading."""

import sqlite3

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss

from streams.history.sqlite import schema
from tests.streams.history.conftest import SECOND, File
from tests.streams.history.judged import judged

HOUR = 3_600 * SECOND
DAY = 24 * HOUR
EVER = (0, 1 << 60)
WARDS = {"a": "A", "b": "B", "c": ""}


def add(file: File, *rows: tuple, wards: dict[str, str] = WARDS) -> None:
    file.history.add_chances(0, file.offset, judged(wards, list(rows)))
    file.history.complete(0, file.offset)
    file.offset += 1


async def test_a_table_made_by_hand(file: File) -> None:
    add(
        file,
        ("a", 3, 1, 0, 5, 0.31, 1), ("a", 3, 1, 0, HOUR, 0.39, 0), ("b", 3, 1, 0, 7, 0.3, 1), ("a", 3, 0, 0, 5, 1.0, 1),
        ("a", 3, 1, 1, 5, 0.0, 0), ("c", 3, 1, 0, 5, 0.7, 0), ("a", 4, 1, 0, 5, 0.5, 0),
    )  # fmt: skip
    for flushed in (False, True):
        if flushed:
            file.flush()
        found = await file.history.track_record(3, *EVER)
        assert [one[:3] for one in found] == [("", 1, 0), ("A", 0, 0), ("A", 1, 0), ("A", 1, 1), ("B", 1, 0)]
        scores = found[2].scores
        assert (scores.count, scores.came) == ((0, 0, 0, 2, 0, 0, 0, 0, 0, 0), (0, 0, 0, 1, 0, 0, 0, 0, 0, 0))
        assert scores.stated_sum[3] == pytest.approx(0.7)
        assert scores.squares[3] == pytest.approx(0.69**2 + 0.39**2)
        assert found[0].scores.count[7] == 1, "0.7 in float32 is a little less than 0.7"
        assert found[1].scores.count[9] == 1
        assert [one.ward for one in await file.history.track_record(3, *EVER, ["B", "Z"])] == ["B"]
        assert await file.history.track_record(3, *EVER, []) == []
        (hour,) = await file.history.track_record(3, HOUR, 2 * HOUR)
        assert (hour.ward, hour.scores.statements, hour.scores.came[3]) == ("A", 1, 0)
        assert await file.history.track_record(5, *EVER) == []


async def test_scores_from_the_sums_are_those_of_single_chances(file: File) -> None:
    rng = np.random.default_rng(4)
    stated = rng.beta(0.5, 2.0, 3000).astype("f4")
    came = (rng.uniform(size=3000) < stated**1.3).astype(int)
    made = rng.integers(0, 30 * DAY, 3000)
    for first in range(0, 3000, 70):
        part = slice(first, first + 70)
        add(
            file,
            *(
                ("ab"[row % 2], 2, 1, 0, int(at), float(chance), int(event))
                for row, at, chance, event in zip(range(70), made[part], stated[part], came[part], strict=False)
            ),
            wards={"a": "A", "b": "A"},
        )
        if first % 3 == 0:
            file.flush()
    (found,) = await file.history.track_record(2, *EVER)
    assert found.scores.statements == 3000
    assert found.scores.brier == pytest.approx(brier_score_loss(came, stated.astype("f8")), rel=1e-9)
    assert found.scores.events == came.sum()
    assert found.scores.mean_stated == pytest.approx(stated.astype("f8").mean(), rel=1e-9)
    for place, count in enumerate(np.histogram(stated, np.linspace(0, 1, 11))[0]):
        assert found.scores.count[place] == count
    assert file.count("history_chance") < 3000


async def test_what_is_read_from_the_log_again_is_not_counted_again(file: File) -> None:
    row = ("a", 3, 1, 0, 5, 0.31, 1)
    add(file, row)
    file.flush()
    again = File(file.path)
    again.history.add_chances(0, 0, judged(WARDS, [row]))  # offset 0 is stored
    again.history.complete(0, 0)
    add(again, ("a", 3, 1, 0, 9, 0.31, 0))
    again.connection.execute("BEGIN")
    again.history.flush(again.connection)
    again.connection.execute("ROLLBACK")
    for flushed in range(3):
        (found,) = await again.history.track_record(3, *EVER)
        assert (found.scores.statements, found.scores.events) == (2, 1)
        if flushed < 2:
            again.flush()
    again.close()


async def test_what_is_no_probability_is_left_out(file: File) -> None:
    add(file, ("a", 3, 1, 0, 5, float("nan"), 1))
    add(file)
    assert await file.history.track_record(3, *EVER) == []
    file.flush()
    assert await file.history.track_record(3, *EVER) == []
    add(file, *(("a", 3, 1, 0, 5, stated, 1) for stated in (float("nan"), -0.1, 1.1, float("inf"), 0.5)))
    (found,) = await file.history.track_record(3, *EVER)
    assert found.scores.statements == 1


async def test_they_are_kept_as_long_as_alarms(file: File) -> None:
    for day in range(0, 900, 20):
        add(file, ("a", 3, 1, 0, day * DAY, 0.31, 1))
    file.flush()
    with file.transaction() as connection:
        assert file.history.retain(connection, 1000 * DAY, 1.0) is False
    (found,) = await file.history.track_record(3, *EVER)
    assert found.scores.statements == 15  # day 600, 620, … 880
    assert file.count("history_chance") == 15


async def test_a_file_of_an_earlier_version_gets_the_table(tmp_path) -> None:
    path = tmp_path / "service.db"
    older = sqlite3.connect(path, isolation_level=None)
    for statement in schema.TABLES.split(";\n"):
        if "history_chance" not in statement:
            older.execute(statement)
    older.execute("INSERT INTO history_offset VALUES (0, 6)")
    older.execute("INSERT INTO history_figure VALUES ('format', 1)")
    older.close()
    file = File(path)
    assert file.offset == 7
    add(file, ("a", 3, 1, 0, 5, 0.31, 1))
    file.flush()
    (found,) = await file.history.track_record(3, *EVER)
    assert found.scores.statements == 1
    file.close()
