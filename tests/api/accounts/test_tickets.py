import asyncio

import pytest

from api.accounts import Accounts, errors, tickets
from api.accounts.tickets import LIFETIME_S
from tests.api.accounts.conftest import PASSWORD


@pytest.fixture
async def ada(accounts, system):
    await accounts.create_account(system, "ada", "clinician", wards=["A"], password=PASSWORD)
    return (await accounts.sign_in("ada", PASSWORD, "192.0.2.1")).actor


async def test_a_ticket_works_once(accounts, ada):
    issued = await accounts.issue_ticket(ada)
    assert issued.expires_in == LIFETIME_S
    assert await accounts.redeem_ticket(issued.ticket) == ada
    with pytest.raises(errors.Unauthenticated):
        await accounts.redeem_ticket(issued.ticket)


async def test_of_many_who_bring_it_at_once_one_gets_in_at_any_door(accounts, ada, url, clock, watch):
    other = Accounts(url, clock, real=watch)
    await other.open()
    ticket = (await accounts.issue_ticket(ada)).ticket
    doors = [accounts, other] * 5
    answers = await asyncio.gather(*(door.redeem_ticket(ticket) for door in doors), return_exceptions=True)
    await other.close()
    assert [answer for answer in answers if not isinstance(answer, errors.Unauthenticated)] == [ada]


async def test_a_ticket_expires(accounts, ada, watch):
    first, second = [(await accounts.issue_ticket(ada)).ticket for _ in range(2)]
    watch.seconds += LIFETIME_S - 0.001
    assert await accounts.redeem_ticket(first) == ada
    watch.seconds += 0.001
    with pytest.raises(errors.Unauthenticated):
        await accounts.redeem_ticket(second)


async def test_a_ticket_ends_with_its_session(accounts, ada, watch):
    watch.seconds = ada.expires - 5
    ticket = (await accounts.issue_ticket(ada)).ticket
    watch.seconds += 5
    with pytest.raises(errors.Unauthenticated):
        await accounts.redeem_ticket(ticket)


async def test_a_ticket_carries_the_rights_of_now(accounts, system, ada):
    ticket = (await accounts.issue_ticket(ada)).ticket
    await accounts.change_account(system, "ada", role="viewer", wards=["B"])
    actor = await accounts.redeem_ticket(ticket)
    assert (actor.role, actor.wards) == ("viewer", {"B"})


async def test_whose_sessions_end_loses_their_tickets_only(accounts, system, ada):
    grace = await accounts.create_device(system, "Grace", scopes=["patients:read"])
    device = accounts.authenticate_device(grace.key)
    mine, other = [(await accounts.issue_ticket(actor)).ticket for actor in (ada, device)]
    await accounts.sign_out(ada)
    with pytest.raises(errors.Unauthenticated):
        await accounts.redeem_ticket(mine)
    assert await accounts.redeem_ticket(other) == device


async def test_the_demonstration_and_the_machine_have_tickets_too(accounts, system):
    for actor in (system, accounts.demo_actor()):
        assert await accounts.redeem_ticket((await accounts.issue_ticket(actor)).ticket) == actor


async def test_tickets_are_bounded_and_expired_ones_make_room(accounts, ada, watch, monkeypatch, ask):
    monkeypatch.setattr(tickets, "MOST", 3)
    for _ in range(3):
        await accounts.issue_ticket(ada)
    with pytest.raises(errors.TooManyAttempts):
        await accounts.issue_ticket(ada)
    watch.seconds += LIFETIME_S
    await accounts.issue_ticket(ada)
    assert len(ask("SELECT token FROM socket_tickets")) == 1


@pytest.mark.parametrize("ticket", ["", "x" * 43, "ä" * 43, "\ud800" * 43])
async def test_an_unknown_ticket_is_refused(accounts, ticket):
    with pytest.raises(errors.Unauthenticated):
        await accounts.redeem_ticket(ticket)
