"""Judged chances of outcomes reach both stores through the worker, and each counts once however the worker ends."""

import numpy as np
import pytest

from streams.clock import Clock
from streams.history.base import History, Tally
from streams.history.influx import InfluxHistory
from streams.history.nothing import NoHistory
from streams.settings import Settings
from streams.worker import worker as module
from streams.worker.worker import Worker
from tests.streams.history.conftest import File
from tests.streams.history.judged import judged
from twins.bank.bank import Bank
from twins.records import JudgedChances, Outcome, Record, Tick

SECOND = 1_000_000
BEGIN = Clock().now() - 7_200 * SECOND
EVER = (0, 1 << 60)
WARDS = {"a": "A", "b": "B"}
RECORDS = 60


def chances_of(offset: int) -> JudgedChances:
    """What the record at an offset judges: a chance of each patient, most of which come true if the chance is large."""
    rng = np.random.default_rng(offset)
    rows = []
    for patient in WARDS:
        stated = float(rng.uniform())
        rows.append((patient, 3, offset % 2, 0, BEGIN + offset * SECOND, stated, int(rng.uniform() < stated)))
    return judged(WARDS, rows)


@pytest.fixture
def judging(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every record judges something."""

    def step(bank: Bank, record: Record, offset: int) -> Outcome:
        return Outcome(partition=bank.partition, offset=offset, chances=chances_of(offset))

    monkeypatch.setattr(module, "step", step)


def run(history: History, first: int, last: int) -> None:
    worker = Worker(history, failed=lambda *error: pytest.fail(str(error)))
    worker.assign(0, [])
    heard: list[Outcome] = []
    worker.listen(heard.append)
    for offset in range(first, last):
        worker.take(0, offset, Tick(received=BEGIN + offset * SECOND))
    assert heard == [], "they go to the history only"


def figures(found: list[Tally]) -> list[tuple]:
    return [(*one[:3], one.scores.count, one.scores.came, np.round(one.scores.squares, 9).tolist()) for one in found]


@pytest.mark.parametrize("ended_at", [1, 17, RECORDS - 1])
async def test_each_counts_once_in_both_stores(
    judging: None, file: File, history: InfluxHistory, settings: Settings, ended_at: int
) -> None:
    run(file.history, 0, ended_at)
    file.flush()
    run(file.history, ended_at, ended_at + 1)  # not flushed when the process ends
    again = File(file.path)
    run(again.history, max(0, ended_at - 10), RECORDS)
    again.flush()

    run(history, 0, ended_at)
    await history.settled()
    other = InfluxHistory(settings, writes=True)  # another worker takes over, from an older checkpoint
    run(other, max(0, ended_at - 10), RECORDS)
    await other.settled()
    other.close()

    told = await again.history.track_record(3, *EVER)
    assert [one[:3] for one in told] == [("A", 0, 0), ("A", 1, 0), ("B", 0, 0), ("B", 1, 0)]
    assert [one.scores.statements for one in told] == [RECORDS // 2] * 4
    wanted = sum(int(chances_of(offset).rows["came"].sum()) for offset in range(RECORDS))
    assert sum(one.scores.events for one in told) == wanted > RECORDS // 2
    assert figures(told) == figures(await history.track_record(3, *EVER))
    again.close()


def test_a_service_without_a_history_judges_too(judging: None) -> None:
    run(NoHistory(), 0, 5)
