"""The whole state of a partition, from a worker's bank to what a door shows, in several records."""

import numpy as np
import pytest

from api.view import View
from streams.frame import as_record
from streams.history.nothing import NoHistory
from streams.kafka import roll_call
from streams.kafka.service import KafkaService
from streams.kafka.wire import encode_outcome
from streams.settings import Settings
from twins.bank import Bank
from twins.records import Admit, Columns, Outcome, Profile, Transition
from twins.statement import complete
from twins.step import step

SECOND = 1_000_000
NAMES = [f"p{number:02d}" for number in range(25)]


class Written:
    """What a worker would have sent, as bytes."""

    def __init__(self) -> None:
        self.records: list[tuple[bytes, dict[str, bytes]]] = []

    async def outcome(self, outcome: Outcome, headers: list[tuple[str, bytes]]) -> None:
        self.records.append((encode_outcome(outcome), dict(headers)))


@pytest.fixture
def bank() -> Bank:
    """Patients whose last one has been in alarm for a while."""
    bank = Bank(0)
    for number, name in enumerate(NAMES):
        step(bank, Admit(patient=name, ward="A", received=SECOND), number)
    count = len(NAMES)
    for second in range(2, 40):
        value = np.where(np.arange(count) == count - 1, 150.0, 80.0)
        columns = Columns(
            NAMES, np.arange(count, dtype="u4"), np.zeros(count, "u2"), np.full(count, second * SECOND), value
        )
        step(bank, as_record(columns, second * SECOND), 100 + second)
    assert bank.alarms
    return bank


async def written(bank: Bank, door: str, monkeypatch: pytest.MonkeyPatch) -> list[tuple[bytes, dict[str, bytes]]]:
    monkeypatch.setattr(roll_call, "_STATED", 10)
    out = Written()
    await roll_call._state(out, bank, 140, door)
    assert len(out.records) == 3
    return out.records


def door(view: View, news: list[Transition]) -> KafkaService:
    service = KafkaService(Settings(kafka_partitions=1), NoHistory())
    service.listen(lambda outcome: news.extend(view.apply(outcome).events))
    return service


def shown(view: View) -> tuple[list[Profile], list[str], list[str]]:
    states = [str(view.state(name)) for name in NAMES]
    return view.patients(), states, [alarm.id for alarm in view.active_alarms()]


async def test_a_door_shows_what_the_worker_holds(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    view, news = View(), []
    service = door(view, news)
    for raw, headers in await written(bank, service._door, monkeypatch):
        assert not service.ready
        service._heard(raw, headers)
    assert service.ready
    wanted = View()
    wanted.apply(complete(bank, 140))
    assert shown(view) == shown(wanted)
    assert view.active_alarms()
    assert news == [], "what has been true for a while is no news"


async def test_a_part_that_is_missing_is_waited_for(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    view, news = View(), []
    service = door(view, news)
    first, second, third = await written(bank, service._door, monkeypatch)
    for raw, headers in (second, first, third, first, second):
        service._heard(raw, headers)
    assert not service.ready
    service._heard(*third)
    assert service.ready
    assert len(view.patients()) == len(NAMES)


async def test_the_answer_to_another_door_is_not_ours(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    service = door(View(), [])
    for raw, headers in await written(bank, "another", monkeypatch):
        service._heard(raw, headers)
    assert not service.ready
