"""A real SQLite file, a service clock and a real clock that tests move by hand, and cheap password hashes."""

import pytest
import pytest_asyncio
from argon2 import PasswordHasher

from api.accounts import Accounts
from api.accounts.passwords import Passwords
from streams.clock import Clock

START_S = 1_800_000_000.0
PASSWORD = "correct horse battery"


class Watch:
    """Real seconds, moved by hand."""

    def __init__(self):
        self.seconds = START_S

    def __call__(self):
        return self.seconds


@pytest.fixture
def watch():
    return Watch()


@pytest.fixture
def clock():
    return Clock(origin_us=1_700_000_000_000_000)


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path}/ward with spaces 100%.db"


@pytest.fixture
def cheap():
    return Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


@pytest_asyncio.fixture
async def accounts(url, clock, watch, cheap):
    opened = Accounts(url, clock, real=watch, passwords=cheap)
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
def system(accounts):
    return accounts.system_actor()
