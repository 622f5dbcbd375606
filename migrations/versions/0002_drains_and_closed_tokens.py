"""drains, tokens whose tunnels are closed, and events of instances."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the schema here."""
    op.create_table(
        "drains",
        sa.Column("instance", sa.String(length=256), nullable=False),
        sa.Column("actor", sa.String(length=128), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("instance", name=op.f("pk_drains")),
    )
    # Not in a batch, which would make the table anew: SQLite would then delete what refers to it.
    op.add_column(
        "join_tokens", sa.Column("close_tunnels", sa.Boolean(), nullable=False, server_default=sa.false())
    )
    with op.batch_alter_table("events") as table:
        table.alter_column("name", existing_type=sa.String(length=128), type_=sa.String(length=256))


def downgrade() -> None:
    """Take it back."""
    with op.batch_alter_table("events") as table:
        table.alter_column("name", existing_type=sa.String(length=256), type_=sa.String(length=128))
    op.drop_column("join_tokens", "close_tunnels")
    op.drop_table("drains")
