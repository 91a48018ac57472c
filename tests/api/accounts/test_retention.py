import asyncio
import re
import time

import pytest
from sqlalchemy.exc import IntegrityError

from api.accounts import Accounts, Actor, errors, refused_attempts
from api.accounts import retention as retention_module
from api.accounts.refused_attempts import QUARTER_S, RefusedAttempts
from api.accounts.retention import DAY_US, Retention
from streams.clock import Clock

NURSE = Actor(kind="account", name="ada", role="clinician", wards=frozenset("A"), key="s1")
START = 1_700_000_000_000_000


async def at(url, time_us, cheap, patient):
    """An entry of another day, written by a service with that time."""
    service = Accounts(url, Clock(origin_us=time_us), passwords=cheap)
    await service.open()
    service.audit(NURSE, "patient.read", patient)
    await service.close()


def kept_patients(ask):
    return [row[0] for row in ask("SELECT patient FROM audit_trail WHERE action = 'patient.read' ORDER BY id")]


async def test_what_is_past_its_age_goes_the_rest_stays_and_it_is_recorded(url, ask, cheap):
    for days, patient in ((0, "old"), (1, "older than ten"), (11, "young"), (20, "now")):
        await at(url, START + days * DAY_US, cheap, patient)
    service = Accounts(url, Clock(origin_us=START + 20 * DAY_US), passwords=cheap, audit_days=10)
    await service.open()
    assert await service.prune_audit() == 2
    assert kept_patients(ask) == ["young", "now"]
    (entry,) = [
        entry for entry in (await service.audit_page(service.system_actor())).entries if entry.action == "audit.prune"
    ]
    assert entry.kind == "system"
    assert re.fullmatch(r"2 entries up to number \d+ that were past their retention", entry.detail)
    assert await service.prune_audit() == 0
    with pytest.raises(IntegrityError, match="append-only"):
        ask("DELETE FROM audit_trail WHERE patient = 'young'")
    await service.close()


async def test_many_go_some_at_a_time(url, ask, cheap, monkeypatch):
    monkeypatch.setattr(retention_module, "_AT_ONCE", 3)
    for patient in range(7):
        await at(url, START, cheap, f"p{patient}")
    await at(url, START + 10 * DAY_US, cheap, "now")
    service = Accounts(url, Clock(origin_us=START + 10 * DAY_US), passwords=cheap, audit_days=5)
    await service.open()
    assert await service.prune_audit() == 7
    assert kept_patients(ask) == ["now"]
    await service.close()


async def test_a_clock_that_jumped_deletes_nothing_until_it_has_stood_for_a_day(url, ask, clock, cheap):
    """A machine whose clock is 500 days ahead and one that was off for 500 days look the same at first."""
    await at(url, START, cheap, "real")
    ahead = Accounts(url, Clock(origin_us=START + 500 * DAY_US), passwords=cheap, audit_days=10)
    await ahead.open()
    seconds = 0.0
    retention = Retention(ahead._database, ahead._audit._clock, 10, lambda: seconds)
    assert await retention.prune() == 0
    assert await ahead.prune_audit() == 0
    ahead.audit(NURSE, "patient.read", "ahead")
    await ahead.audit_page(ahead.system_actor())
    assert await retention.prune() == 0
    seconds = 86_400.0
    assert await retention.prune() == 1
    assert kept_patients(ask) == ["ahead"]
    await ahead.close()


async def test_the_guard_is_up_again_after_a_pruning_that_failed(url, ask, cheap, monkeypatch):
    await at(url, START, cheap, "old")
    service = Accounts(url, Clock(origin_us=START + 20 * DAY_US), passwords=cheap, audit_days=10)
    await service.open()
    delete = retention_module.delete

    def broken(table):
        delete(table)
        raise errors.StoreUnavailable("the disk is full")

    monkeypatch.setattr(retention_module, "delete", broken)
    with pytest.raises(errors.StoreUnavailable):
        await service.prune_audit()
    assert not ask("SELECT before FROM audit_horizon WHERE before <> 0")
    with pytest.raises(IntegrityError, match="append-only"):
        ask("DELETE FROM audit_trail")
    await service.close()


async def test_an_export_of_a_stretch(url, cheap):
    for days, patient in ((0, "a"), (1, "b"), (2, "c")):
        await at(url, START + days * DAY_US, cheap, patient)
    service = Accounts(url, Clock(origin_us=START + 3 * DAY_US), passwords=cheap)
    await service.open()
    found = [
        entry.patient
        async for some in service.audit_entries(service.system_actor(), since=START + DAY_US, until=START + 2 * DAY_US)
        for entry in some
    ]
    assert found == ["b"]
    with pytest.raises(errors.Forbidden):
        await anext(service.audit_entries(NURSE))
    await service.close()


def entry(actor="ada", outcome="invalid-credentials"):
    return {"kind": "anonymous", "action": "session.begin", "outcome": outcome, "actor": actor, "detail": "x"}


def test_tries_of_one_kind_are_one_entry_a_quarter_of_an_hour():
    seconds = [0.0]
    refusals = RefusedAttempts(lambda: seconds[0])
    for _ in range(5):
        refusals.add(entry(), "192.0.2.1")
    refusals.add(entry(), "192.0.2.2")
    seconds[0] = QUARTER_S - 1
    assert refusals.due() == []
    refusals.add(entry(), "192.0.2.1")
    refusals.add(entry("bob"), "192.0.2.1")
    seconds[0] = QUARTER_S
    assert [(one["actor"], one["count"]) for one in refusals.due()] == [("ada", 6), ("ada", 1)]
    assert [(one["actor"], one["count"]) for one in refusals.due(all_of_them=True)] == [("bob", 1)]
    assert (len(refusals), refusals.due(all_of_them=True)) == (0, [])


def test_no_flood_makes_many_entries(monkeypatch):
    monkeypatch.setattr(refused_attempts, "_MOST", 50)
    refusals = RefusedAttempts()
    for number in range(5000):
        refusals.add(entry(f"name{number}"), f"192.0.2.{number % 250}")
    due = refusals.due(all_of_them=True)
    assert len(due) <= 51
    assert sum(one["count"] for one in due) == 5000


async def test_refusals_reach_the_trail_when_their_quarter_is_over(accounts, ask, monkeypatch):
    monkeypatch.setattr(refused_attempts, "QUARTER_S", 0.0)
    for _ in range(3):
        with pytest.raises(errors.InvalidCredentials):
            await accounts.sign_in("ada", "wrong", "192.0.2.1")
    accounts._audit.settle()
    deadline = time.monotonic() + 30
    while not (rows := ask("SELECT actor, outcome, count FROM audit_trail")):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)
    assert rows == [("ada", "invalid-credentials", 3)]


async def test_refusals_survive_a_stop(url, clock, cheap, ask):
    service = Accounts(url, clock, passwords=cheap)
    await service.open()
    with pytest.raises(errors.LinkRefused):
        await service.redeem_link("x" * 43, "192.0.2.1")
    await service.close()
    assert ask("SELECT outcome, count FROM audit_trail") == [("link-refused", 1)]
