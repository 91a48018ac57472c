"""Doors that share one database: each with its own Accounts, in separate processes where they must race."""

import asyncio
import json
import subprocess
import sys
import time
from contextlib import asynccontextmanager

import pytest

from api.accounts import Accounts, Actor, devices, errors, store
from api.accounts.sessions import REMEMBERED_S
from tests.api.accounts.conftest import PASSWORD
from tests.conftest import ROOT

NURSE = Actor(kind="account", name="ada", role="clinician", wards=frozenset("A"), key="s1")


@asynccontextmanager
async def door(url, clock, watch, cheap):
    opened = Accounts(url, clock, real=watch, passwords=cheap)
    await opened.open()
    try:
        yield opened
    finally:
        await opened.close()


@pytest.fixture
async def other(accounts, url, clock, watch, cheap):
    """The second door."""
    async with door(url, clock, watch, cheap) as opened:
        yield opened


@pytest.fixture
def empty_url(postgres):
    with postgres.database() as fresh:
        yield fresh


def processes(count, code, *arguments):
    """The JSON output of several Python programs that start their work at the same moment, after all imports."""
    running = [
        subprocess.Popen(
            [sys.executable, "-c", code, *arguments, str(number)],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for number in range(count)
    ]  # fmt: skip
    for program in running:
        assert program.stdout.readline() == "here\n"
    for program in running:
        program.stdin.write("go\n")
        program.stdin.flush()
    said = [program.communicate(timeout=120) for program in running]
    assert [program.returncode for program in running] == [0] * count, said
    return [json.loads(out) for out, _ in said]


async def test_who_signs_in_at_one_is_known_at_the_other(accounts, other, system):
    await accounts.create_account(system, "ada", "clinician", wards=["A"], password=PASSWORD)
    signed = await other.sign_in("ada", PASSWORD, "192.0.2.1")
    assert await accounts.authenticate(signed.token) == signed.actor
    ticket = await accounts.issue_ticket(signed.actor)
    assert await other.redeem_ticket(ticket.ticket) == signed.actor


async def test_a_link_made_at_one_works_once_for_both(accounts, other, system):
    await accounts.create_account(system, "ada", "viewer")
    token = await accounts.sign_in_link(system, "ada")
    both = [accounts, other] * 4
    answers = await asyncio.gather(*(one.redeem_link(token) for one in both), return_exceptions=True)
    assert sum(isinstance(answer, errors.LinkRefused) for answer in answers) == 7


async def test_what_ends_at_one_ends_at_the_other_in_ten_seconds(accounts, other, system, watch):
    await accounts.create_account(system, "ada", "clinician", wards=["A"], password=PASSWORD)
    signed = await accounts.sign_in("ada", PASSWORD, "192.0.2.1")
    await other.authenticate(signed.token)
    ticket = await other.issue_ticket(signed.actor)
    await accounts.change_account(system, "ada", disabled=True)
    with pytest.raises(errors.Unauthenticated):
        await other.redeem_ticket(ticket.ticket)  # a request that reads the database is refused at once
    watch.seconds += REMEMBERED_S
    with pytest.raises(errors.Unauthenticated):
        await other.authenticate(signed.token)


async def test_changed_rights_hold_at_the_other_in_ten_seconds(accounts, other, system, watch):
    await accounts.create_account(system, "ada", "clinician", wards=["A"], password=PASSWORD)
    signed = await accounts.sign_in("ada", PASSWORD, "192.0.2.1")
    await other.authenticate(signed.token)
    await accounts.change_account(system, "ada", role="viewer", wards=["B"])
    watch.seconds += REMEMBERED_S
    actor = await other.authenticate(signed.token)
    assert (actor.role, actor.wards) == ("viewer", {"B"})


async def test_a_key_made_at_one_is_good_at_the_other_when_it_comes(accounts, other, system):
    made = await accounts.create_device(system, "monitor")
    with pytest.raises(errors.Unauthenticated):
        other.authenticate_device(made.key)
    assert (await other.recognise_device(made.key)).name == "monitor"
    assert other.authenticate_device(made.key).name == "monitor"


async def test_a_key_revoked_at_one_is_refused_at_the_other_within_its_rounds(
    url, clock, watch, cheap, accounts, system, monkeypatch
):
    assert store.REFRESH_S == 10
    monkeypatch.setattr(store, "REFRESH_S", 0.1)
    async with door(url, clock, watch, cheap) as hasty:
        made = await accounts.create_device(system, "monitor")
        actor = await hasty.recognise_device(made.key)
        ended = []
        hasty.on_revoked(ended.append)
        ticket = await hasty.issue_ticket(await hasty.recheck(actor))
        await accounts.revoke_device(system, made.device.id)
        with pytest.raises(errors.Unauthenticated):
            await hasty.redeem_ticket(ticket.ticket)
        deadline = time.monotonic() + 5
        while not ended:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)
        for _ in range(2):
            with pytest.raises(errors.Unauthenticated):
                await hasty.recognise_device(made.key)


