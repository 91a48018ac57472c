import pytest

from api.accounts import Action, errors, may
from tests.api.accounts.conftest import PASSWORD


async def test_accounts_are_listed_by_name(accounts, system):
    await accounts.create_account(system, "Grace", "admin", wards=["*"])
    await accounts.create_account(system, "ada", "clinician")
    listed = await accounts.list_accounts(system)
    assert [(account.name, account.role, account.wards) for account in listed] == [
        ("ada", "clinician", ()),
        ("grace", "admin", ("*",)),
    ]
    assert listed[0].last_sign_in is None
    assert not listed[0].disabled


async def test_a_name_is_taken_in_any_spelling(accounts, system):
    await accounts.create_account(system, "Ada", "viewer")
    with pytest.raises(errors.Conflict):
        await accounts.create_account(system, "ADA", "viewer")


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "a b"}, "name"),
        ({"name": "x" * 65}, "name"),
        ({"name": "\ud800"}, "name"),
        ({"name": "a\n"}, None),
        ({"role": "owner"}, "role"),
        ({"role": "admin", "wards": ["A"]}, "wards"),
        ({"role": "admin"}, "wards"),
        ({"wards": [""]}, "wards"),
        ({"wards": ["A\0"]}, "wards"),
        ({"password": "short"}, "password"),
        ({"password": "x" * 257}, "password"),
        ({"password": "ada ada ada 123"}, "password"),
        ({"password": "121212121212"}, "password"),
        ({"password": "aaaaaaaaaaaab"}, "password"),
    ],
)
async def test_what_an_account_cannot_be(accounts, system, arguments, field):
    arguments = {"name": "ada", "role": "viewer"} | arguments
    if field is None:
        assert (await accounts.create_account(system, **arguments)).name == "a"
        return
    with pytest.raises(errors.Invalid) as refused:
        await accounts.create_account(system, **arguments)
    assert refused.value.field == field
    assert await accounts.list_accounts(system) == []


async def test_the_last_administrator_stays(accounts, system):
    await accounts.create_account(system, "grace", "admin", wards=["*"], password=PASSWORD)
    for change in ({"disabled": True}, {"role": "viewer"}):
        with pytest.raises(errors.LastAdministrator):
            await accounts.change_account(system, "grace", **change)
    assert (await accounts.list_accounts(system))[0].role == "admin"
    await accounts.create_account(system, "ada", "admin", wards=["*"])
    assert (await accounts.change_account(system, "grace", disabled=True)).disabled


async def test_all_wards_swallow_the_others(accounts, system):
    account = await accounts.create_account(system, "ada", "clinician", wards=["A", "*"])
    assert account.wards == ("*",)
    changed = await accounts.change_account(system, "ada", wards=["B", "A"])
    assert changed.wards == ("A", "B")
    with pytest.raises(errors.Invalid):  # the wards held must fit the new role
        await accounts.change_account(system, "ada", role="admin")


async def test_unknown_accounts(accounts, system):
    for name in ("nobody", "", "\ud800"):
        with pytest.raises(errors.NotFound):
            await accounts.change_account(system, name, disabled=True)
        with pytest.raises(errors.NotFound):
            await accounts.set_password(system, name, PASSWORD)


async def test_only_administrators_administer(accounts, system):
    await accounts.create_account(system, "ada", "clinician", password=PASSWORD)
    ada = (await accounts.sign_in("ada", PASSWORD, "192.0.2.1")).actor
    attempts = [
        accounts.list_accounts(ada),
        accounts.create_account(ada, "eve", "admin"),
        accounts.change_account(ada, "ada", role="admin"),
        accounts.set_password(ada, "ada", "a brand new secret"),
        accounts.sign_in_link(ada, "ada"),
        accounts.list_devices(ada),
        accounts.create_device(ada, "monitor"),
        accounts.revoke_device(ada, "abc"),
        accounts.audit_page(ada),
    ]
    for attempt in attempts:
        with pytest.raises(errors.Forbidden):
            await attempt
    refused = [entry for entry in (await accounts.audit_page(system)).entries if entry.outcome == "forbidden"]
    assert {(entry.actor, entry.action, entry.count) for entry in refused} == {
        ("ada", "accounts.manage", 4),
        ("ada", "devices.manage", 2),
    }


async def test_without_wards_there_is_nobody_to_see(accounts, system):
    await accounts.create_account(system, "ada", "clinician", password=PASSWORD)
    ada = (await accounts.sign_in("ada", PASSWORD, "192.0.2.1")).actor
    for place in ((None, ""), ("A", ""), ("", "p1"), ("*", "")):
        assert not may(ada, Action.PATIENT_READ, *place)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"role": "admin"}, errors.Invalid),
        ({"wards": [""]}, errors.Invalid),
        ({"role": "viewer", "password": "short"}, errors.Invalid),
        ({"disabled": True, "role": "owner"}, errors.Invalid),
        ({"role": "viewer"}, errors.LastAdministrator),
    ],
)
async def test_a_change_that_is_refused_changes_nothing(accounts, system, kept, change, error):
    await accounts.create_account(system, "grace", "admin", wards=["*"], password=PASSWORD)
    await accounts.create_account(system, "ada", "clinician", wards=["A"], password=PASSWORD)
    name = "grace" if error is errors.LastAdministrator else "ada"
    session = await accounts.sign_in(name, PASSWORD, "192.0.2.1")
    link = await accounts.sign_in_link(system, name)
    before = [*await accounts.list_accounts(system), kept().count("argon2")]
    with pytest.raises(error):
        await accounts.change_account(system, name, **({"password": "a brand new secret"} | change))
    assert [*await accounts.list_accounts(system), kept().count("argon2")] == before
    await accounts.authenticate(session.token)
    await accounts.sign_in(name, PASSWORD, "192.0.2.1")
    await accounts.redeem_link(link)
