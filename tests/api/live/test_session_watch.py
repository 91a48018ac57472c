"""The watch over sessions goes on after an unexpected error."""

import asyncio

import pytest
from structlog.testing import capture_logs

from api.accounts import Accounts, Actor
from api.live.outbox import Outbox
from api.live.session_watch import ENDED, SessionWatch
from streams.clock import Clock


async def test_an_unexpected_error_stops_no_check_of_the_others(tmp_path, monkeypatch):
    accounts = Accounts(f"sqlite:///{tmp_path}/accounts.db", Clock(origin_us=1_700_000_000_000_000))
    await accounts.open()
    really = accounts.recheck
    failing = Actor(kind="account", name="ada", key="fails")
    ending = Actor(kind="account", name="bob", key="no such session")
    failures = 0

    async def recheck(actor):
        nonlocal failures
        if actor == failing:
            failures += 1
            raise RuntimeError("not foreseen")
        return actor if failures < 3 else await really(actor)

    monkeypatch.setattr(accounts, "recheck", recheck)
    watch = SessionWatch(accounts, period=0.01)
    outboxes = {actor.name: Outbox(1 << 16) for actor in (failing, ending)}
    watch.add(outboxes["ada"], failing)
    watch.add(outboxes["bob"], ending)
    with capture_logs() as logs:
        closed = await asyncio.wait_for(outboxes["bob"].ended(), 60)
    assert (closed.code, closed.reason) == (ENDED, "ended")
    assert outboxes["ada"].closed is None
    assert {(one["event"], one["actor"], one["log_level"]) for one in logs} == {("session not checked", "ada", "error")}
    for outbox in outboxes.values():
        watch.remove(outbox)
    with pytest.raises(RuntimeError):  # the error is still there: nothing but the watch swallowed it
        await recheck(failing)
    await accounts.close()
