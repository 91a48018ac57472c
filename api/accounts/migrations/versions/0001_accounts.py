"""Accounts, sessions, links, device keys and the audit trail."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SERIAL = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Create the tables, and make the audit trail refuse changes where the database can."""
    op.create_table(
        "accounts",
        sa.Column("id", SERIAL, nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("wards", sa.JSON, nullable=False),
        sa.Column("password", sa.String(255)),
        sa.Column("disabled", sa.Boolean, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("last_sign_in", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="pk_accounts"),
        sa.UniqueConstraint("name", name="uq_accounts_name"),
        sa.CheckConstraint("role IN ('viewer', 'clinician', 'admin')", name=op.f("ck_accounts_role")),
    )
    for table, kind in (("account_sessions", "by_link"), ("account_links", "used")):
        op.create_table(
            table,
            sa.Column("token", sa.String(64), nullable=False),
            sa.Column("account_id", SERIAL, nullable=False),
            sa.Column(kind, sa.Boolean, nullable=False) if kind == "by_link" else sa.Column(kind, sa.BigInteger),
            sa.Column("created", sa.BigInteger, nullable=False),
            sa.Column("expires", sa.BigInteger, nullable=False),
            sa.PrimaryKeyConstraint("token", name=f"pk_{table}"),
            sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=f"fk_{table}_account_id", ondelete="CASCADE"),
        )
        op.create_index(f"ix_{table}_account_id", table, ["account_id"])
        op.create_index(f"ix_{table}_expires", table, ["expires"])
    op.create_table(
        "device_keys",
        sa.Column("id", sa.String(8), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("secret", sa.String(64), nullable=False),
        sa.Column("scopes", sa.JSON, nullable=False),
        sa.Column("wards", sa.JSON, nullable=False),
        sa.Column("patients", sa.JSON, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("created_by", sa.String(64), nullable=False),
        sa.Column("revoked", sa.BigInteger),
        sa.Column("last_used", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="pk_device_keys"),
    )
    _create_audit_trail()


def _create_audit_trail() -> None:
    op.create_table(
        "audit_trail",
        sa.Column("id", SERIAL, nullable=False),
        sa.Column("time", sa.BigInteger, nullable=False),
        sa.Column("actor", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("action", sa.String(64), nullable=False),
        sa.Column("patient", sa.String(128), nullable=False),
        sa.Column("detail", sa.String(1000), nullable=False),
        sa.Column("outcome", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit_trail"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_audit_trail_patient", "audit_trail", ["patient", "id"])
    op.create_index("ix_audit_trail_actor", "audit_trail", ["actor", "id"])
    if op.get_bind().dialect.name == "sqlite":
        for change in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER audit_trail_refuses_{change.lower()} BEFORE {change} ON audit_trail "
                "BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END"
            )


def downgrade() -> None:
    """Drop the tables with everything in them."""
    for table in ("audit_trail", "device_keys", "account_links", "account_sessions", "accounts"):
        op.drop_table(table)
