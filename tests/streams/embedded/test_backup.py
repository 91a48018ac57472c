"""Backup of the embedded file while a service writes, and restore."""

import asyncio
import sqlite3
import stat
from contextlib import closing

import numpy as np
import pytest

from streams.embedded.backup import backup, restore_backup
from streams.embedded.restore import open_offline
from streams.embedded.schema import examine
from streams.embedded.service import EmbeddedService
from streams.errors import LogInUse, LogUnavailable
from streams.settings import Settings
from tests.streams.embedded.test_service import readings, settled, started_and_stopped
from twins.records import Admit, Columns


def logged(path):
    """Effective times of the readings in a file's log, in order."""
    with open_offline(path) as file:
        return [
            int(time)
            for partition in range(file.partitions)
            for entry in file.entries(partition)
            if hasattr(entry.record, "columns")
            for time in entry.record.columns.time
        ]


@pytest.mark.fault
async def test_a_copy_taken_under_load_holds_everything_acknowledged_before_it_began(tmp_path):
    service = EmbeddedService(Settings(database=tmp_path / "v.db", checkpoint_seconds=1))
    await service.start()
    await service.append(Admit(patient="p1", ward="A", by="test"))
    base = service.clock.now() - 3_600_000_000
    taken = 0
    going = True

    async def pour():
        nonlocal taken
        while going:
            time = np.arange(taken, taken + 500, dtype="i8") + base
            columns = readings(service, count=500, patients=("p1",))
            await service.observe(
                Columns(columns.patients, columns.patient, columns.signal, time, columns.value), "monitor"
            )
            taken += 500

    pouring = asyncio.create_task(pour())
    copies = []
    for number in range(4):
        await asyncio.sleep(0.3)
        before = taken
        copy = tmp_path / f"copy-{number}.db"
        copied = await asyncio.to_thread(backup, tmp_path / "v.db", copy)
        copies.append((copy, before, copied))
    going = False
    await pouring
    await settled(service)
    await service.stop()
    assert taken > copies[0][1]
    for copy, before, copied in copies:
        assert examine(copy) == "ok"
        assert not copy.with_name(f"{copy.name}-wal").exists()
        assert stat.S_IMODE(copy.stat().st_mode) == 0o600
        times = logged(copy)
        assert times == list(range(base, base + len(times)))
        assert len(times) >= before
        with closing(sqlite3.connect(copy)) as file:
            assert file.execute("SELECT count(*) FROM log").fetchone()[0] == copied.rows["log"]
        await started_and_stopped(Settings(database=copy))


async def test_a_copy_put_back_is_what_it_was_and_the_other_file_stays(tmp_path):
    path, copy = tmp_path / "v.db", tmp_path / "copy.db"
    service = EmbeddedService(Settings(database=path))
    await service.start()
    await service.append(Admit(patient="p1", ward="A", by="test"))
    await service.observe(readings(service, patients=("p1",)), "monitor")
    await asyncio.to_thread(backup, path, copy)
    wanted = logged(copy)
    await service.observe(readings(service, count=7, patients=("p1",)), "monitor")
    with pytest.raises(LogInUse):
        restore_backup(copy, path)
    with pytest.raises(LogUnavailable, match="there already"):
        backup(path, copy)
    await service.stop()
    (tmp_path / "v.db-wal").write_bytes(b"left by a crash")
    _, aside = restore_backup(copy, path)
    assert logged(path) == wanted
    assert aside == tmp_path / "v.db.before-1"
    assert not (tmp_path / "v.db-wal").exists()
    again = EmbeddedService(Settings(database=path))
    await again.start()
    assert again.registry.known("p1")
    await again.stop()
    assert restore_backup(copy, tmp_path / "new.db")[1] is None


def test_what_is_damaged_or_no_copy_is_refused_and_nothing_is_changed(tmp_path):
    path = tmp_path / "v.db"
    asyncio.run(started_and_stopped(Settings(database=path)))
    copy = tmp_path / "copy.db"
    backup(path, copy)
    held = path.read_bytes()
    whole = bytearray(copy.read_bytes())
    whole[16384 * 3 : 16384 * 4] = bytes(16384)
    copy.write_bytes(whole)
    (tmp_path / "text.db").write_bytes(b"patient,time\n" * 4000)
    for bad in (copy, tmp_path / "text.db"):
        with pytest.raises(LogUnavailable):
            restore_backup(bad, path)
        assert path.read_bytes() == held
    with pytest.raises(LogUnavailable, match="there is no"):
        backup(tmp_path / "none.db", tmp_path / "other.db")
    with pytest.raises(LogUnavailable, match="cannot write"):
        backup(path, tmp_path / "nowhere" / "copy.db")
    assert {one.name for one in tmp_path.iterdir() if "partial" in one.name or "restoring" in one.name} == set()
