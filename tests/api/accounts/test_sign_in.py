import asyncio

import pytest
from sqlalchemy import text

from api.accounts import Accounts, Action, errors, may
from api.accounts.sessions import LIFETIME_S, REMEMBERED_S
from api.accounts.throttle import Throttle
from streams.clock import Clock
from tests.api.accounts.conftest import PASSWORD, held


@pytest.fixture
async def ada(accounts, system):
    await accounts.create_account(system, "Ada", "clinician", wards=["B", "A", "A"], password=PASSWORD)
    return await accounts.sign_in("ada", PASSWORD, "192.0.2.1")


async def test_a_cookie_stands_for_its_account(accounts, ada):
    actor = await accounts.authenticate(ada.token)
    assert actor == ada.actor
    assert (actor.kind, actor.name, actor.role, actor.wards) == ("account", "ada", "clinician", {"A", "B"})
    assert ada.max_age == LIFETIME_S
    assert may(actor, Action.ALARM_ACKNOWLEDGE, "A")


async def test_only_the_hash_of_a_cookie_is_kept(accounts, ada, kept):
    ticket = await accounts.issue_ticket(ada.actor)
    stored = kept()
    assert ada.actor.key in stored
    assert ada.token not in stored
    assert ticket.ticket not in stored
    assert PASSWORD not in stored


@pytest.mark.parametrize("token", [None, "", "x", "x" * 43, "ä" * 43, "x" * 100_000, "\ud800" * 43])
async def test_anything_else_is_refused(accounts, ada, token):
    with pytest.raises(errors.Unauthenticated):
        await accounts.authenticate(token)


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("ada", "wrong horse battery"),
        ("nobody", PASSWORD),
        ("", ""),
        ("ada", "x" * 1_000_000),
        ("ada", "\ud800"),
        ("\ud800", PASSWORD),
        ("ada\0", PASSWORD),
        ("x" * 1_000_000, PASSWORD),
    ],
)
async def test_wrong_credentials_all_look_the_same(accounts, ada, name, password):
    with pytest.raises(errors.InvalidCredentials, match=r"^name or password is wrong$"):
        await accounts.sign_in(name, password, "192.0.2.1")


async def test_name_and_password_are_compared_as_people_type_them(accounts, system):
    await accounts.create_account(system, "müller", "viewer", password="Käse auf dem Brötchen")
    await accounts.sign_in(" MÜLLER ", "Käse auf dem Brötchen", "192.0.2.1")


async def test_signing_out_ends_the_cookie_at_once(accounts, ada):
    ended = []
    accounts.on_revoked(ended.append)
    ticket = await accounts.issue_ticket(await accounts.authenticate(ada.token))
    await accounts.sign_out(ada.actor)
    assert ended == [ada.actor.key]
    for refused in (accounts.authenticate(ada.token), accounts.recheck(ada.actor)):
        with pytest.raises(errors.Unauthenticated):
            await refused
    with pytest.raises(errors.Unauthenticated):
        await accounts.redeem_ticket(ticket.ticket)


async def test_disabling_ends_every_session_and_forbids_new_ones(accounts, system, ada):
    second = await accounts.sign_in("ada", PASSWORD, "192.0.2.1")
    ended = []
    accounts.on_revoked(ended.append)
    link = await accounts.sign_in_link(system, "ada")
    await accounts.change_account(system, "ada", disabled=True)
    assert sorted(ended) == sorted([ada.actor.key, second.actor.key])
    with pytest.raises(errors.Unauthenticated):
        await accounts.authenticate(ada.token)
    with pytest.raises(errors.InvalidCredentials):
        await accounts.sign_in("ada", PASSWORD, "192.0.2.1")
    with pytest.raises(errors.LinkRefused):
        await accounts.redeem_link(link)
    await accounts.change_account(system, "ada", disabled=False)
    with pytest.raises(errors.Unauthenticated):
        await accounts.authenticate(ada.token)


