"""A real PostgreSQL, started by infra/postgres/start, with a separate database for a test."""

import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from glob import glob
from pathlib import Path

from sqlalchemy import create_engine, text

from api.accounts.migrate import migrate
from api.accounts.models import Table
from tests.conftest import ROOT, require
from tests.support.service import free_port

INFRA = ROOT / "infra" / "postgres"


class Server:
    """PostgreSQL in a folder, always on the same port; ``url`` is that of its first database."""

    def __init__(self, folder: Path) -> None:
        found = glob("/usr/lib/postgresql/*/bin/postgres")  # noqa: PTH207 - a pattern from the root
        require(Path(found[0]) if found else "postgres", "apt-get install postgresql")
        self.folder = folder
        self.port = free_port()
        self.url = ""
        self._made = False

    def start(self) -> None:
        # A test has no power cut: writes need not reach the disk.
        started = subprocess.run(
            [INFRA / "start", self.folder, "--port", str(self.port), "--setting", "fsync=off"],
            check=False, capture_output=True, text=True,
        )  # fmt: skip
        assert started.returncode == 0, started.stderr
        self.url = started.stdout.strip()

    def stop(self) -> None:
        subprocess.run([INFRA / "stop", self.folder], check=True)

    def empty(self) -> str:
        """The first database with empty tables of accounts: a hundred times faster than a new one."""
        engine = create_engine(self.url)
        if not self._made:
            migrate(engine, engine)
            self._made = True
        with engine.begin() as connection:
            connection.execute(text("ALTER TABLE audit_trail DISABLE TRIGGER USER"))
            for table in reversed(Table.metadata.sorted_tables):
                connection.execute(table.delete())
            connection.execute(text("ALTER TABLE audit_trail ENABLE TRIGGER USER"))
        engine.dispose()
        return self.url

    @contextmanager
    def database(self) -> Iterator[str]:
        """The URL of a new empty database, dropped afterwards."""
        name = f"test_{uuid.uuid4().hex[:12]}"
        self.say(f"CREATE DATABASE {name}")
        try:
            yield f"{self.url.rpartition('/')[0]}/{name}"
        finally:
            self.say(f"DROP DATABASE {name} WITH (FORCE)")

    def say(self, statement: str) -> None:
        """Run one statement outside a transaction."""
        engine = create_engine(self.url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(statement))
        engine.dispose()
