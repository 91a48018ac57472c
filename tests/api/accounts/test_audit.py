import asyncio
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import IntegrityError

from api.accounts import Accounts, Actor, errors
from api.accounts import audit as audit_module
from streams.clock import Clock
from tests.api.accounts.conftest import held

NURSE = Actor(kind="account", name="ada", role="clinician", wards=frozenset("A"), key="s1")


async def everything(accounts, **filters):
    entries, cursor = [], None
    while True:
        page = await accounts.audit_page(accounts.system_actor(), cursor, **filters)
        entries += page.entries
        cursor = page.next
        if cursor is None:
            return entries


async def test_an_entry_says_who_what_whose_when_and_how_it_ended(accounts, clock):
    before = clock.now()
    accounts.audit(NURSE, "patient.read", "p1", detail="history", outcome="forbidden")
    (entry,) = await everything(accounts)
    assert (entry.actor, entry.kind, entry.action, entry.patient, entry.detail, entry.outcome) == (
        "ada",
        "account",
        "patient.read",
        "p1",
        "history",
        "forbidden",
    )
    assert before <= entry.time <= clock.now()


async def test_entries_reach_the_disk_within_a_second(accounts, ask):
    assert not ask("SELECT id FROM audit_trail")
    accounts.audit(NURSE, "patient.read", "p1")
    deadline = time.monotonic() + 1
    while not ask("SELECT id FROM audit_trail"):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)
    assert accounts.counters()["audit_pending"] == 0


async def test_what_is_queued_survives_close(accounts, url, clock):
    for count in range(2500):
        accounts.audit(NURSE, "patient.read", f"p{count}")
    await accounts.close()
    again = Accounts(url, clock)
    await again.open()
    assert [entry.patient for entry in await everything(again, limit=1000)] == [f"p{n}" for n in reversed(range(2500))]
    await again.close()


async def test_recording_never_waits(accounts, url):
    """While another transaction is writing, recording goes on; all entries are written afterwards."""
    longest = 0.0
    with held(url):
        for count in range(300):
            started = time.perf_counter()
            accounts.audit(NURSE, "patient.read", f"p{count}")
            await asyncio.sleep(0.003)
            longest = max(longest, time.perf_counter() - started)
        assert accounts.counters()["audit_pending"] == 300
    assert len(await everything(accounts, limit=1000)) == 300
    assert longest < 0.5


async def test_a_failed_write_is_tried_again_and_nothing_is_written_twice(accounts, monkeypatch):
    write, failures = accounts._database.write, 2

    async def flaky(work, then=None):
        nonlocal failures
        if failures:
            failures -= 1
            raise errors.StoreUnavailable("disk full")
        return await write(work, then)

    monkeypatch.setattr(audit_module, "FLUSH_S", 0.01)
    monkeypatch.setattr(accounts._database, "write", flaky)
    for count in range(5):
        accounts.audit(NURSE, "patient.read", f"p{count}")
    async with asyncio.timeout(5):
        while accounts.counters()["audit_pending"]:  # noqa: ASYNC110  there is nothing to wait on from outside
            await asyncio.sleep(0.01)
    assert failures == 0
    assert [entry.patient for entry in await everything(accounts)] == ["p4", "p3", "p2", "p1", "p0"]


async def test_readers_who_give_up_do_not_double_entries(accounts):
    for count in range(200):
        accounts.audit(NURSE, "patient.read", f"p{count}")
        reader = asyncio.create_task(everything(accounts))
        await asyncio.sleep(0.001 * (count % 3))
        reader.cancel()
    await asyncio.sleep(0.05)
    assert len(await everything(accounts, limit=1000)) == 200


async def test_nothing_more_is_answered_when_the_trail_cannot_grow(accounts, monkeypatch):
    monkeypatch.setattr(audit_module, "MOST_PENDING", 3)
    for _ in range(3):
        accounts.audit(NURSE, "patient.read", "p1")
    with pytest.raises(errors.AuditUnavailable) as refused:
        accounts.audit(NURSE, "patient.read", "p1")
    assert refused.value.status == 503