async def test_guessed_keys_cost_one_look_a_second(accounts, monkeypatch):
    looks, refresh = [], accounts._devices.refresh

    async def counted():
        looks.append(1)
        await refresh()

    monkeypatch.setattr(accounts._devices, "refresh", counted)
    accounts._devices._looked = -devices.LOOK_AGAIN_S
    guesses = [f"vt_{number:08d}_{'x' * 43}" for number in range(200)]
    answers = await asyncio.gather(*map(accounts.recognise_device, guesses), return_exceptions=True)
    assert {type(answer) for answer in answers} == {errors.Unauthenticated}
    for shapeless in (None, "", "x", "vt_", "y" * 55):
        with pytest.raises(errors.Unauthenticated):
            await accounts.recognise_device(shapeless)
    assert len(looks) == 1


async def test_the_later_use_of_a_key_is_what_stays(accounts, other, system, clock):
    made = await accounts.create_device(system, "monitor")
    await other.recognise_device(made.key)
    early = other._devices._used[made.device.id]
    clock.advance_to(clock.now() + 60_000_000)
    accounts.authenticate_device(made.key)
    late = accounts._devices._used[made.device.id]
    await accounts._devices.stamp()
    assert (await other.list_devices(system))[0].last_used == late  # although its own memory has an earlier one
    await other._devices.stamp()
    assert early < late == (await accounts.list_devices(system))[0].last_used


async def test_both_seal_with_one_key_and_a_restart_keeps_it(accounts, other, url, clock, watch, cheap):
    assert len(accounts.sealing_key) == 32
    assert other.sealing_key == accounts.sealing_key
    async with door(url, clock, watch, cheap) as third:
        assert third.sealing_key == accounts.sealing_key


async def test_two_administrators_who_disable_each_other_leave_one(accounts, other, system):
    for round_ in range(8):
        names = [f"grace{round_}", f"ada{round_}"]
        for name in names:
            await accounts.create_account(system, name, "admin", wards=["*"])
        if round_:  # the administrator of the round before would be a third one
            (left,) = [a.name for a in await accounts.list_accounts(system) if not a.disabled and a.name not in names]
            await accounts.change_account(system, left, disabled=True)
        answers = await asyncio.gather(
            *(
                one.change_account(system, name, disabled=True)
                for one, name in zip((accounts, other), names, strict=True)
            ),
            return_exceptions=True,
        )
        assert sum(isinstance(answer, errors.LastAdministrator) for answer in answers) == 1, answers
    assert len([a for a in await accounts.list_accounts(system) if not a.disabled]) == 1


async def test_a_name_is_given_once(accounts, other, system):
    answers = await asyncio.gather(
        *(one.create_account(system, "ada", "viewer") for one in [accounts, other] * 4), return_exceptions=True
    )
    assert sum(isinstance(answer, errors.Conflict) for answer in answers) == 7, answers


async def test_entries_of_both_stand_in_one_trail_in_the_order_they_became_visible(accounts, other, system, ask):
    """A reader that continues after the newest entry it has seen misses none, whichever door writes."""
    seen, done = [], asyncio.Event()

    async def follow():
        while True:
            last = done.is_set()
            newest = seen[-1] if seen else 0
            rows = await asyncio.to_thread(ask, f"SELECT id FROM audit_trail WHERE id > {newest} ORDER BY id")  # noqa: S608
            seen.extend(row[0] for row in rows)
            if last:
                return

    async def write(one, name):
        for count in range(150):
            one.audit(NURSE, "patient.read", f"{name}{count}")
            await one._audit.flush()

    following = asyncio.create_task(follow())
    await asyncio.gather(write(accounts, "a"), write(other, "b"))
    done.set()
    await following
    assert seen == [row[0] for row in ask("SELECT id FROM audit_trail ORDER BY id")]
    assert len(seen) == 300
    for name in "ab":
        entries = ask(f"SELECT patient FROM audit_trail WHERE patient LIKE '{name}%' ORDER BY id")  # noqa: S608
        assert [row[0] for row in entries] == [f"{name}{count}" for count in range(150)]


def test_doors_that_start_at_once_on_nothing_all_come_up(empty_url):
    code = """
import alembic.command, asyncio, json, sys
from api.accounts import Accounts
from streams.clock import Clock
print("here", flush=True)
sys.stdin.readline()
async def start():
    accounts = Accounts(sys.argv[1], Clock())
    made = await accounts.open()
    link = await accounts.first_start_link()
    names = [account.name for account in await accounts.list_accounts(accounts.system_actor())]
    print(json.dumps([made, accounts.sealing_key.hex(), names]))
    await accounts.close()
asyncio.run(start())
"""
    answers = processes(4, code, empty_url)
    assert sorted(made for made, _, _ in answers) == [False, False, False, True]
    assert len({key for _, key, _ in answers}) == 1
    assert all(names == ["admin"] for _, _, names in answers)


async def test_a_door_that_stands_still_while_it_writes_loses_its_turn(postgres, clock, cheap, monkeypatch):
    monkeypatch.setattr("api.accounts.database.STANDSTILL_MS", 300)
    url = postgres.empty()
    still, other = (Accounts(url, clock, passwords=cheap) for _ in range(2))
    await still.open()
    await other.open()

    def stand(session):
        session.connection()
        time.sleep(1.5)

    standing = asyncio.create_task(still._database.write(stand))
    await asyncio.sleep(0.1)
    began = time.monotonic()
    await other.create_account(other.system_actor(), "ada", "viewer")
    assert time.monotonic() - began < 1.2
    with pytest.raises(errors.StoreUnavailable):
        await standing
    await still.create_account(still.system_actor(), "grace", "viewer")  # and continues
    await still.close()
    await other.close()
