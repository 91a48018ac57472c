"""Retention deletes what is too old or too much, and nothing else."""

import numpy as np
import pytest

from tests.streams.history.conftest import SECOND, File, transition
from twins.records import Fact

DAY = 86_400 * SECOND
EVER = (0, 1 << 60)


def retain(file: File, now: int, budget_s: float = 1.0) -> bool:
    with file.transaction() as connection:
        return file.history.retain(connection, now, budget_s)


@pytest.mark.parametrize("compacted", [True, False])
async def test_old_rows_go_by_chunk_and_segment(file: File, small, compacted: bool) -> None:
    for day in range(40):
        file.observe("a", day * DAY + np.arange(30) * SECOND, np.zeros(30))
        file.flush()
        if compacted:
            file.compact()
    retain(file, 40 * DAY)
    time = (await file.history.observations("a", 0, *EVER)).time
    assert 10 * DAY - 2 * DAY <= time.min() <= 10 * DAY
    assert time.max() > 39 * DAY
    file.check_bytes()


async def test_transitions_and_facts_have_their_own_age(file: File) -> None:
    for day in range(0, 500, 100):
        file.history.add_transitions(0, file.offset, [transition("a", day, day * DAY)])
        file.history.add_facts(0, file.offset, [Fact(patient="a", kind="meal", time=day * DAY)])
        file.history.complete(0, file.offset)
        file.offset += 1
    file.flush()
    assert retain(file, 550 * DAY) is False
    assert [item.time // DAY for item in (await file.history.alarms(None, *EVER)).items] == [400, 300, 200]
    assert [fact.time // DAY for fact in await file.history.facts("a", *EVER)] == [200, 300, 400]


def test_a_bound_on_size_takes_the_oldest(tmp_path, small) -> None:
    file = File(tmp_path / "service.db", max_bytes=20_000)
    for day in range(20):
        file.observe("a", day * SECOND + np.arange(200), np.random.default_rng(day).normal(size=200))
        file.flush()
        file.compact()
    assert retain(file, 20 * SECOND) is False
    file.check_bytes()
    sizes = file.connection.execute(
        "SELECT start_us, size FROM history_chunk UNION ALL SELECT start_us, size FROM history_lot ORDER BY 1"
    ).fetchall()
    assert 10_000 < sum(size for _, size in sizes) <= 20_000
    assert sizes[-1][0] >= 18 * SECOND
    assert sizes[0][0] > 5 * SECOND
    file.close()


def test_a_bound_smaller_than_anything_leaves_nothing_and_ends(tmp_path) -> None:
    file = File(tmp_path / "service.db", max_bytes=0)
    file.observe("a", [1], [1.0])
    file.flush()
    assert retain(file, 1) is False
    assert file.count("history_lot") == 0
    file.close()


@pytest.mark.parametrize("budget_s", [0.0, 1.0])
def test_it_stops_when_its_time_is_up(file: File, monkeypatch, budget_s: float) -> None:
    monkeypatch.setattr("streams.history.sqlite.retention._AT_ONCE", 1)
    for number in range(5):
        file.observe("a", [number], [0.0])
        file.flush()
    more = retain(file, 100 * DAY, budget_s)
    assert more is (budget_s == 0.0)
    assert file.count("history_lot") == (4 if more else 0)


def test_segments_deleted_during_a_compaction_are_skipped(file: File, small) -> None:
    for number in range(20):
        file.observe(f"patient {number}", [number, number], [0.0, 1.0])
        file.flush()
    with file.transaction() as connection:
        file.history.compact(connection, 0.0)
    retain(file, 100 * DAY)
    file.compact()
    retain(file, 100 * DAY)
    assert file.count("history_lot") == file.count("history_chunk") == 0
    file.check_bytes()
