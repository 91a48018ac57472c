"""The embedded service and a wall clock that is wrong, set, or left behind by the file."""

import asyncio
import sqlite3
import time
from contextlib import closing

import numpy as np
import pytest

from streams.clock import Clock
from streams.embedded.repair import repair
from streams.embedded.restore import open_offline
from streams.embedded.retention import retention_time
from streams.embedded.schema import look
from streams.embedded.service import EmbeddedService
from streams.errors import ClockApart
from streams.settings import Settings
from tests.streams.embedded.test_service import HEART_RATE, readings, settled, until
from twins.records import Admit, Columns, SetLimits, Tick

HOUR = 3_600_000_000
DAY = 24 * HOUR


class WallClock:
    """The machine's clock, ``off`` µs wrong."""

    def __init__(self, off=0):
        self.off = off

    def __call__(self):
        return Clock().now() + self.off


def reading(at, value, signal=HEART_RATE):
    return Columns(["p1"], np.zeros(1, "u4"), np.array([signal], "u2"), np.array([at], "i8"), np.array([value]))


async def begun(path, wall, **more):
    service = EmbeddedService(Settings(database=path, **({"tick_seconds": 0.1} | more)), Clock(wall=wall))
    heard = []
    service.listen(heard.append)
    await service.start()
    return service, heard


async def alarmed(service, heard):
    """Send readings of now, by the right clock, until one raises an alarm."""
    right = WallClock()
    async with asyncio.timeout(180):
        while not any(one.condition == "limit.critical_high" for outcome in heard for one in outcome.transitions):
            await service.observe(reading(right(), 170.0), "monitor")
            await asyncio.sleep(0.2)


