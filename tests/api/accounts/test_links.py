import asyncio

import pytest

from api.accounts import Accounts, Action, errors, may
from api.accounts.credentials import FIRST_LINK_S, INVITATION_S
from tests.api.accounts.conftest import PASSWORD


async def test_first_start_from_link_to_password(accounts, watch):
    token = await accounts.first_start_link()
    first = await accounts.redeem_link(token)
    assert (first.actor.name, first.actor.role, first.actor.wards) == ("admin", "admin", {"*"})
    assert may(first.actor, Action.ACCOUNTS_MANAGE)
    # Without a password the next start must offer a link again; otherwise nobody could sign in.
    assert await accounts.first_start_link() is not None
    await accounts.change_password(first.actor, "", PASSWORD)
    assert await accounts.first_start_link() is None
    await accounts.sign_in("admin", PASSWORD, "127.0.0.1")
    with pytest.raises(errors.InvalidCredentials):  # only once without the current one
        await accounts.change_password(first.actor, "", "a brand new secret")


async def test_a_link_works_once(accounts):
    token = await accounts.first_start_link()
    answers = await asyncio.gather(*(accounts.redeem_link(token) for _ in range(8)), return_exceptions=True)
    refused = [answer for answer in answers if isinstance(answer, errors.LinkRefused)]
    assert len(refused) == 7
    with pytest.raises(errors.LinkRefused):
        await accounts.redeem_link(token)


async def test_a_link_expires_in_real_time(accounts, watch, clock):
    token = await accounts.first_start_link()
    clock.advance_to(clock.now() + 60 * FIRST_LINK_S * 1_000_000)
    watch.seconds += FIRST_LINK_S
    with pytest.raises(errors.LinkRefused):
        await accounts.redeem_link(token)
    token = await accounts.first_start_link()
    watch.seconds += FIRST_LINK_S - 1
    await accounts.redeem_link(token)


@pytest.mark.parametrize("token", ["", "x", "x" * 43, "ä" * 43, "\0" * 43])
async def test_an_unknown_link_is_refused(accounts, token):
    with pytest.raises(errors.LinkRefused):
        await accounts.redeem_link(token)


async def test_each_start_voids_the_link_of_the_one_before(accounts, url, clock, watch, cheap):
    before = await accounts.first_start_link()
    again = Accounts(url, clock, real=watch, passwords=cheap)
    await again.open()
    token = await again.first_start_link()
    with pytest.raises(errors.LinkRefused):
        await again.redeem_link(before)
    await again.redeem_link(token)
    assert [account.name for account in await again.list_accounts(again.system_actor())] == ["admin"]
    await again.close()


async def test_the_first_administrator_finds_another_name_if_admin_is_taken(accounts, system):
    await accounts.create_account(system, "admin", "viewer", password=PASSWORD)
    signed_in = await accounts.redeem_link(await accounts.first_start_link())
    assert (signed_in.actor.name, signed_in.actor.role) == ("admin2", "admin")


async def test_an_existing_administrator_is_offered_the_link(accounts, system):
    await accounts.create_account(system, "grace", "admin", wards=["*"], password=PASSWORD)
    assert (await accounts.redeem_link(await accounts.first_start_link())).actor.name == "grace"
    assert await accounts.first_start_link() is None


async def test_invitation(accounts, system, watch):
    await accounts.create_account(system, "ada", "clinician", wards=["A"])
    with pytest.raises(errors.InvalidCredentials):
        await accounts.sign_in("ada", "", "192.0.2.1")
    token = await accounts.sign_in_link(system, "Ada")
    watch.seconds += INVITATION_S - 1
    signed_in = await accounts.redeem_link(token)
    await accounts.change_password(signed_in.actor, "", PASSWORD)
    await accounts.sign_in("ada", PASSWORD, "192.0.2.1")
    with pytest.raises(errors.NotFound):
        await accounts.sign_in_link(system, "nobody")


async def test_a_new_password_voids_the_links(accounts, system):
    await accounts.create_account(system, "ada", "clinician", wards=["A"])
    token = await accounts.sign_in_link(system, "ada")
    await accounts.set_password(system, "ada", PASSWORD)
    with pytest.raises(errors.LinkRefused):
        await accounts.redeem_link(token)


async def test_of_doors_that_start_together_each_links_holds_until_one_is_used(accounts, url, clock, watch, cheap):
    other = Accounts(url, clock, real=watch, passwords=cheap)
    await other.open()
    mine, its = [await one.first_start_link(beside_others=True) for one in (accounts, other)]
    again = await accounts.first_start_link(beside_others=True)
    await accounts.redeem_link(its)
    for token in (mine, its, again):
        with pytest.raises(errors.LinkRefused):
            await other.redeem_link(token)
    await other.close()
