"""Run by Alembic: applies revisions on the connection it was given, within that connection's transaction."""

from __future__ import annotations

from alembic import context

from api.accounts.migrate import VERSION_TABLE
from api.accounts.models import Table

if __name__ == "env_py":  # the name Alembic runs it under; whoever else imports it has no connection to offer
    context.configure(
        connection=context.config.attributes["connection"],
        target_metadata=Table.metadata,
        version_table=VERSION_TABLE,
        transactional_ddl=True,  # true of SQLite too, since the connection begins its transactions itself
        render_as_batch=True,
    )
    with context.begin_transaction():
        context.run_migrations()
