"""The service is killed in the middle of an alarm storm with escalations due; nothing is lost, nothing comes twice."""

import time
from collections import Counter
from collections.abc import Iterator

import pytest

from streams.embedded.restore import open_offline
from tests.support.service import ServiceUnderTest
from tests.support.storm import PATIENTS, Follower, Storm, Truth

pytestmark = [pytest.mark.slow, pytest.mark.fault]


@pytest.fixture
def service() -> Iterator[ServiceUnderTest]:
    with ServiceUnderTest(checkpoint_seconds="1", tick_seconds="0.2") as made:
        made.start()
        yield made


@pytest.mark.parametrize("killed_after_s", [0.4, 2.3, 4.1, 5.2])
def test_killed_in_a_storm_every_transition_and_notice_is_there_once(
    service: ServiceUnderTest, killed_after_s: float
) -> None:
    cookie = service.session()
    storm, follower = Storm(service, service.key(), cookie), Follower(service, cookie)
    storm.prepare()
    follower.start()
    storm.rage(killed_after_s + 1.0)  # the alarms begin about a second after the first low value
    service.kill()
    service.start()
    storm.rage(8.0)
    alarms = storm.ask("GET", "/v1/alarms?grouped=false")["items"]
    answered = [one["id"] for one in alarms if one["priority"] == "high"][::2]
    for name in answered:
        storm.ask("POST", f"/v1/alarms/{name}/acknowledge", {})
    storm.rage(2.0)
    history = {
        name: [one["transition"] for one in storm.ask("GET", f"/v1/alarms/{name}")["transitions"]]
        for name in {one["id"] for one in alarms}
    }
    time.sleep(1.0)
    outbox = storm.notices()
    follower.stop()
    service.stop()

    truth = Truth()
    with open_offline(service.database) as file:
        for partition in range(file.partitions):
            truth.read(partition, ((entry.offset, entry.record) for entry in file.entries(partition)))
    # The timers survive: each alarm makes each step exactly once.
    steps = truth.steps()
    high = {one.alarm for one in truth.transitions.values() if one.priority == "high"}
    assert len(high) >= PATIENTS
    assert set(steps.values()) == {1}
    assert {name for name, step in steps if step == 1} == {name for name, step in steps if step == 2} == high
    # The outbox has each notice once, in the state that the log says.
    assert {name: state for name, (state, _) in outbox.items()} == {
        name: notice.state for name, notice in truth.notices.items()
    }
    assert all(people for _, people in outbox.values())
    # A client that comes back gets each transition once: as an event, or as the state of its alarm in the snapshot.
    assert follower.transitions.keys() <= truth.transitions.keys()
    assert set(follower.transitions.values()) == {1}
    assert follower.snapshots == 2
    unseen = [
        one.id for one in truth.transitions.values()
        if one.id not in follower.transitions and follower.known.get(one.alarm, 0) < one.number
    ]  # fmt: skip
    assert not unseen
    assert set(follower.notices.values()) == {1}
    # The history has what happened while the client was away, each once.
    for name, found in history.items():
        wanted = Counter(one.id for one in truth.transitions.values() if one.alarm == name)
        assert Counter(found) <= wanted
        assert len(found) == len(set(found))
        assert found == [f"{name}-{number}" for number in range(1, len(found) + 1)]
