"""Accounts, keys and the audit trail from the command line, while the service runs and while it does not."""

import asyncio
import json
import stat
import urllib.request

import pytest

from api.accounts import Accounts, errors
from streams.clock import Clock
from tests.api.cli.test_serve import ServiceUnderTest


def administered(url, work):
    """Work on the accounts, as the program's own doors do it."""

    async def run():
        accounts = Accounts(url, Clock())
        await accounts.open()
        try:
            return await work(accounts)
        finally:
            await accounts.close()

    return asyncio.run(run())


@pytest.fixture(params=["embedded", "postgresql"])
def place(request, tmp_path):
    """The accounts database, and the settings that name it."""
    if request.param == "embedded":
        return f"sqlite:///{tmp_path}/home.db", {}
    url = request.getfixturevalue("postgres").empty()
    return url, {"VITALTWIN_ACCOUNTS_DATABASE": url}


async def only_administrator(accounts):
    await accounts.create_account(accounts.system_actor(), "grace", "admin", wards=["*"], password="forgotten for good")
    await accounts.sign_in("grace", "forgotten for good", "127.0.0.1")


def test_the_only_administrator_with_a_lost_password_gets_in_again(place, vitaltwin):
    url, told = place
    administered(url, only_administrator)
    assert administered(url, lambda accounts: accounts.first_start_link()) is None
    listed = vitaltwin("account", "list", "--json", **told)
    assert json.loads(listed.stdout)["accounts"] == [
        {"name": "grace", "role": "admin", "wards": ["*"], "disabled": False}
    ]
    made = vitaltwin("account", "link", "Grace", "--url", "https://ward.example/vt/", **told)
    assert made.returncode == 0, made.stderr
    base, _, token = made.stdout.strip().partition("?token=")
    assert base == "https://ward.example/vt/sign-in"

    async def again(accounts):
        signed = await accounts.redeem_link(token)
        await accounts.change_password(signed.actor, "", "a brand new secret")
        await accounts.sign_in("grace", "a brand new secret", "127.0.0.1")
        return (await accounts.audit_page(accounts.system_actor())).entries

    entries = administered(url, again)
    (recorded,) = [entry for entry in entries if entry.detail == "sign-in link for Grace"]
    assert recorded.actor.startswith("command line (")
    assert token not in made.stderr
    assert not any(token in entry.detail for entry in entries)


def test_nobody_of_that_name_a_disabled_one_and_no_database_are_one_line_each(place, vitaltwin, tmp_path):
    url, told = place
    if not told:
        before = vitaltwin("account", "list", **told)
        assert before.returncode == 1
        assert before.stderr.startswith("error: ")
        assert not (tmp_path / "home.db").exists()

    async def prepared(accounts):
        await only_administrator(accounts)
        await accounts.create_account(accounts.system_actor(), "gone", "viewer", wards=["A"])
        await accounts.change_account(accounts.system_actor(), "gone", disabled=True)

    administered(url, prepared)
    for name, said in (("nobody", "no account"), ("gone", "disabled")):
        refused = vitaltwin("account", "link", name, **told)
        assert (refused.returncode, refused.stdout) == (1, "")
        assert said in refused.stderr
        assert "Traceback" not in refused.stderr


def test_a_key_made_beside_a_running_service_works_at_once(program, home, tmp_path, vitaltwin):
    service = ServiceUnderTest(program, home, tmp_path)
    service.start()
    try:
        made = vitaltwin("device", "create", "monitor", "--ward", "*", "--may-admit", "--unit", "glucose=mmol/L")
        assert made.returncode == 0, made.stderr
        key = made.stdout.strip()
        known = urllib.request.Request(f"{service.url}/v1/clock", headers={"Authorization": f"Bearer {key}"})
        with urllib.request.urlopen(known) as answer:
            now = json.load(answer)["now"]
        reading = {"patient": "bed-3", "signal": "glucose", "value": 5.5, "time": now}
        request = urllib.request.Request(
            f"{service.url}/v1/observations",
            json.dumps(reading).encode(),
            {"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request) as answer:
            assert json.load(answer)["taken"] == 1
        link = vitaltwin("account", "link", "admin")
        assert link.stdout.startswith("http://127.0.0.1:8000/sign-in?token=")
        address = service.url + link.stdout.strip().removeprefix("http://127.0.0.1:8000")
        with urllib.request.urlopen(urllib.request.Request(address, method="POST")) as answer:
            assert json.load(answer)["name"] == "admin"
        listed = json.loads(vitaltwin("device", "list", "--json").stdout)["devices"]
        assert {(one["name"], one["may_admit"]) for one in listed} == {("monitor", True), ("local replay", True)}
        assert {"glucose": "mmol/L"} in [one["units"] for one in listed]
        assert vitaltwin("device", "create", "x", "--ward", "*", "--unit", "mmol/L").returncode == 2
        (own,) = [one["id"] for one in listed if one["name"] == "monitor"]
        assert vitaltwin("device", "revoke", own).returncode == 0
        assert len(json.loads(vitaltwin("device", "list", "--json").stdout)["devices"]) == 1
    finally:
        service.end()


def test_the_trail_is_exported_whole_and_that_is_recorded(place, vitaltwin, tmp_path):
    url, told = place

    async def fill(accounts):
        await only_administrator(accounts)
        for number in range(2500):
            accounts.audit(accounts.system_actor(), "patient.read", f"p{number}")
        for _ in range(7):
            with pytest.raises(errors.LinkRefused):
                await accounts.redeem_link("x" * 43, "192.0.2.1")

    administered(url, fill)
    out = tmp_path / "trail.ndjson"
    done = vitaltwin("audit", "export", "--out", out, **told)
    assert done.returncode == 0, done.stderr
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    entries = [json.loads(line) for line in out.read_text().splitlines()]
    assert [entry["patient"] for entry in entries if entry["action"] == "patient.read"] == [
        f"p{number}" for number in range(2500)
    ]
    assert [entry["id"] for entry in entries] == sorted(entry["id"] for entry in entries)
    assert [entry["count"] for entry in entries if entry["outcome"] == "link-refused"] == [7]
    assert (entries[-1]["action"], entries[-1]["detail"]) == ("audit.read", "export everything")
    assert vitaltwin("audit", "export", "--out", out, **told).returncode == 1  # nothing is overwritten
    shown = vitaltwin("audit", "export", "--days", 1, **told)
    assert len(shown.stdout.splitlines()) == len(entries) + 1