async def test_changed_rights_hold_at_once_and_sockets_hear_of_it(accounts, system, ada):
    ended = []
    accounts.on_revoked(ended.append)
    await accounts.authenticate(ada.token)
    await accounts.change_account(system, "ada", role="viewer", wards=["C"])
    actor = await accounts.authenticate(ada.token)
    assert (actor.role, actor.wards) == ("viewer", {"C"})
    assert await accounts.recheck(ada.actor) == actor
    assert ended == [ada.actor.key]


async def test_a_session_lasts_its_real_time_and_survives_a_restart(accounts, ada, url, clock, watch, cheap):
    watch.seconds += LIFETIME_S - 1
    await accounts.authenticate(ada.token)
    again = Accounts(url, clock, real=watch, passwords=cheap)
    await again.open()
    assert (await again.authenticate(ada.token)).name == "ada"
    watch.seconds += 1
    for service in (accounts, again):
        with pytest.raises(errors.Unauthenticated):
            await service.authenticate(ada.token)
    await again.close()


async def test_a_fast_service_clock_ends_nothing_sooner(accounts, ada, clock):
    clock.advance_to(clock.now() + 60 * LIFETIME_S * 1_000_000)
    accounts._sessions.forget([ada.actor.key])
    assert await accounts.authenticate(ada.token) == ada.actor
    ticket = await accounts.issue_ticket(ada.actor)
    clock.advance_to(clock.now() + 60_000_000)
    assert await accounts.redeem_ticket(ticket.ticket) == ada.actor


async def test_what_another_process_ends_is_noticed_after_some_seconds(accounts, ada, url, clock, watch, cheap):
    other = Accounts(url, clock, real=watch, passwords=cheap)
    await other.open()
    await other.authenticate(ada.token)
    await accounts.sign_out(ada.actor)
    assert await other.authenticate(ada.token) == ada.actor
    watch.seconds += REMEMBERED_S
    with pytest.raises(errors.Unauthenticated):
        await other.authenticate(ada.token)
    await other.close()


async def test_a_look_up_begun_before_the_end_does_not_outlive_it(accounts, ada, monkeypatch):
    """The database is read, then the session ends, and only then the reader continues."""
    read, read_first, go_on = accounts._database.read, asyncio.Event(), asyncio.Event()

    async def slow(work):
        answer = await read(work)
        if not read_first.is_set():
            read_first.set()
            await go_on.wait()
        return answer

    accounts._sessions.forget([ada.actor.key])
    monkeypatch.setattr(accounts._database, "read", slow)
    asking = asyncio.create_task(accounts.authenticate(ada.token))
    await read_first.wait()
    await accounts.sign_out(ada.actor)
    go_on.set()
    with pytest.raises(errors.Unauthenticated):
        await asking


async def test_an_end_holds_even_if_its_caller_gives_up(accounts, ada, url):
    await accounts.authenticate(ada.token)
    with held(url):
        ending = asyncio.create_task(accounts.sign_out(ada.actor))
        await asyncio.sleep(0.05)  # it waits for the write lock
        ending.cancel()
    await asyncio.gather(ending, return_exceptions=True)
    async with asyncio.timeout(5):
        while ada.actor.key in accounts._sessions._remembered:  # noqa: ASYNC110  set by the thread left behind
            await asyncio.sleep(0.01)
    with pytest.raises(errors.Unauthenticated):
        await accounts.authenticate(ada.token)


async def test_guessing_is_slowed_down_and_the_right_password_clears(url, clock, watch, cheap):
    service = Accounts(url, clock, real=watch, passwords=cheap, throttle=Throttle(per_pair=[(3, 60)]))
    await service.open()
    await service.create_account(service.system_actor(), "ada", "viewer", password=PASSWORD)
    for _ in range(2):
        with pytest.raises(errors.InvalidCredentials):
            await service.sign_in("ada", "wrong", "192.0.2.1")
    await service.sign_in("ada", PASSWORD, "192.0.2.1")
    for _ in range(3):
        with pytest.raises(errors.InvalidCredentials):
            await service.sign_in("ADA ", "wrong", "192.0.2.1")
    with pytest.raises(errors.TooManyAttempts) as refused:
        await service.sign_in("ada", PASSWORD, "192.0.2.1")
    assert 1 <= refused.value.retry_after <= 60
    await service.sign_in("ada", PASSWORD, "192.0.2.2")
    entries = (await service.audit_page(service.system_actor())).entries
    refused = {(entry.actor, entry.outcome, entry.detail): entry.count for entry in entries if entry.outcome != "ok"}
    assert refused == {
        ("ada", "invalid-credentials", "by password from 192.0.2.1"): 5,
        ("", "too-many-attempts", "by password from 192.0.2.1"): 1,
    }
    await service.close()


