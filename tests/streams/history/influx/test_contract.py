"""One scenario through both stores: the same questions get the same answers."""

from pathlib import Path

import numpy as np
import pytest

from streams.clock import Clock
from streams.history.base import Series
from streams.history.burden import burden_of
from streams.history.influx import InfluxHistory
from streams.settings import Settings
from tests.streams.history.conftest import File
from tests.streams.history.judged import judged
from twins.records import Fact, JudgedChances, Status, Stay, Transition

PATIENTS = ["a", "bed 7", 'x,y=z"\\', "ä\n%", ""]
SIGNALS = [0, 2, 60_000]
BEGIN = Clock().now() - 7_200_000_000
SPAN = 3_000_000_000
EVER = (0, 1 << 60)
WARDS = ["A", 'y, "z"\\', "", "A", "Station Süd 4"]
UNBELIEVED = [Status.IMPLAUSIBLE, Status.UNKNOWN_PATIENT, Status.FUTURE, Status.INVALID]


def fill(history, seed: int, corrected: bool) -> int:
    """Some records in two partitions, with duplicates, odd values and a replay; returns the last offset."""
    rng = np.random.default_rng(seed)
    for offset in range(12):
        rows = int(rng.integers(1, 60))
        who, what = rng.integers(0, 5, rows).astype("u4"), rng.choice(SIGNALS, rows).astype("u2")
        when = BEGIN + rng.integers(0, SPAN, rows)
        value = rng.choice([36.6, 0.1, -0.0, 7e4, 1e300, 120.0, 1e-7], rows)
        status = rng.integers(0, Status.CORRECTED, rows).astype("u1")
        invalid = status == Status.INVALID
        value[invalid] = rng.choice([np.nan, np.inf, -np.inf], int(invalid.sum()))
        if corrected and offset % 2:
            # Readings of an hour ago again: accepted ones are now refused, and vice versa.
            when[: rows // 2] = BEGIN + np.arange(rows // 2)
            who[: rows // 2], what[: rows // 2] = 0, 0
        elif not corrected:
            when = BEGIN + (np.arange(rows) + offset * 100) * 7_000_000
        partition = offset % 2
        history.add_observations(partition, offset, PATIENTS, who, what, when, value, status)
        sd, quality = rng.uniform(0, 9, rows), rng.uniform(0, 1, rows).astype("f4")
        mean = np.where(np.isfinite(value), value, 1.5)
        mean[mean == 1e300] = 3.0
        history.add_estimates(partition, offset, PATIENTS, who, what, when, mean, sd, quality)
        quantiles = rng.normal(80, 9, (rows, 3, 3)).astype("f4")
        quantiles[when // 1_000_000 % 5 == 0, :2] = np.nan
        history.add_forecasts(partition, offset, PATIENTS, who, what, when, quantiles)
        history.add_transitions(
            partition, offset,
            [
                Transition(
                    id=f"{number}-{offset}", alarm=f"{number}", patient=PATIENTS[number], condition=f"limit.{number % 2}",
                    signal=["heart_rate", "", "spo2"][number % 3], presence=["on", "off"][offset % 2], onset=BEGIN,
                    time=BEGIN + offset // 3 * 600_000_000, value=float(offset), note='he said "no"\n\\',
                    explanation={"mean": np.float64(1.5), "of": [1, None, "ü"]},
                )
                for number in range(5)
            ],
        )  # fmt: skip
        facts = [
            Fact(
                patient=PATIENTS[number],
                kind=kind,
                id=["", f"{offset}"][number % 2],
                time=BEGIN + offset // 2,
                value=value,
                note=f"{offset}",
                received=BEGIN + offset,
            )
            for number, (kind, value) in enumerate([("meal", 30.0), ("note", 'slept, "well"'), ("x=y z", None)])
        ]
        history.add_facts(partition, offset, facts)
        stay = Stay(
            patient="a", admitted=BEGIN + offset // 2, begin=BEGIN, discharged=offset % 2 * BEGIN, ward='y, "z"\\'
        )
        history.add_stays(partition, offset, [stay])
        history.add_chances(partition, offset, chances(rng, offset))
        history.complete(partition, offset)
        if offset == 6:  # replayed, and different: it must be ignored
            history.add_facts(0, 6, [Fact(patient="a", kind="meal", time=BEGIN, value=99.0)])
            history.complete(0, 6)
    return offset


def chances(rng: np.random.Generator, offset: int) -> JudgedChances:
    """Some chances, each with a moment of its own; one in ten is no probability."""
    rows = [
        (
            PATIENTS[rng.integers(0, 5)],
            int(rng.choice(SIGNALS)),
            int(rng.integers(0, 2)),
            int(rng.integers(0, 2)),
            BEGIN + int(rng.integers(0, SPAN // 1000)) * 1000 + offset,
            float(rng.choice([0.0, 0.04, 0.3, 0.31, 0.7, 1.0, 1e-30, np.nan])),
            int(rng.integers(0, 2)),
        )
        for _ in range(40)
    ]
    return judged(dict(zip(PATIENTS, WARDS, strict=True)), rows)


@pytest.fixture(params=[(1, False), (2, True)], ids=["plain", "corrected"])
async def both(request, file: File, history: InfluxHistory) -> tuple[File, InfluxHistory]:
    for one in (file.history, history):
        fill(one, *request.param)
    file.flush()
    await history.settled()
    return file, history


def same(result, wanted, *, near: bool = False) -> None:
    names = wanted._fields if hasattr(wanted, "_fields") else wanted.__slots__
    for name in names:
        one, other = getattr(result, name), getattr(wanted, name)
        assert one.dtype == other.dtype
        if near:
            np.testing.assert_allclose(one, other, rtol=1e-12)
        else:
            np.testing.assert_array_equal(one, other)


async def test_readings(both) -> None:
    file, history = both
    rows = 0
    for patient in PATIENTS:
        for signal in SIGNALS:
            for window in (EVER, (BEGIN + 1, BEGIN + SPAN // 2), (BEGIN, BEGIN), (5, 1)):
                wanted = await file.history.observations(patient, signal, *window)
                same(await history.observations(patient, signal, *window), wanted)
                rows += len(wanted.time)
            for points in (1, 7, 300):
                window = (BEGIN - 11, BEGIN + SPAN + 5)
                wanted = await file.history.observations(patient, signal, *window, points=points)
                same(await history.observations(patient, signal, *window, points=points), wanted, near=True)
            wide = (0, 1 << 53)
            wanted = await file.history.observations(patient, signal, *wide, points=40)
            same(await history.observations(patient, signal, *wide, points=40), wanted, near=True)
    assert rows > 200
    for patient in PATIENTS:
        for window in (EVER, (BEGIN + 1, BEGIN + SPAN // 2), (BEGIN, BEGIN)):
            every = await file.history.all_observations(patient, *window)
            # InfluxDB is asked for the signals of the table alone.
            for history_of in (file.history, history):
                for signal in SIGNALS[:2]:
                    wanted = await history_of.observations(patient, signal, *window)
                    if len(wanted.time):
                        same(every[signal], wanted)
                    else:
                        assert signal not in every
            known = await history.all_observations(patient, *window)
            assert known.keys() == every.keys() - {SIGNALS[2]}


async def test_judged_chances(both) -> None:
    file, history = both
    hour = 3_600_000_000
    begin = BEGIN // hour * hour
    statements = 0
    for signal in SIGNALS:
        for window in (EVER, (begin, begin + hour), (begin + hour, begin + 5 * hour), (begin, begin), (5, 1)):
            for wards in (None, [], ["A"], [WARDS[1], "", "nobody's"], [f"{number}" for number in range(60)] + ["A"]):
                wanted = await file.history.track_record(signal, *window, wards)
                result = await history.track_record(signal, *window, wards)
                assert [one[:3] for one in result] == [one[:3] for one in wanted]
                for one, other in zip(result, wanted, strict=True):
                    assert (one.scores.count, one.scores.came) == (other.scores.count, other.scores.came)
                    np.testing.assert_allclose(one.scores.stated_sum, other.scores.stated_sum, rtol=1e-12)
                    np.testing.assert_allclose(one.scores.squares, other.scores.squares, rtol=1e-12)
                statements += sum(one.scores.statements for one in wanted)
    assert statements > 1000
    file.history.add_chances(1, 9, chances(np.random.default_rng(3), 9))  # offset 9 is complete
    history.add_chances(1, 9, chances(np.random.default_rng(3), 9))
    file.flush()
    await history.settled()
    before = sum(one.scores.statements for one in await file.history.track_record(0, *EVER))
    assert sum(one.scores.statements for one in await history.track_record(0, *EVER)) == before


async def test_chances_written_twice_count_once(history: InfluxHistory, settings: Settings) -> None:
    """A worker that starts from an older checkpoint judges again what another one has already written."""
    several = chances(np.random.default_rng(7), 1)
    history.add_chances(0, 1, several)
    history.complete(0, 1)
    await history.settled()
    wanted = [await history.track_record(signal, *EVER) for signal in SIGNALS]
    again = InfluxHistory(settings, writes=True)
    again.add_chances(0, 1, several)
    again.complete(0, 1)
    await again.settled()
    again.close()
    result = [await history.track_record(signal, *EVER) for signal in SIGNALS]
    assert [[(one[:3], one.scores.count) for one in part] for part in result] == [
        [(one[:3], one.scores.count) for one in part] for part in wanted
    ]
    assert sum(one.scores.statements for part in result for one in part) > 20


async def test_pages_of_readings(both) -> None:
    file, history = both
    for patient, limit in (("a", 1), ("a", 5), ("bed 7", 1000), ("nobody", 3)):
        cursor, pages = None, 0
        while True:
            wanted = await file.history.observations_page(patient, 0, *EVER, cursor=cursor, limit=limit)
            result = await history.observations_page(patient, 0, *EVER, cursor=cursor, limit=limit)
            same(result.series, wanted.series)
            assert result.cursor == wanted.cursor
            cursor, pages = wanted.cursor, pages + 1
            if cursor is None or pages > 20:
                break
    with pytest.raises(ValueError, match="invalid literal"):
        await history.observations_page("a", 0, *EVER, cursor="x")


async def test_estimates(both) -> None:
    file, history = both
    window = (BEGIN - 3, BEGIN + SPAN)
    for patient in PATIENTS:
        for signal in SIGNALS:
            wanted = await file.history.estimates(patient, signal, *EVER)
            same(await history.estimates(patient, signal, *EVER), wanted)
            for points in (1, 4, 500):
                wanted = await file.history.estimates(patient, signal, *window, points=points)
                result = await history.estimates(patient, signal, *window, points=points)
                same(result._replace(quality=wanted.quality), wanted, near=True)
                np.testing.assert_allclose(result.quality, wanted.quality, rtol=1e-6)


async def test_forecasts(both) -> None:
    file, history = both
    rows = 0
    for patient in PATIENTS:
        for signal in SIGNALS:
            for window in (EVER, (BEGIN + 1, BEGIN + SPAN // 2), (BEGIN, BEGIN), (5, 1)):
                wanted = await file.history.forecasts(patient, signal, *window)
                same(await history.forecasts(patient, signal, *window), wanted)
                rows += len(wanted.time)
            for points in (1, 7, 300):
                window = (BEGIN - 11, BEGIN + SPAN + 5)
                wanted = await file.history.forecasts(patient, signal, *window, points=points)
                assert len(wanted.time) <= points
                same(await history.forecasts(patient, signal, *window, points=points), wanted)
            wide = (0, 1 << 53)
            wanted = await file.history.forecasts(patient, signal, *wide, points=40)
            same(await history.forecasts(patient, signal, *wide, points=40), wanted)
    assert rows > 200


@pytest.mark.parametrize("ascending", [False, True])
@pytest.mark.parametrize("latest", [False, True])
@pytest.mark.parametrize("limit", [1, 4, 100])
async def test_pages_of_transitions(both, ascending: bool, latest: bool, limit: int) -> None:
    file, history = both
    for patient in (None, "a", ["a", "ä\n%"], [], [f"{n}" for n in range(60)] + ["a"]):
        for window in (EVER, (BEGIN, BEGIN + 600_000_001), (BEGIN + 1, BEGIN + 1)):
            cursor, pages = None, 0
            while True:
                given = {"cursor": cursor, "limit": limit, "ascending": ascending, "latest": latest}
                wanted = await file.history.alarms(patient, *window, **given)
                assert await history.alarms(patient, *window, **given) == wanted
                cursor, pages = wanted.cursor, pages + 1
                if cursor is None or pages > 6:
                    break


async def test_alarms_by_name_their_latest_and_facts(both) -> None:
    file, history = both
    for name in ("0", "4", 'no" or true'):
        wanted = await file.history.alarm(name)
        assert await history.alarm(name) == wanted
    assert len(await history.alarm("0")) == 12
    assert await history.latest() == await file.history.latest()
    assert await history.latest(["a"]) == await file.history.latest(["a"])
    for patient in PATIENTS:
        for window in (EVER, (BEGIN + 1, BEGIN + 3)):
            assert await history.facts(patient, *window) == await file.history.facts(patient, *window)
        assert await history.stays(patient) == await file.history.stays(patient)
    for window in (EVER, (BEGIN, BEGIN + 1), (BEGIN + 3, BEGIN + 4), (BEGIN - 9, BEGIN), (0, 1)):
        assert await history.stays_within(*window) == await file.history.stays_within(*window)
        wanted = await burden_of(file.history, *window, ["", "A"])
        assert await burden_of(history, *window, ["", "A"]) == wanted
    assert len(await history.stays_within(*EVER)) == 6
    for cursor in ("", "1", "a:b:c"):
        with pytest.raises(ValueError, match=r"invalid literal|unpack"):
            await history.alarms(None, *EVER, cursor=cursor)


async def test_what_is_not_complete_is_not_written(history: InfluxHistory) -> None:
    one = np.zeros(1, "u4"), np.zeros(1, "u2"), np.array([BEGIN]), np.ones(1), np.zeros(1, "u1")
    history.add_observations(0, 0, ["a"], *one)
    await history.settled()
    assert len((await history.observations("a", 0, *EVER)).time) == 0
    history.complete(0, 0)
    await history.settled()
    assert (await history.observations("a", 0, *EVER)).value.tolist() == [1.0]


async def test_a_reading_again_replaces_it(history: InfluxHistory) -> None:
    for offset, (value, status) in enumerate([(70.0, 0), (700.0, 2), (np.nan, 9), (71.0, 11)]):
        one = np.zeros(1, "u4"), np.zeros(1, "u2"), np.array([BEGIN]), np.array([value]), np.array([status], "u1")
        history.add_observations(0, offset, ["a"], *one)
        history.complete(0, offset)
        await history.settled()
        result = await history.observations("a", 0, *EVER)
        np.testing.assert_array_equal(result, Series(np.array([BEGIN]), one[3], one[4]))
        buckets = await history.observations("a", 0, BEGIN, BEGIN + 10, points=5)
        assert buckets.mean.tolist() == ([] if status in UNBELIEVED else [value])


def test_columns_that_could_not_be_told_are_refused(tmp_path: Path, history: InfluxHistory) -> None:
    with pytest.raises(ValueError, match="not listed"):
        history.add_observations(
            0, 0, ["a"], np.array([7], "u4"), np.zeros(1, "u2"), np.zeros(1, "i8"), np.zeros(1), np.zeros(1, "u1")
        )
    item = Transition(id="a", alarm="a", patient="a", condition="c", presence="on", onset=0, time=0)
    item.explanation = {"what": object()}
    with pytest.raises(NotImplementedError, match="object cannot be stored"):
        history.add_transitions(0, 0, [item])
