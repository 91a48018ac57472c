"""Files with changed bytes, and files under two names: the effect of a start and of a repair."""

import os
import random
import sqlite3
from contextlib import closing, suppress

import pytest

from streams.clock import Clock
from streams.embedded.repair import repair
from streams.embedded.schema import examine
from streams.embedded.service import EmbeddedService
from streams.errors import LogInUse, LogUnavailable, StreamsError
from streams.settings import Settings
from tests.streams.embedded.test_service import HEART_RATE, readings, settled, started_and_stopped, until
from twins.records import Admit, SetLimits

PATIENTS = ("p1", "p2", "p3")


@pytest.fixture
async def path(tmp_path):
    """A file of three patients, in which every checkpoint has an older one."""
    path = tmp_path / "v.db"
    for _ in range(2):
        service = EmbeddedService(Settings(database=path))
        await service.start()
        for patient in PATIENTS:
            await service.append(Admit(patient=patient, ward="A", bed=patient, by="test"))
        await service.append(SetLimits(signal="heart_rate", ward="A", critical_low=60.0, by="test"))
        await service.observe(readings(service, patients=PATIENTS), "monitor")
        await until(lambda service=service: service.health()["twins"] == "ok")
        await settled(service)
        await service.stop()
    return path


def changed(path, statement, *values):
    with closing(sqlite3.connect(path)) as file:
        count = file.execute(statement, values).rowcount
        file.commit()
    return count


async def seen(path):
    """By patient the number of readings of its twin, and the messages of the start."""
    service = EmbeddedService(Settings(database=path))
    result = []
    service.listen(result.append)
    await service.start()
    counts = {
        profile.patient: int(bank.state[bank.slot[bank.index[profile.patient], HEART_RATE], 8])
        for bank in service.worker.banks.values()
        for profile in bank.profiles
    }
    health = service.health()
    limits = service.ward_limits("A")
    await service.stop()
    return counts, health, limits


@pytest.mark.parametrize("how", ["flipped", "shorter", "empty"])
async def test_broken_checkpoints_are_replaced_from_older_ones_and_the_log(path, how):
    whole, health, limits = await seen(path)
    assert health["restore"] == "ok"
    assert set(whole) == set(PATIENTS)
    with closing(sqlite3.connect(path)) as file:
        rows = file.execute("SELECT partition, number, block FROM checkpoints").fetchall()
        for partition, number, block in rows:
            middle = len(block) // 2
            bad = {"flipped": block[:middle] + bytes([block[middle] ^ 4]) + block[middle + 1 :],
                   "shorter": block[:middle], "empty": b""}[how]  # fmt: skip
            file.execute(
                "UPDATE checkpoints SET block = ? WHERE partition = ? AND number = ?", (bad, partition, number)
            )
        file.commit()
    again, health, kept = await seen(path)
    assert again == whole
    assert kept == limits == {"heart_rate": {"critical_low": 60.0}}
    assert "broken checkpoints" in health["restore"]
    assert "older ones and the log" in health["restore"]
    assert (await seen(path))[1]["restore"] == "ok"  # written again


async def test_without_any_usable_checkpoint_the_log_is_enough(path):
    whole, _, limits = await seen(path)
    assert changed(path, "UPDATE checkpoints SET block = zeroblob(length(block))")
    assert changed(path, "UPDATE checkpoints_before SET checksum = 1")
    again, health, kept = await seen(path)
    assert (again, kept) == (whole, limits)
    assert "rebuilt from the log alone" in health["restore"]


async def test_a_broken_record_is_skipped_and_reported(path):
    with closing(sqlite3.connect(path)) as file:
        (number,) = file.execute(
            "SELECT id FROM log WHERE instr(record, CAST('p1' AS BLOB)) AND length(record) > 500"
        ).fetchone()
    changed(path, "UPDATE log SET record = X'C1FF00' WHERE id = ?", number)
    changed(path, "DELETE FROM checkpoints")
    changed(path, "DELETE FROM committed")
    _, health, _ = await seen(path)
    assert "cannot be read and is skipped" in health["restore"]


