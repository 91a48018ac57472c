"""The embedded service and its file: restored after a crash, alone on its file, on full and read-only disks."""

import asyncio
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import threading
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest

from streams.embedded.restore import open_offline
from streams.embedded.schema import examine
from streams.embedded.service import EmbeddedService
from streams.errors import LogInUse, LogUnavailable, ModelUnusable
from streams.settings import Settings
from streams.worker.site_models import site_models
from twins.records import Acknowledge, Admit, Columns, Fact, SetLimits
from twins.signals import BY_NAME

HEART_RATE = BY_NAME["heart_rate"].code


def readings(service, count=50, patients=("p1", "p2"), value=72.0):
    """``count`` readings of each patient, a second apart, up to now."""
    now = service.clock.now()
    places = np.tile(np.arange(len(patients), dtype="u4"), count)
    ago = np.repeat(np.arange(count)[::-1], len(patients))
    time = now - 1_000_000 * ago
    size = len(places)
    return Columns(list(patients), places, np.full(size, HEART_RATE, "u2"), time.astype("i8"), np.full(size, value))


async def started_and_stopped(settings):
    """Start and stop a service."""
    service = EmbeddedService(settings)
    await service.start()
    await service.stop()


async def until(true):
    """Wait for an effect of another thread."""
    async with asyncio.timeout(180):
        while not true():  # noqa: ASYNC110 - threads set no event of this loop
            await asyncio.sleep(0.01)


async def settled(service):
    """Wait until every durable reading has been processed by its twin."""
    await until(lambda: not service.health()["lag_readings"])


async def test_what_was_acknowledged_is_there_after_an_end_and_a_start(tmp_path):
    settings = Settings(database=tmp_path / "v.db", checkpoint_seconds=1)
    first = EmbeddedService(settings)
    heard = []
    first.listen(heard.append)
    await first.start()
    for patient in ("p1", "p2"):
        await first.append(Admit(patient=patient, ward="A", bed=patient, by="test"))
    await first.append(SetLimits(signal="heart_rate", ward="A", critical_low=60.0, delay_s=0.0, by="test"))
    await first.append(Fact(patient="p1", kind="consciousness", value="A", time=first.clock.now(), by="test"))
    await first.observe(readings(first, patients=("p1",)), "monitor")
    await first.observe(readings(first, patients=("p2",), value=50.0), "monitor")
    await until(lambda: any(outcome.transitions for outcome in heard))
    (alarm,) = {one.alarm for outcome in heard for one in outcome.transitions if one.condition == "limit.critical_low"}
    await first.append(Acknowledge(patient="p2", alarm=alarm, by="nurse", note="seen"))
    await until(lambda: any(one.presence == "acknowledged" for outcome in heard for one in outcome.transitions))
    before = [first.worker.complete(partition) for partition in sorted(first.worker.banks)]
    await first.stop()

    second = EmbeddedService(settings)
    result = []
    second.listen(result.append)
    await second.start()
    after = {outcome.partition: outcome for outcome in result if outcome.complete}
    assert second.ward_limits("A") == {"heart_rate": {"critical_low": 60.0, "delay_s": 0.0}}
    assert sorted(profile.patient for profile in second.registry.profiles()) == ["p1", "p2"]
    for outcome in before:
        restored = after[outcome.partition]
        assert [(one.alarm, one.presence, one.by) for one in restored.transitions] == [
            (one.alarm, one.presence, one.by) for one in outcome.transitions
        ]
        if outcome.estimates:
            assert restored.estimates.mean == outcome.estimates.mean
            assert restored.estimates.belief == outcome.estimates.belief
    series = await second.history.observations("p1", HEART_RATE, 0, 1 << 60)
    assert len(series.time) == 50
    await second.stop()


async def test_a_service_that_was_away_calls_no_sensor_silent_for_that(tmp_path):
    """Three minutes of service time pass between its end and its next start; heart rate counts as silent after 20 s."""
    settings = Settings(database=tmp_path / "v.db", tick_seconds=0.2)
    first = EmbeddedService(settings)
    await first.start()
    await first.append(Admit(patient="p1", ward="A", by="test"))
    await first.observe(readings(first, patients=("p1",)), "monitor")
    await settled(first)
    await first.stop()

    second = EmbeddedService(settings)
    second.clock.advance_to(second.clock.now() + 180_000_000)
    heard = []
    second.listen(heard.append)
    await second.start()
    offsets = dict(second.worker.offsets)
    await until(lambda: all(second.worker.offsets[at] > offset + 3 for at, offset in offsets.items()))
    bank = next(bank for bank in second.worker.banks.values() if "p1" in bank.index)
    assert not bank.alarms
    assert not [one for outcome in heard for one in outcome.transitions if one.condition == "sensor.silent"]
    silent = second.clock.now() + 25_000_000  # in steps: a jump would count as another absence
    while second.clock.now() < silent:
        second.clock.advance_to(second.clock.now() + 2_000_000)
        await asyncio.sleep(0.3)
    assert [alarm.condition for alarm in bank.alarms.values()] == ["sensor.silent"]
    await second.stop()