async def test_closing_on_a_broken_database_ends(accounts, monkeypatch):
    async def refuse(*_args, **_named):
        raise errors.StoreUnavailable("disk full")

    accounts.audit(NURSE, "patient.read", "p1")
    with monkeypatch.context() as broken:
        broken.setattr(accounts._database, "write", refuse)
        await accounts.close()


@pytest.mark.parametrize(
    "change", ["UPDATE audit_trail SET actor = 'eve'", "DELETE FROM audit_trail", "TRUNCATE audit_trail"]
)
async def test_the_trail_is_append_only(accounts, url, ask, change):
    if change.startswith("TRUNCATE") and url.startswith("sqlite"):
        return  # not a message of SQLite
    accounts.audit(NURSE, "patient.read", "p1")
    await everything(accounts)
    with pytest.raises(IntegrityError, match="append-only"):
        ask(change)
    assert len(await everything(accounts)) == 1


async def test_filters(accounts, system):
    accounts.audit(NURSE, "patient.read", "p1")
    accounts.audit(system, "patient.read", "p2")
    assert [entry.actor for entry in await everything(accounts, patient="p1")] == ["ada"]
    assert [entry.patient for entry in await everything(accounts, actor="ada")] == ["p1"]
    assert await everything(accounts, patient="p1", actor=system.name) == []


@pytest.mark.parametrize("cursor", ["", "x", "-1", "1.5", "²", "9" * 30, "1; DROP TABLE audit_trail"])
async def test_a_cursor_that_is_none(accounts, system, cursor):
    with pytest.raises(errors.Invalid) as refused:
        await accounts.audit_page(system, cursor)
    assert refused.value.field == "cursor"


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(0, 3), max_size=40), st.integers(-1, 15), st.one_of(st.none(), st.just("p1")))
def test_pages_hold_each_entry_once_in_order(tmp_path_factory, patients, limit, patient):
    async def run():
        path = tmp_path_factory.mktemp("audit") / "a.db"
        accounts = Accounts(f"sqlite:///{path}", Clock())
        await accounts.open()
        first = None
        for count, number in enumerate(patients):
            accounts.audit(NURSE, "patient.read", f"p{number}", detail=str(count))
        entries, cursor, sizes = [], None, []
        while True:
            page = await accounts.audit_page(accounts.system_actor(), cursor, limit=limit, patient=patient)
            first = first or page
            sizes.append(len(page.entries))
            entries += page.entries
            cursor = page.next
            accounts.audit(NURSE, "patient.read", "p1", detail="meanwhile")  # must not shift the following pages
            if cursor is None:
                break
        await accounts.close()
        return entries, sizes

    entries, sizes = asyncio.run(run())
    expected = [str(count) for count, number in enumerate(patients) if patient is None or f"p{number}" == patient]
    assert [entry.detail for entry in entries] == expected[::-1]
    assert all(size == max(1, limit) for size in sizes[:-1])


async def test_any_text_can_be_recorded(accounts):
    accounts.audit(
        Actor(kind="anonymous", name="\ud800" * 99), "a\0b", "p" * 999, detail="é\0" * 9999, outcome="\udfff"
    )
    (entry,) = await everything(accounts)
    assert len(entry.actor) == 64
    assert len(entry.patient) == 128
    assert entry.detail.startswith("é�é")
    assert len(entry.detail) == 1000


async def test_administration_is_recorded_with_its_outcome(accounts, system):
    await accounts.create_account(system, "ada", "viewer")
    with pytest.raises(errors.Conflict):
        await accounts.create_account(system, "ada", "viewer")
    made = await accounts.create_device(system, "Monitor")
    await accounts.revoke_device(system, made.device.id)
    recorded = [(entry.action, entry.outcome) for entry in await everything(accounts)]
    assert recorded == [
        ("devices.manage", "ok"),
        ("devices.manage", "ok"),
        ("accounts.manage", "conflict"),
        ("accounts.manage", "ok"),
    ]
