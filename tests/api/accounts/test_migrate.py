import asyncio
import sqlite3

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect, text

from api.accounts import errors
from api.accounts.database import Database
from api.accounts.migrate import HEAD, VERSION_TABLE, configuration
from api.accounts.models import Table
from tests.api.accounts.conftest import in_a_file


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    """An empty database."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/ward with spaces 100%.db"
    else:
        with request.getfixturevalue("postgres").database() as fresh:
            yield fresh


def open_and_close(url):
    async def run():
        database = Database(url)
        try:
            await database.open()
        finally:
            await database.close()

    asyncio.run(run())


def test_an_empty_database_gets_what_the_models_say(url):
    open_and_close(url)
    engine = create_engine(url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE, "compare_type": True})
        assert compare_metadata(context, Table.metadata) == []
        checks = inspect(connection).get_check_constraints("accounts")
        assert [check["name"] for check in checks] == ["ck_accounts_role"]
        (models,) = [c.name for c in Table.metadata.tables["accounts"].constraints if c.name and "role" in c.name]
        assert models == "ck_accounts_role"
    engine.dispose()


def test_head_is_the_newest_script():
    assert ScriptDirectory.from_config(configuration()).get_heads() == [HEAD]


def test_opening_again_changes_nothing(url):
    open_and_close(url)
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(
            text("INSERT INTO accounts (name, role, wards, disabled, created) VALUES ('ada', 'admin', '[]', false, 1)")
        )
    engine.dispose()
    open_and_close(url)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT name FROM accounts")).scalar_one() == "ada"
    engine.dispose()


def test_down_and_up_again(url):
    open_and_close(url)
    engine = create_engine(url)
    with engine.begin() as connection:
        command.downgrade(configuration(connection), "base")
        assert set(inspect(connection).get_table_names()) == {VERSION_TABLE}
    engine.dispose()
    open_and_close(url)
    with engine.connect() as connection:
        assert "accounts" in inspect(connection).get_table_names()
    engine.dispose()


def test_keys_made_before_there_were_second_sources_are_none(url):
    engine = create_engine(url)
    with engine.begin() as connection:
        command.upgrade(configuration(connection), "0001")
        connection.execute(
            text(
                "INSERT INTO device_keys (id, name, secret, scopes, wards, patients, created, created_by) "
                "VALUES ('abcdefgh', 'monitor', '00', '[]', '[]', '[]', 1, 'ada')"
            )
        )
    engine.dispose()
    open_and_close(url)
    with engine.begin() as connection:
        assert connection.execute(text("SELECT id, second_source FROM device_keys")).all() == [("abcdefgh", False)]
        command.downgrade(configuration(connection), "0001")
        assert connection.execute(text("SELECT id FROM device_keys")).all() == [("abcdefgh",)]
        columns = {column["name"] for column in inspect(connection).get_columns("device_keys")}
        assert "second_source" not in columns
    engine.dispose()


def test_of_services_opening_one_database_at_once_one_makes_the_tables(url):
    async def run():
        databases = [Database(url) for _ in range(4)]
        made = await asyncio.gather(*(database.open() for database in databases))
        for database in databases:
            await database.close()
        return made

    assert sorted(asyncio.run(run())) == [False, False, False, True]


def test_a_database_from_a_newer_version_is_refused_in_words(url):
    open_and_close(url)
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE accounts_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(errors.StoreUnavailable, match="newer"):
        open_and_close(url)


@pytest.mark.parametrize("mode", ["wal", "delete"])
def test_the_files_own_settings_and_other_tables_stay(tmp_path, mode):
    path = tmp_path / "log.db"
    log = sqlite3.connect(path)
    log.execute("PRAGMA page_size = 8192")
    log.execute(f"PRAGMA journal_mode = {mode}")
    log.execute("CREATE TABLE log (id INTEGER PRIMARY KEY)")
    log.commit()
    open_and_close(f"sqlite:///{path}")
    assert log.execute("PRAGMA journal_mode").fetchone() == (mode,)
    assert log.execute("PRAGMA page_size").fetchone() == (8192,)
    assert log.execute("SELECT count(*) FROM log").fetchone() == (0,)
    log.close()


def test_a_new_file_is_in_wal_mode(tmp_path):
    open_and_close(f"sqlite:///{tmp_path}/new.db")
    connection = sqlite3.connect(tmp_path / "new.db")
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


@in_a_file
def test_connections_wait_and_enforce_foreign_keys(url):
    async def run():
        database = Database(url)
        await database.open()
        pragmas = await database.read(
            lambda session: [
                session.execute(text(f"PRAGMA {name}")).scalar() for name in ("busy_timeout", "foreign_keys")
            ]
        )
        await database.close()
        return pragmas

    assert asyncio.run(run()) == [10_000, 1]
