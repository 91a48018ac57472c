"""Explicit rights, counted refusals, and an audit trail that may be pruned by age.

Existing accounts and keys keep their rights: all of them name their wards already (`*` for all), and existing keys may
still admit unknown patients. New ones have only the rights that they are given.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_GUARDED = (
    "CREATE TRIGGER audit_trail_refuses_delete BEFORE DELETE ON audit_trail "
    "BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END"
)
_SPARED = (
    "CREATE TRIGGER audit_trail_refuses_delete BEFORE DELETE ON audit_trail "
    "WHEN OLD.time >= (SELECT coalesce(max(before), 0) FROM audit_horizon) "
    "BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END"
)
_KEEPS = (
    "CREATE FUNCTION audit_trail_keeps() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN IF OLD.time < (SELECT coalesce(max(before), 0) FROM audit_horizon) THEN RETURN OLD; END IF; "
    "RAISE EXCEPTION 'the audit trail is append-only' USING ERRCODE = 'integrity_constraint_violation'; END $$"
)


def upgrade() -> None:
    """Add the columns, and let the triggers allow the deletion of entries before the horizon."""
    op.add_column("device_keys", sa.Column("may_admit", sa.Boolean, nullable=False, server_default=sa.true()))
    with op.batch_alter_table("device_keys") as batch:
        batch.alter_column("may_admit", server_default=sa.false(), existing_type=sa.Boolean, existing_nullable=False)
    op.add_column("audit_trail", sa.Column("count", sa.Integer, nullable=False, server_default="1"))
    horizon = op.create_table(
        "audit_horizon",
        sa.Column("id", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("before", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit_horizon"),
    )
    op.bulk_insert(horizon, [{"id": 1, "before": 0}])
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DROP TRIGGER audit_trail_refuses_delete")
        op.execute(_SPARED)
        return
    op.execute(_KEEPS)
    op.execute("DROP TRIGGER audit_trail_is_append_only ON audit_trail")
    op.execute(
        "CREATE TRIGGER audit_trail_is_append_only BEFORE UPDATE OR TRUNCATE ON audit_trail "
        "FOR EACH STATEMENT EXECUTE FUNCTION audit_trail_refuses()"
    )
    op.execute(
        "CREATE TRIGGER audit_trail_keeps_what_is_young BEFORE DELETE ON audit_trail "
        "FOR EACH ROW EXECUTE FUNCTION audit_trail_keeps()"
    )


def downgrade() -> None:
    """Protect the whole trail again and drop the columns; counts are lost."""
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DROP TRIGGER audit_trail_refuses_delete")
        op.execute(_GUARDED)
    else:
        op.execute("DROP TRIGGER audit_trail_keeps_what_is_young ON audit_trail")
        op.execute("DROP FUNCTION audit_trail_keeps()")
        op.execute("DROP TRIGGER audit_trail_is_append_only ON audit_trail")
        op.execute(
            "CREATE TRIGGER audit_trail_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_trail "
            "FOR EACH STATEMENT EXECUTE FUNCTION audit_trail_refuses()"
        )
    op.drop_table("audit_horizon")
    op.drop_column("audit_trail", "count")
    with op.batch_alter_table("device_keys") as batch:
        batch.drop_column("may_admit")