async def test_own_password_asks_for_the_current_one_and_ends_other_sessions(accounts, ada):
    other = await accounts.sign_in("ada", PASSWORD, "192.0.2.9")
    with pytest.raises(errors.InvalidCredentials):
        await accounts.change_password(ada.actor, "wrong", "a brand new secret")
    with pytest.raises(errors.Invalid) as refused:
        await accounts.change_password(ada.actor, PASSWORD, "short")
    assert refused.value.field == "password"
    await accounts.change_password(ada.actor, PASSWORD, "a brand new secret")
    assert await accounts.authenticate(ada.token) == ada.actor
    with pytest.raises(errors.Unauthenticated):
        await accounts.authenticate(other.token)
    with pytest.raises(errors.InvalidCredentials):
        await accounts.sign_in("ada", PASSWORD, "192.0.2.1")
    await accounts.sign_in("ada", "a brand new secret", "192.0.2.1")


@pytest.mark.parametrize("who", ["demo_actor", "system_actor"])
async def test_who_has_no_account_has_no_password(accounts, who):
    with pytest.raises(errors.Forbidden):
        await accounts.change_password(getattr(accounts, who)(), "", "a brand new secret")


async def test_a_password_set_by_an_administrator_ends_the_sessions(accounts, system, ada):
    await accounts.set_password(system, "Ada", "a brand new secret")
    with pytest.raises(errors.Unauthenticated):
        await accounts.authenticate(ada.token)
    with pytest.raises(errors.Unauthenticated):
        await accounts.change_password(ada.actor, PASSWORD, "yet another secret")


async def test_a_hash_with_weaker_parameters_is_renewed(accounts, ada, monkeypatch):
    monkeypatch.setattr(accounts._credentials._passwords, "outdated", lambda _: True)

    def stored(session):
        return session.execute(text("SELECT password FROM accounts")).scalar_one()

    before = await accounts._database.read(stored)
    await accounts.sign_in("ada", PASSWORD, "192.0.2.1")
    assert await accounts._database.read(stored) != before


async def test_expired_sessions_and_links_are_swept_out(accounts, system, ada, watch):
    await accounts.sign_in_link(system, "ada")
    watch.seconds += 10 * LIFETIME_S
    await accounts._sessions.prune()
    left = await accounts._database.read(
        lambda session: session.execute(
            text("SELECT (SELECT count(*) FROM account_sessions) + (SELECT count(*) FROM account_links)")
        ).scalar_one()
    )
    assert left == 0
    assert accounts.counters()["sessions_remembered"] == 0


async def test_session_starts_are_dated_by_the_service_clock(url, watch, cheap):
    clock = Clock(speed=60, origin_us=1_000_000_000_000)
    service = Accounts(url, clock, real=watch, passwords=cheap)
    await service.open()
    system = service.system_actor()
    await service.create_account(system, "ada", "viewer", password=PASSWORD)
    await service.sign_in("ada", PASSWORD, "192.0.2.1")
    (account,) = await service.list_accounts(system)
    assert 1_000_000_000_000 <= account.created <= account.last_sign_in <= clock.now()
    await service.close()


async def test_who_signs_in_while_being_disabled_stays_out(accounts, system, ada, monkeypatch):
    verify = accounts._credentials._passwords.verify

    async def slow(encoded, password):
        answer = await verify(encoded, password)
        await accounts.change_account(system, "ada", disabled=True)
        return answer

    monkeypatch.setattr(accounts._credentials._passwords, "verify", slow)
    with pytest.raises(errors.InvalidCredentials):
        await accounts.sign_in("ada", PASSWORD, "192.0.2.1")