@pytest.mark.fault
async def test_whatever_byte_changes_a_start_or_a_repair_says_so_in_sentences(path, tmp_path):
    whole = path.read_bytes()
    chance = random.Random(11)
    result = []
    for number in range(40):
        file = tmp_path / f"changed-{number}.db"
        held = bytearray(whole)
        for _ in range(chance.choice((1, 40, 2_000))):
            held[chance.randrange(100, len(held))] ^= 1 << chance.randrange(8)
        file.write_bytes(held)
        with suppress(StreamsError):
            await started_and_stopped(Settings(database=file))
        try:
            result.append(repair(file, Clock()))
        except LogUnavailable as error:
            result.append([str(error)])
            continue
        assert examine(file) == "ok"
        await started_and_stopped(Settings(database=file))
    assert sum(map(bool, result)) > 10
    assert all("restore a backup" in one or "damage" in one or "checkpoint" in one or "copied" in one or "record" in one
               or "rebuilt" in one for some in result for one in some), result  # fmt: skip


@pytest.mark.fault
async def test_a_damaged_page_costs_its_rows_and_nothing_else(path):
    with closing(sqlite3.connect(path)) as file:
        (before,) = file.execute("SELECT count(*) FROM log").fetchone()
        pages = file.execute(
            "SELECT rootpage FROM sqlite_master WHERE name IN ('dead_letters', 'history_chunk_age')"
        ).fetchall()
    with path.open("r+b") as file:
        for (page,) in pages:
            file.seek((page - 1) * 16384)
            file.write(b"\xff" * 16384)
    done = repair(path, Clock())
    assert "was damaged" in done[0]
    assert path.with_name("v.db.damaged-1").exists()
    counts, _, _ = await seen(path)
    assert set(counts) == set(PATIENTS)
    with closing(sqlite3.connect(path)) as file:
        assert file.execute("SELECT count(*) FROM log").fetchone()[0] >= before
    assert repair(path, Clock()) == []


@pytest.mark.parametrize("link", [os.symlink, os.link])
async def test_another_name_of_a_file_in_use_is_refused(path, link):
    other = path.with_name("other.db")
    link(path, other)
    service = EmbeddedService(Settings(database=path))
    await service.start()
    with pytest.raises(LogInUse, match=f"process {os.getpid()}"):
        await EmbeddedService(Settings(database=other)).start()
    await service.stop()
    await started_and_stopped(Settings(database=other))


def test_what_is_no_file_of_ours_is_not_repaired(tmp_path):
    with pytest.raises(LogUnavailable, match="there is no"):
        repair(tmp_path / "none.db", Clock())
    (tmp_path / "text.db").write_bytes(b"patient,time\n" * 4000)
    with pytest.raises(LogUnavailable):
        repair(tmp_path / "text.db", Clock())
    assert (tmp_path / "text.db").read_bytes().startswith(b"patient,time")


async def test_damaged_rows_of_the_history_hold_nothing_else_up(path, monkeypatch):
    monkeypatch.setattr("streams.history.sqlite.compaction.READY_SEGMENTS", 1)
    assert changed(
        path,
        "UPDATE history_lot SET body = substr(body, 1, length(body) / 2) WHERE lot = (SELECT min(lot) FROM history_lot)",
    )
    service = EmbeddedService(Settings(database=path, checkpoint_seconds=1))
    await service.start()
    await service.observe(readings(service, patients=PATIENTS), "monitor")
    await settled(service)
    await until(lambda: service.health()["ready"] and not service.counters()["history_backlog"])
    assert service.health()["log"] == "ok"
    await service.stop()
    with closing(sqlite3.connect(path)) as file:
        assert file.execute("SELECT count(*) FROM history_chunk").fetchone()[0]
