"""Run by Alembic: applies revisions on the connection it was given, within that connection's transaction."""

from __future__ import annotations

from alembic import context

from api.accounts.migrate import VERSION_TABLE
from api.accounts.models import Table

if __name__ == "env_py":  # only Alembic runs it under this name; other imports have no connection
    context.configure(
        connection=context.config.attributes["connection"],
        target_metadata=Table.metadata,
        version_table=VERSION_TABLE,
        transactional_ddl=True,  # also true for SQLite, because the connection begins its transactions itself
        render_as_batch=True,
    )
    with context.begin_transaction():
        context.run_migrations()
