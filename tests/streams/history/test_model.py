"""Any order of adding, flushing, compacting, rolling back and crashing gives the same history as a dictionary."""

import asyncio
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.streams.history.conftest import File, shrink
from tests.streams.history.judged import judged
from twins.records import Fact, Transition

PATIENTS = ["a", "b", "bb", "ä"]
PARTITIONS = 2
TIMES = st.one_of(st.integers(0, 40), st.integers(0, 40).map(lambda minute: minute * 3_600_000_000))

readings = st.lists(
    st.tuples(st.integers(0, 1), st.integers(0, 2), TIMES, st.sampled_from([0.0, -0.0, 36.6, 72.0, 1e300, 0.1, 7e4])),
    max_size=12,
)
record = st.tuples(st.integers(0, PARTITIONS - 1), readings, st.integers(0, 3), st.booleans())
move = st.one_of(
    record.map(lambda result: ("add", result)),
    st.sampled_from([("flush", True), ("flush", True), ("flush", False), ("crash", None)]),
    st.tuples(st.just("compact"), st.booleans()),
)


def forecast_of(place: int, offset: int) -> np.ndarray:
    """Quantiles that no other row has; in some the nearer horizons are missing."""
    result = np.arange(9, dtype="f4").reshape(3, 3) / np.float32(7) + 100 * offset + place
    result[: place % 3] = -1.0
    return result


def chances_of(rows: list, own: list[str]) -> list[tuple]:
    """A chance for each row; in float32 they are the same."""
    return [
        (own[patient], signal, 1, 0, time, (time % 4) / 4, place % 2)
        for place, (patient, signal, time, _) in enumerate(rows)
    ]


class HistoryModel:
    """The log, and the history that must follow from it."""

    def __init__(self) -> None:
        self.log: list[list[tuple]] = [[] for _ in range(PARTITIONS)]
        self.observations: dict[tuple[str, int, int], tuple[float, int]] = {}
        self.estimates: dict[tuple[str, int, int], tuple[float, float, float]] = {}
        self.forecasts: dict[tuple[str, int, int], list] = {}
        self.transitions: dict[str, Transition] = {}
        self.facts: dict[tuple[str, str], Fact] = {}
        self.chances: dict[tuple[str, int, int], list[float]] = {}

    def append(self, partition: int, rows: list, events: int, complete: bool) -> int:
        offset = len(self.log[partition])
        own = PATIENTS[partition * 2 : partition * 2 + 2]
        for place, (patient, signal, time, value) in enumerate(rows):
            self.observations[own[patient], signal, time] = (value, offset % 4)
            self.estimates[own[patient], signal, time] = (value / 2, float(place), offset % 5)
            self.forecasts[own[patient], signal, time] = forecast_of(place, offset).tolist()
        happened = [
            Transition(
                id=f"{partition}/{offset // 2}/{number}", alarm=f"{partition}/{number}", patient=own[number % 2],
                condition="limit.low", presence="on", onset=offset, time=(offset * 7) % 40,
            )
            for number in range(events)
        ]  # fmt: skip
        charted = [
            Fact(
                patient=own[0],
                kind="meal",
                id=f"{offset // 2}/{number}",
                time=number % 2,
                value=offset,
                received=offset,
            )
            for number in range(events)
        ]
        self.transitions.update({item.id: item for item in happened})
        for item in charted:
            self.facts.setdefault((item.patient, item.id), item)
        for _, signal, *_, stated, came in chances_of(rows, own):
            sums = self.chances.setdefault((own[0] * 2, signal, int(stated * 10)), [0, 0.0, 0])
            sums[:] = [sums[0] + 1, sums[1] + stated, sums[2] + came]
        self.log[partition].append((own, rows, happened, charted, complete))
        return offset


def feed(file: File, model: HistoryModel, partition: int, offset: int, *, complete: bool) -> None:
    own, rows, happened, charted, _ = model.log[partition][offset]
    patient, signal, time, value = (np.array(column) for column in zip(*rows, strict=True)) if rows else ([],) * 4
    columns = (np.asarray(patient, "u4"), np.asarray(signal, "u2"), np.asarray(time, "i8"))
    value = np.asarray(value, "f8")
    file.history.add_observations(partition, offset, own, *columns, value, np.full(len(rows), offset % 4, "u1"))
    sd, quality = np.arange(len(rows), dtype="f8"), np.full(len(rows), offset % 5, "f4")
    file.history.add_estimates(partition, offset, own, *columns, value / 2, sd, quality)
    quantiles = np.array([forecast_of(place, offset) for place in range(len(rows))], "f4").reshape(-1, 3, 3)
    file.history.add_forecasts(partition, offset, own, *columns, quantiles)
    file.history.add_transitions(partition, offset, happened)
    file.history.add_facts(partition, offset, charted)
    file.history.add_chances(partition, offset, judged(dict.fromkeys(own, own[0] * 2), chances_of(rows, own)))
    if complete:
        file.history.complete(partition, offset)