async def test_a_second_service_on_the_file_is_refused_by_name_of_the_first(tmp_path):
    settings = Settings(database=tmp_path / "v.db")
    first = EmbeddedService(settings)
    await first.start()
    with pytest.raises(LogInUse, match=f"process {os.getpid()}"):
        await EmbeddedService(settings).start()
    await first.stop()
    third = EmbeddedService(settings)
    await third.start()
    await third.stop()


@pytest.mark.fault
def test_the_lock_goes_with_a_killed_process(tmp_path):
    code = (
        "import asyncio, sys\nfrom streams.embedded.service import EmbeddedService\nfrom streams.settings import Settings\n"
        "async def main():\n"
        f"    service = EmbeddedService(Settings(database={str(tmp_path / 'v.db')!r}))\n"
        "    await service.start()\n    print('up', flush=True)\n    await asyncio.sleep(60)\n"
        "asyncio.run(main())"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=Path(__file__).parents[3]) as other:
        assert other.stdout.readline() == b"up\n"
        service = EmbeddedService(Settings(database=tmp_path / "v.db"))
        with pytest.raises(LogInUse):
            asyncio.run(service.start())
        other.send_signal(signal.SIGKILL)
        other.wait()
    asyncio.run(started_and_stopped(Settings(database=tmp_path / "v.db")))


async def test_a_file_of_other_partitions_is_refused(tmp_path):
    service = EmbeddedService(Settings(database=tmp_path / "v.db", partitions=2))
    await service.start()
    await service.stop()
    with pytest.raises(LogUnavailable, match="made with partitions 2, not 3"):
        await EmbeddedService(Settings(database=tmp_path / "v.db", partitions=3)).start()


async def test_no_database_is_told_as_such(tmp_path):
    (tmp_path / "v.db").write_bytes(b"patient,time,signal\n" * 1000)
    with pytest.raises(LogUnavailable, match="not a database"):
        await EmbeddedService(Settings(database=tmp_path / "v.db")).start()
    with pytest.raises(LogUnavailable, match="not a database"):
        examine(tmp_path / "v.db")


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 6 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("mounting a small tmpfs needs root and mount")
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", place], capture_output=True, check=False)
    if made.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {made.stderr.decode().strip()}")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


async def poured(service):
    """Readings taken until the disk was full."""
    taken = 0
    for number in range(1_000):
        columns = readings(service, count=1_000, patients=("p1",))
        columns = Columns(columns.patients, columns.patient, columns.signal, columns.time + number, columns.value)
        try:
            await service.observe(columns, "monitor")
        except LogUnavailable as refused:
            assert "full" in str(refused)  # noqa: PT017 - the readings before the error are needed as well
            return taken
        taken += len(columns)
    pytest.fail("the disk does not fill")


@pytest.mark.fault
async def test_a_full_disk_refuses_keeps_what_it_took_and_goes_on_when_there_is_room(small_disk):
    settings = Settings(database=small_disk / "v.db", checkpoint_seconds=3600)
    service = EmbeddedService(settings)
    await service.start()
    await service.append(Admit(patient="p1", ward="A", by="test"))
    filler = small_disk / "filler"
    filler.write_bytes(bytes(shutil.disk_usage(small_disk).free - (1 << 20)))
    taken = await poured(service)
    assert taken > 0
    assert not service.health()["ready"]
    assert "full" in service.health()["log"]
    filler.unlink()
    await service.observe(readings(service, count=1, patients=("p1",)), "monitor")
    await until(lambda: service.health()["ready"])
    await settled(service)
    await service.stop()
    with open_offline(settings.database) as file:
        logged = sum(
            len(entry.record.columns)
            for partition in range(file.partitions)
            for entry in file.entries(partition)
            if hasattr(entry.record, "columns")
        )
    assert logged == taken + 1


async def test_the_write_ahead_file_begins_anew_under_load_and_is_gone_afterwards(tmp_path, monkeypatch):
    monkeypatch.setattr("streams.embedded.wal._EVERY_S", 0.02)
    monkeypatch.setattr("streams.embedded.wal._LARGE_PAGES", 40)
    settings = Settings(database=tmp_path / "v.db")
    service = EmbeddedService(settings)
    await service.start()
    await service.append(Admit(patient="p1", ward="A", by="test"))
    most = 0
    for number in range(5_000):
        columns = readings(service, count=500, patients=("p1",))
        await service.observe(
            Columns(columns.patients, columns.patient, columns.signal, columns.time + number, columns.value), "monitor"
        )
        pages = service.counters()["log_wal_pages"]
        if pages <= 40 < most:
            break  # however much was written since, and however slow the other threads were
        most = max(most, pages)
    else:
        pytest.fail(f"the write-ahead file only grows: {most} pages")
    file = tmp_path / "v.db-wal"
    await settled(service)
    await service.stop()
    assert not file.exists()


