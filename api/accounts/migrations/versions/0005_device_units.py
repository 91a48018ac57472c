"""The units of a device's readings that name no unit; existing keys have none."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column("device_keys", sa.Column("units", sa.JSON, nullable=False, server_default="{}"))


def downgrade() -> None:
    """Drop the column."""
    with op.batch_alter_table("device_keys") as batch:
        batch.drop_column("units")