async def check(file: File, model: HistoryModel) -> None:
    history, ever = file.history, (0, 1 << 60)
    for patient in PATIENTS:
        for signal in range(3):
            series = await history.observations(patient, signal, *ever)
            result = dict(
                zip(series.time.tolist(), zip(series.value.tolist(), series.status.tolist(), strict=True), strict=True)
            )
            wanted = {
                time: row for (who, what, time), row in model.observations.items() if (who, what) == (patient, signal)
            }
            assert result == wanted
            assert series.time.tolist() == sorted(wanted)
            estimates = await history.estimates(patient, signal, *ever)
            rows = zip(estimates.mean.tolist(), estimates.sd.tolist(), estimates.quality.tolist(), strict=True)
            result = dict(zip(estimates.time.tolist(), rows, strict=True))
            assert result == {
                time: row for (who, what, time), row in model.estimates.items() if (who, what) == (patient, signal)
            }
            forecasts = await history.forecasts(patient, signal, *ever)
            assert dict(zip(forecasts.time.tolist(), forecasts.quantiles.tolist(), strict=True)) == {
                time: row for (who, what, time), row in model.forecasts.items() if (who, what) == (patient, signal)
            }
        charted = sorted(
            (item for (who, _), item in model.facts.items() if who == patient),
            key=lambda item: (item.time, item.received, item.id),
        )
        assert await history.facts(patient, *ever) == charted
    for signal in range(3):
        for tally in await history.track_record(signal, *ever):
            for place, number in enumerate(tally.scores.count):
                wanted = model.chances.get((tally.ward, signal, place), [0, 0.0, 0])
                assert [number, tally.scores.stated_sum[place], tally.scores.came[place]] == wanted
        assert sum(tally.scores.statements for tally in await history.track_record(signal, *ever)) == sum(
            sums[0] for (_, what, _), sums in model.chances.items() if what == signal
        )
    found, cursor = [], None
    while True:
        page = await history.alarms(None, *ever, cursor=cursor, limit=2)
        found += page.items
        cursor = page.cursor
        if cursor is None:
            break
    assert {item.id: item for item in found} == model.transitions
    assert len(found) == len(model.transitions)
    assert [item.time for item in found] == sorted((item.time for item in found), reverse=True)


async def play(path: Path, moves: list, replay_from: float) -> None:
    file, model = File(path), HistoryModel()
    open_upto = [-1] * PARTITIONS
    for name, result in moves:
        if name == "add":
            partition, rows, events, complete = result
            feed(file, model, partition, model.append(partition, rows, events, complete), complete=complete)
            if complete:
                open_upto[partition] = len(model.log[partition]) - 1
        elif name == "crash":
            covered = file.history.covered(file.connection)
            file.close()
            file = File(path)
            for partition, log in enumerate(model.log):
                begin = int(replay_from * (covered.get(partition, -1) + 1))
                for offset in range(begin, len(log)):
                    feed(file, model, partition, offset, complete=log[offset][-1])
        else:
            file.connection.execute("BEGIN")
            if name == "flush":
                file.history.flush(file.connection)
            else:
                file.history.compact(file.connection, 0.0 if result else 0.002)
                file.history.compact(file.connection, 0.0005)
            file.connection.execute("COMMIT" if result else "ROLLBACK")
    await check(file, model)
    file.flush()
    assert file.history.covered(file.connection) == {p: upto for p, upto in enumerate(open_upto) if upto >= 0}
    file.compact()
    await check(file, model)
    file.check_bytes()
    file.close()


@pytest.mark.slow
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(moves=st.lists(move, max_size=40), replay_from=st.sampled_from([0.0, 0.5, 1.0]))
def test_history_is_a_dictionary(moves: list, replay_from: float) -> None:
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        shrink(patch)
        asyncio.run(play(Path(folder) / "service.db", moves, replay_from))