@pytest.mark.parametrize("off", [HOUR, -HOUR, 500 * DAY, -500 * DAY])
async def test_a_clock_wrong_at_the_start_and_set_right_later(tmp_path, off):
    wall = WallClock(off)
    service, heard = await begun(tmp_path / "v.db", wall)
    await service.append(Admit(patient="p1", ward="A", by="test"))
    await service.append(SetLimits(patient="p1", signal="heart_rate", critical_high=130.0, delay_s=0.0, by="test"))
    await service.observe(reading(WallClock()(), 80.0), "monitor")
    await settled(service)
    wall.off = 0
    await alarmed(service, heard)
    assert abs(service.health()["clock_apart_s"]) < 2
    assert abs(service.clock.now() - WallClock()()) < 1_000_000
    assert service.health()["ready"]
    assert service.counters()["clock_set_back"] == (off > 0)
    await service.stop()
    with open_offline(tmp_path / "v.db") as file:
        times = [
            row[0] for row in file._connection.execute("SELECT received FROM log WHERE id < ? ORDER BY id", (1 << 48,))
        ]
        assert times == sorted(times)
        result = [
            entry.record.back for entry in file.entries(0) if isinstance(entry.record, Tick) and entry.record.back
        ]
        assert [abs(back - off) < 60_000_000 for back in result] == [True] * (off > 0)
    again, _ = await begun(tmp_path / "v.db", WallClock())
    assert {bank.time // DAY for bank in again.worker.banks.values()} == {WallClock()() // DAY}
    await again.stop()


async def test_a_second_back_is_waited_for(tmp_path):
    stands = [WallClock()()]
    service, _ = await begun(tmp_path / "v.db", lambda: stands[0])
    await service.append(Admit(patient="p1", ward="A", by="test"))
    stands[0] -= 1_500_000
    assert service.health()["clock_apart_s"] == 1.5
    await service.append(Admit(patient="p2", ward="A", by="test"))
    await settled(service)
    assert service.counters()["clock_set_back"] == 0
    await service.stop()
    with open_offline(tmp_path / "v.db") as file:
        assert {entry.record.received for at in range(file.partitions) for entry in file.entries(at)} == {
            stands[0] + 1_500_000
        }


async def test_a_machine_that_slept(tmp_path):
    """The monotonic clock stood still meanwhile; the wall clock is two hours later."""
    wall = WallClock(-2 * HOUR)
    service, heard = await begun(tmp_path / "v.db", wall)
    await service.append(Admit(patient="p1", ward="A", by="test"))
    await service.observe(reading(wall(), 80.0), "monitor")
    await settled(service)
    wall.off = 0
    await service.observe(reading(WallClock()(), 81.0), "monitor")
    await settled(service)
    newest = service.worker.complete(
        0
        if "p1" in service.worker.banks[0].index
        else next(at for at, bank in service.worker.banks.items() if "p1" in bank.index)
    ).estimates.rows["time"][0]
    assert abs(int(newest) - WallClock()()) < 60_000_000
    assert not [one for outcome in heard for one in outcome.transitions if one.condition == "sensor.silent"]
    await service.stop()


async def test_a_file_whose_time_lies_ahead_is_refused_with_what_to_do(tmp_path):
    fast = EmbeddedService(Settings(database=tmp_path / "v.db", clock_speed=3600.0, tick_seconds=0.05))
    await fast.start()
    await until(lambda: fast.clock.apart() > HOUR)
    await asyncio.sleep(0.2)
    await fast.stop()
    with pytest.raises(ClockApart, match=r"ahead of this machine's clock.*--clock-speed.*vitaltwin repair"):
        await EmbeddedService(Settings(database=tmp_path / "v.db")).start()
    # With its own clock speed, or as a demonstration, it continues.
    again = EmbeddedService(Settings(database=tmp_path / "v.db", clock_speed=2.0))
    await again.start()
    assert again.clock.apart() > HOUR
    await again.stop()
    demo = EmbeddedService(Settings(database=tmp_path / "v.db", demo=True))
    await demo.start()
    await until(lambda: demo.counters()["clock_set_back"] == 1)
    await until(lambda: demo.health()["ready"] and not demo.health()["lag_readings"])
    assert abs(demo.health()["clock_apart_s"]) < 2
    await demo.stop()
    plain = EmbeddedService(Settings(database=tmp_path / "v.db"))
    await plain.start()
    await plain.stop()


async def test_one_start_with_a_wrong_clock_costs_no_history(tmp_path, monkeypatch):
    monkeypatch.setattr("streams.embedded.commit._RETAIN_EVERY_S", 0.05)
    path = tmp_path / "v.db"
    service, _ = await begun(path, WallClock(), checkpoint_seconds=1)
    await service.append(Admit(patient="p1", ward="A", by="test"))
    await service.observe(readings(service, count=40, patients=("p1",)), "monitor")
    await settled(service)
    await service.stop()

    wrong = WallClock(500 * DAY)
    service, _ = await begun(path, wrong, checkpoint_seconds=1)
    assert "500 days" in service.health()["retention"]
    deadline = time.monotonic() + 2
    await until(lambda: time.monotonic() > deadline)
    wrong.off = 0
    await until(lambda: service.counters()["clock_set_back"] == 1)
    assert service.health()["retention"] == "ok"
    series = await service.history.observations("p1", HEART_RATE, 0, 1 << 60)
    assert len(series.time) == 40
    await service.stop()
    with open_offline(path) as file:
        assert sum(len(entry.record.columns) for at in range(file.partitions) for entry in file.entries(at)
                   if hasattr(entry.record, "columns")) == 40  # fmt: skip


async def test_a_service_that_ended_with_a_wrong_clock_is_repaired_and_has_its_history(tmp_path, monkeypatch):
    monkeypatch.setattr("streams.embedded.commit._RETAIN_EVERY_S", 0.05)
    path = tmp_path / "v.db"
    service, _ = await begun(path, WallClock())
    await service.append(Admit(patient="p1", ward="A", by="test"))
    await service.observe(readings(service, count=40, patients=("p1",)), "monitor")
    await settled(service)
    await service.stop()
    for _ in range(3):
        service, _ = await begun(path, WallClock(500 * DAY))
        await until(lambda service=service: service.counters()["log_commits"] > 12)
        await service.stop()
    with pytest.raises(ClockApart, match="500 days ahead"):
        await begun(path, WallClock())
    with closing(sqlite3.connect(path)) as file:
        before = file.execute("SELECT count(*) FROM log").fetchone()[0]
    assert repair(path, Clock()) == ["the log's time was set back by 500 days, to this machine's clock"]
    service, heard = await begun(path, WallClock())
    await service.append(SetLimits(patient="p1", signal="heart_rate", critical_high=130.0, delay_s=0.0, by="test"))
    await alarmed(service, heard)
    series = await service.history.observations("p1", HEART_RATE, 0, WallClock()() - 3_000_000)
    assert len(series.time) >= 35
    await service.stop()
    with closing(sqlite3.connect(path)) as file:
        assert file.execute("SELECT count(*) FROM log").fetchone()[0] > before


def test_a_wrong_clock_does_not_move_the_retention_time():
    time_us, agreed = 1000 * DAY, 0
    minute = 60_000_000
    for lived in range(2, 60 * 24):
        time_us, agreed = retention_time(time_us, agreed, 1500 * DAY + lived * minute, minute)
    assert time_us == 1000 * DAY
    for lived in range(60 * 24, 60 * 48):
        time_us, agreed = retention_time(time_us, agreed, 1500 * DAY + lived * minute, minute)
    assert 1020 * DAY < time_us < 1025 * DAY
    assert retention_time(time_us, agreed, 1000 * DAY, minute) == (1000 * DAY, 0)


async def test_a_log_at_its_largest_size_says_so_and_the_file_gives_room_back(tmp_path, monkeypatch):
    monkeypatch.setattr("streams.embedded.commit._RETAIN_EVERY_S", 0.05)
    monkeypatch.setattr("streams.embedded.commit._RETAIN_MORE_S", 0.01)
    monkeypatch.setattr("streams.embedded.retention._FREE_PAGES", 8)
    path = tmp_path / "v.db"
    service, _ = await begun(path, WallClock(), checkpoint_seconds=1, log_retention_bytes=200_000)
    await service.append(Admit(patient="p1", ward="A", by="test"))
    for number in range(60):
        columns = readings(service, count=2_000, patients=("p1",))
        await service.observe(
            Columns(columns.patients, columns.patient, columns.signal, columns.time + number, columns.value), "monitor"
        )
    await settled(service)
    await until(lambda: "largest size" in service.health()["retention"])
    assert "it reaches back" in service.health()["retention"]
    await until(lambda: service.counters()["log_bytes"] <= 300_000)

    def given_back():
        with closing(sqlite3.connect(path)) as file:
            (pages,), (free,) = (file.execute(f"PRAGMA {what}_count").fetchone() for what in ("page", "freelist"))
            return free <= max(8, pages // 8)  # 2.6 MB of log were deleted, half of the file

    await until(given_back)
    await service.stop()
    assert look(path).shrinks
