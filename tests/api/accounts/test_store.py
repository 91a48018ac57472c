"""The accounts database, which on SQLite shares its file with the log, and its errors."""

import asyncio
import sqlite3
import threading
import time

import pytest

from api.accounts import Accounts, database, errors
from tests.api.accounts.conftest import PASSWORD, held, in_a_file


class Log(threading.Thread):
    """Commits to the same file as fast as possible, and measures its longest wait."""

    def __init__(self, path):
        super().__init__()
        self.path, self.stop, self.commits, self.longest = path, threading.Event(), 0, 0.0

    def run(self):
        connection = sqlite3.connect(self.path, isolation_level=None, timeout=10)
        connection.execute("CREATE TABLE IF NOT EXISTS log (id INTEGER PRIMARY KEY, frame BLOB)")
        while not self.stop.is_set():
            started = time.perf_counter()
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("INSERT INTO log (frame) VALUES (?)", (b"x" * 1000,))
            connection.execute("COMMIT")
            self.longest = max(self.longest, time.perf_counter() - started)
            self.commits += 1
            time.sleep(0.002)
        connection.close()


@in_a_file
async def test_both_get_on_with_each_other(accounts, system, url):
    log = Log(url.removeprefix("sqlite:///"))
    log.start()
    try:
        await accounts.create_account(system, "ada", "clinician", password=PASSWORD)
        for count in range(20):
            signed_in = await accounts.sign_in("ada", PASSWORD, f"192.0.2.{count}")
            made = await accounts.create_device(system, f"monitor {count}")
            accounts.audit(signed_in.actor, "patient.read", "p1")
            await accounts.revoke_device(system, made.device.id)
        async with asyncio.timeout(20):  # the log must not stop meanwhile
            while log.commits <= 20:
                made = await accounts.create_device(system, "late")
                await accounts.revoke_device(system, made.device.id)
    finally:
        log.stop.set()
        log.join()
    assert log.commits > 20
    assert log.longest < 2


async def test_many_at_once(accounts, system):
    made = await asyncio.gather(*(accounts.create_device(system, f"monitor {count}") for count in range(50)))
    assert len({key.device.id for key in made}) == 50
    assert all(accounts.authenticate_device(key.key).name == key.device.name for key in made)


async def test_a_store_held_for_too_long_is_an_error_of_ours(url, clock, cheap, monkeypatch):
    monkeypatch.setattr(database, "BUSY_TIMEOUT_MS", 50)
    accounts = Accounts(url, clock, passwords=cheap)
    await accounts.open()
    with held(url):
        with pytest.raises(errors.StoreUnavailable, match=r"locked|lock timeout"):
            await accounts.create_account(accounts.system_actor(), "ada", "viewer")
        assert await accounts.list_accounts(accounts.system_actor()) == []  # reading still works
    await accounts.create_account(accounts.system_actor(), "ada", "viewer")
    await accounts.close()


async def test_a_folder_that_is_not_there(tmp_path, clock):
    accounts = Accounts(f"sqlite:///{tmp_path}/missing/file.db", clock)
    with pytest.raises(errors.StoreUnavailable):
        await accounts.open()
    await accounts.close()


async def test_a_file_that_is_no_database(tmp_path, clock):
    (tmp_path / "notes.txt").write_text("not a database " * 1000)
    accounts = Accounts(f"sqlite:///{tmp_path}/notes.txt", clock)
    with pytest.raises(errors.StoreUnavailable):
        await accounts.open()
    await accounts.close()


async def test_upkeep_stamps_sweeps_and_outlives_a_failure(accounts, system, monkeypatch):
    for name, value in (("REFRESH_S", 0.01), ("STAMP_EVERY", 1), ("PRUNE_EVERY", 2)):
        monkeypatch.setattr(f"api.accounts.store.{name}", value)
    made = await accounts.create_device(system, "monitor")
    accounts.authenticate_device(made.key)
    calls, refresh = [], accounts._devices.refresh

    async def flaky():
        calls.append(1)
        if len(calls) == 2:
            raise errors.StoreUnavailable("busy")
        await refresh()

    monkeypatch.setattr(accounts._devices, "refresh", flaky)
    upkeep = asyncio.create_task(accounts._keep_up())
    async with asyncio.timeout(5):
        while len(calls) < 5:  # noqa: ASYNC110  there is nothing to wait on from outside
            await asyncio.sleep(0.01)
    upkeep.cancel()
    assert accounts._devices._used == {}
    assert (await accounts.list_devices(system))[0].last_used is not None


async def test_who_is_rechecked(accounts, system):
    for actor in (accounts.demo_actor(), system):
        assert await accounts.recheck(actor) == actor
    from_nowhere = accounts.demo_actor().__class__(kind="anonymous", name="x")
    with pytest.raises(errors.Unauthenticated):
        await accounts.recheck(from_nowhere)


async def test_nothing_to_sign_out_of(accounts):
    await accounts.sign_out(accounts.demo_actor())
    assert (await accounts.audit_page(accounts.system_actor())).entries == []


async def test_counters(accounts, system):
    await accounts.create_device(system, "monitor")
    counters = accounts.counters()
    assert counters["devices"] == counters["audit_pending"] + counters["audit_written"] == 1