@pytest.mark.fault
def test_a_read_only_file_is_told_at_the_start(small_disk):
    settings = Settings(database=small_disk / "v.db")
    asyncio.run(started_and_stopped(settings))
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with pytest.raises(LogUnavailable, match=r"[Rr]ead-only"):
        asyncio.run(started_and_stopped(settings))


async def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(LogUnavailable):
        await EmbeddedService(Settings(database=tmp_path)).start()


async def test_a_caller_who_gave_up_does_not_stop_the_writer(tmp_path):
    service = EmbeddedService(Settings(database=tmp_path / "v.db"))
    await service.start()
    gone = [asyncio.create_task(service.observe(readings(service), "monitor")) for _ in range(20)]
    await asyncio.sleep(0)
    for task in gone:
        task.cancel()
    await asyncio.gather(*gone, return_exceptions=True)
    await service.append(Admit(patient="p9", ward="A", by="test"))
    await service.observe(readings(service, patients=("p9",)), "monitor")
    assert service.health()["log"] == "ok"
    await service.stop()


async def test_the_writer_outlives_whatever_goes_wrong_in_clearing_up(tmp_path, monkeypatch):
    service = EmbeddedService(Settings(database=tmp_path / "v.db"))

    def broken(*_):
        raise RuntimeError("a lot cannot be read")

    monkeypatch.setattr(service.history, "retain", broken)
    monkeypatch.setattr(service.history, "compact", broken)
    monkeypatch.setattr("streams.embedded.commit._RETAIN_EVERY_S", 0.0)
    await service.start()
    await service.append(Admit(patient="p1", ward="A", by="test"))
    await until(lambda: service.health()["log"] != "ok")
    assert "a lot cannot be read" in service.health()["log"]
    await service.observe(readings(service, patients=("p1",)), "monitor")
    monkeypatch.undo()
    await until(lambda: service.health()["log"] == "ok")
    assert service.counters()["log_failures"] > 0
    await service.stop()


def entry(monkeypatch, value):
    found = (EntryPoint("mine", value, "vitaltwin.models"),)
    monkeypatch.setattr(
        "streams.worker.site_models.entry_points", lambda group: found if group == "vitaltwin.models" else ()
    )


def test_a_site_model_is_found_by_its_entry_point(monkeypatch):
    entry(monkeypatch, "twins.models.channel.model:Channel")
    (model,) = site_models()
    assert model.name == "channel"


@pytest.mark.parametrize(
    ("value", "why"), [("nowhere:Model", "cannot be loaded"), ("json:loads", "no SiteModel"), ("math:pi", "no Site")]
)
def test_a_site_model_that_is_none_stops_the_start(monkeypatch, value, why):
    entry(monkeypatch, value)
    with pytest.raises(ModelUnusable, match=why):
        site_models()


def struck(name, error=SystemExit):
    """End a thread of this process with an injected exception, like a fault of the interpreter."""
    (thread,) = [one for one in threading.enumerate() if one.name == name]
    assert ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(error)) == 1


@pytest.mark.fault
@pytest.mark.parametrize("name", ["worker", "group-commit"])
async def test_a_thread_that_ends_is_told_and_nothing_is_taken_any_more(tmp_path, name):
    settings = Settings(database=tmp_path / "v.db", checkpoint_seconds=1)
    service = EmbeddedService(settings)
    await service.start()
    await service.append(Admit(patient="p1", ward="A", by="test"))
    await service.observe(readings(service, patients=("p1",)), "monitor")
    await settled(service)
    await until(lambda: service.health()["ready"])
    struck(name)
    reason = await asyncio.wait_for(service.failed(), 60)
    assert "SystemExit" in reason
    health = service.health()
    assert not health["ready"]
    assert "SystemExit" in (health["twins"] if name == "worker" else health["log"])
    for doing in (
        service.observe(readings(service, patients=("p1",)), "monitor"),
        service.append(Admit(patient="p2", ward="A", by="test")),
    ):
        with pytest.raises(LogUnavailable, match="SystemExit"):
            await asyncio.wait_for(doing, 60)
    await asyncio.wait_for(service.stop(), 60)
    again = EmbeddedService(settings)
    await again.start()
    assert again.registry.known("p1")
    assert not again.registry.known("p2")
    assert sum(int(bank.rows) for bank in again.worker.banks.values()) == 1
    await again.stop()
