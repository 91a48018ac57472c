"""The whole state of a partition, in several records, from a worker's bank to a door, and outcomes in between."""

import random

import numpy as np
import pytest

from api.live.state import LiveState
from streams.history.nothing import NoHistory
from streams.kafka.door.service import KafkaService
from streams.kafka.messages import encode_outcome
from streams.kafka.worker import roll_call
from streams.log.frame import as_record
from streams.settings import Settings
from tests.support.site_models import Telling
from twins.bank.bank import Bank
from twins.records import Admit, Columns, Discharge, Outcome, Profile, Transition
from twins.step.dispatch import step
from twins.step.estimates import complete

SECOND = 1_000_000
NAMES = [f"p{number:02d}" for number in range(25)]


class Written:
    """The records that a worker would send, as bytes."""

    def __init__(self) -> None:
        self.records: list[tuple[bytes, dict[str, bytes]]] = []

    async def outcome(self, outcome: Outcome, headers: list[tuple[str, bytes]]) -> None:
        self.records.append((encode_outcome(outcome), dict(headers)))


@pytest.fixture
def bank() -> Bank:
    """Patients, the last of whom has had an alarm for a while."""
    bank = Bank(0, [Telling()])
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


Record = tuple[bytes, dict[str, bytes]]


async def written(bank: Bank, door: str, monkeypatch: pytest.MonkeyPatch, offset: int = 140) -> list[Record]:
    monkeypatch.setattr(roll_call, "_STATED", 10)
    out = Written()
    await roll_call.state_to(out, door.encode(), bank, offset)
    assert len(out.records) == 3
    return out.records


def there_from_the_start(state: Outcome, after: list[Outcome]) -> LiveState:
    """The view of a door that had the state and then got every outcome."""
    view = LiveState()
    for outcome in (state, *after):
        view.apply(outcome)
    return view


def gone_on(bank: Bank) -> list[Outcome]:
    """The worker's next outcomes: a patient is admitted and becomes critical, and another one leaves."""
    found = [step(bank, Admit(patient="new", ward="A", received=41 * SECOND), 141)]
    for second in range(42, 53):
        columns = Columns(
            ["new"], np.zeros(1, "u4"), np.zeros(1, "u2"), np.array([second * SECOND]), np.array([190.0])
        )  # fmt: skip
        found.append(step(bank, as_record(columns, second * SECOND), 100 + second))
    found.append(step(bank, Discharge(patient=NAMES[3], received=53 * SECOND), 153))
    found = [outcome for outcome in found if not outcome.empty]
    assert any(one.priority == "high" for outcome in found for one in outcome.transitions)
    return found


def door(view: LiveState, news: list[Transition]) -> KafkaService:
    service = KafkaService(Settings(kafka_partitions=1), NoHistory())
    service.listen(lambda outcome: news.extend(view.apply(outcome).events))
    return service


def shown(view: LiveState) -> tuple[list[Profile], list[str], list[str]]:
    states = [f"{view.state(name)} {view.models(name)}" for name in [*NAMES, "new"]]
    return view.patients(), states, [alarm.id for alarm in view.active_alarms()]


