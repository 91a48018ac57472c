"""Device keys say whether the device is a patient's second source; existing keys are not."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column("device_keys", sa.Column("second_source", sa.Boolean, nullable=False, server_default=sa.false()))


def downgrade() -> None:
    """Drop the column: second sources become first ones."""
    with op.batch_alter_table("device_keys") as batch:
        batch.drop_column("second_source")
