"""Judged chances of outcomes reach both stores through the worker, and each counts once however the worker ends."""

from typing import Any

import numpy as np
import pytest

from streams.clock import Clock
from streams.history.base import History, Tally
from streams.history.influx import InfluxHistory
from streams.history.nothing import NoHistory
from streams.log.log import decode_record, encode_record
from streams.settings import Settings
from streams.worker import worker as module
from streams.worker.worker import Worker
from tests.streams.history.conftest import File
from tests.streams.history.judged import judged, monitored
from twins.bank.bank import Bank
from twins.records import JudgedChances, Outcome, Record, Tick
from twins.signals import BY_NAME

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


class Overheard:
    """A history that also lists the chances it is given."""

    def __init__(self, history: History, heard: list[JudgedChances]) -> None:
        self._history, self._heard = history, heard

    def add_chances(self, partition: int, offset: int, chances: JudgedChances) -> None:
        self._heard.append(chances)
        self._history.add_chances(partition, offset, chances)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._history, name)


async def test_what_the_twins_judge_is_what_both_stores_tell(file: File, history: InfluxHistory) -> None:
    heard: list[JudgedChances] = []
    records = monitored(BEGIN - 4 * 3_600 * SECOND, 4)
    for store in (file.history, history):
        worker = Worker(Overheard(store, heard), failed=lambda *error: pytest.fail(str(error)))
        worker.assign(0, [])
        for offset, one in enumerate(records):
            worker.take(0, offset, decode_record(encode_record(one)))
    file.flush()
    await history.settled()
    told = await file.history.track_record(BY_NAME["heart_rate"].code, *EVER)
    assert figures(told) == figures(await history.track_record(BY_NAME["heart_rate"].code, *EVER))
    # Each of the two workers judged the same.
    rows = [one.rows for one in heard]
    assert 2 * sum(one.scores.statements for one in told) == sum(len(row["came"]) for row in rows) > 400
    assert 2 * sum(one.scores.events for one in told) == sum(int(row["came"].sum()) for row in rows) > 20
    by_ward = {ward: sum(one.scores.statements for one in told if one.ward == ward) for ward in ("A", "B")}
    assert 0 < by_ward["A"] < by_ward["B"], "after the move bed 0 counts in ward B"