async def test_a_door_shows_what_the_worker_holds(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    view, news = LiveState(), []
    service = door(view, news)
    for raw, headers in await written(bank, service._door, monkeypatch):
        assert not service.ready
        service._heard(raw, headers)
    assert service.ready
    wanted = LiveState()
    wanted.apply(complete(bank, 140))
    assert shown(view) == shown(wanted)
    assert view.active_alarms()
    assert all(view.models(name) for name in NAMES)
    assert news == [], "an old alarm is no news"


async def test_a_part_that_is_missing_is_waited_for(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    view, news = LiveState(), []
    service = door(view, news)
    first, second, third = await written(bank, service._door, monkeypatch)
    for raw, headers in (second, first, third, first, second):
        service._heard(raw, headers)
    assert not service.ready
    service._heard(*third)
    assert service.ready
    assert len(view.patients()) == len(NAMES)


async def test_the_answer_to_another_door_is_not_ours(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    service = door(LiveState(), [])
    for raw, headers in await written(bank, "another", monkeypatch):
        service._heard(raw, headers)
    assert not service.ready


async def test_what_comes_between_the_parts_is_shown_once_and_in_order(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An admission and a critical alarm after the state's offset and before its last part: neither may be lost."""
    view, news = LiveState(), []
    service = door(view, news)
    first, second, third = await written(bank, service._door, monkeypatch)
    state = complete(bank, 140)
    after = gone_on(bank)
    raws = [encode_outcome(outcome) for outcome in after]
    for raw, headers in (first, (raws[0], {}), second, *((raw, {}) for raw in raws[1:]), third):
        assert not news
        service._heard(raw, headers)
    assert service.ready
    wanted = there_from_the_start(state, after)
    assert shown(view) == shown(wanted)
    assert [one.id for one in news] == [one.id for outcome in after for one in outcome.transitions]
    for raw in raws:  # as a worker repeats it after a take-over
        service._heard(raw, {})
    assert shown(view) == shown(wanted)
    assert len(news) == sum(len(outcome.transitions) for outcome in after)


async def test_what_the_state_holds_already_is_no_news(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    view, news = LiveState(), []
    service = door(view, news)
    for outcome in gone_on(bank):
        service._heard(encode_outcome(outcome), {})
    for raw, headers in await written(bank, service._door, monkeypatch, 153):
        service._heard(raw, headers)
    assert service.ready
    assert "new" in [profile.patient for profile in view.patients()]
    assert NAMES[3] not in [profile.patient for profile in view.patients()]
    assert news == []


@pytest.mark.parametrize("seed", range(20))
async def test_wherever_the_parts_stand_a_door_shows_what_one_does_that_was_there(
    bank: Bank, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Two answers of one worker, and one of a worker that has lost the partition, mixed with outcomes."""
    chance = random.Random(seed)
    view, news = LiveState(), []
    service = door(view, news)
    behind = await written(bank, service._door, monkeypatch, 130)
    state = await written(bank, service._door, monkeypatch)
    whole = complete(bank, 140)
    after = gone_on(bank)
    later = await written(bank, service._door, monkeypatch, 153)
    record: list[tuple[float, Record]] = [(place, (encode_outcome(one), {})) for place, one in enumerate(after)]
    record += [(place, one) for place, one in zip(sorted(chance.uniform(-1, 0) for _ in behind), behind, strict=True)]
    record += [(place, one) for place, one in zip(sorted(chance.uniform(-1, 20) for _ in state), state, strict=True)]
    record += [(20.0 + place, one) for place, one in enumerate(later)]
    for _, (raw, headers) in sorted(record, key=lambda one: one[0]):
        service._heard(raw, headers)
    assert service.ready
    assert shown(view) == shown(there_from_the_start(whole, after))


async def test_a_state_for_everybody_replaces_what_was(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when a worker sets the log's time back: nobody has asked for the state, and all doors take it."""
    view, news = LiveState(), []
    service = door(view, news)
    for raw, headers in await written(bank, service._door, monkeypatch):
        service._heard(raw, headers)
    gone_on(bank)
    for raw, headers in await written(bank, "*", monkeypatch, 153):
        service._heard(raw, headers)
    wanted = LiveState()
    wanted.apply(complete(bank, 153))
    assert shown(view) == shown(wanted)
    for raw, headers in await written(bank, "*", monkeypatch, 153):
        service._heard(raw, headers)
    assert service.counters()["hub_outcomes"] == 6


async def test_how_old_the_estimates_are(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    view, news = LiveState(), []
    service = door(view, news)
    now = service.clock.now()
    service._since = now
    assert service.health()["twins"] == "warming"
    for raw, headers in await written(bank, service._door, monkeypatch):
        service._heard(raw, headers)

    def beat(ago_s: float, at_log: int) -> None:
        raw = encode_outcome(Outcome(partition=0, offset=141, time=at_log))
        service._heard(raw, {"for": b"*", "beat": b"%d" % (service.clock.now() - int(ago_s * SECOND))})

    beat(0.5, now + 60 * SECOND)
    health = service.health()
    assert (health["ready"], health["twins"]) == (True, "ok")
    assert health["estimate_age_s"] == pytest.approx(0.5, abs=0.4)
    assert health["clock_apart_s"] == pytest.approx(60.0, abs=2.0)
    assert service.counters()["estimate_age_seconds.0"] == pytest.approx(0.5, abs=0.4)
    beat(30.0, now)
    health = service.health()
    assert (health["ready"], health["twins"]) == (False, "stopped")
    assert health["estimate_age_s"] == pytest.approx(30.0, abs=2.0)
    assert news == []


async def test_a_topic_that_jumps_makes_a_door_ask_again(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    """A door that slept longer than the topic's retention has missed something, whatever comes next."""
    view, news = LiveState(), []
    service = door(view, news)
    for position, (raw, headers) in enumerate(await written(bank, service._door, monkeypatch)):
        service._following.at(0, position)
        service._heard(raw, headers)
    assert service.ready
    after = gone_on(bank)
    service._following.at(0, 17)
    assert not service.ready
    assert service._calling.is_set()
    service._heard(encode_outcome(after[-1]), {})
    assert not view.state("new")
    for raw, headers in await written(bank, service._door, monkeypatch, 153):
        service._heard(raw, headers)
    assert service.ready
    assert view.state("new")
    assert service.counters()["hub_gaps"] == 1
