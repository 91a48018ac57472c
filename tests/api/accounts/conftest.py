"""A real SQLite file or PostgreSQL, a service clock and a real clock that tests move by hand, cheap password hashes."""

from contextlib import contextmanager

import pytest
import pytest_asyncio
from argon2 import PasswordHasher
from sqlalchemy import create_engine, text

from api.accounts import Accounts
from api.accounts.database import Database
from api.accounts.models import Table
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


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    """An empty database, on SQLite and on PostgreSQL; every test with this fixture runs on both."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/ward with spaces 100%.db"
    return request.getfixturevalue("postgres").empty()


in_a_file = pytest.mark.parametrize("url", ["sqlite"], indirect=True)
"""For tests that look at SQLite's file itself."""


@pytest.fixture
def ask(url):
    """Runs SQL on a separate connection and returns the rows."""
    engine = create_engine(url)

    def rows(statement):
        with engine.begin() as connection:
            answer = connection.execute(text(statement))
            return answer.all() if answer.returns_rows else None

    yield rows
    engine.dispose()


@contextmanager
def held(url):
    """Meanwhile another transaction is writing and does not end."""
    other = Database(url)
    try:
        with other._writing.begin():
            yield
    finally:
        other._engine.dispose()


@pytest.fixture
def kept(ask):
    """All rows in the tables of accounts, as one text."""
    return lambda: "\n".join(str(row) for table in Table.metadata.tables for row in ask(f"SELECT * FROM {table}"))  # noqa: S608


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
