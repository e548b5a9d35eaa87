"""Tools of the registry: their sources, what an operator says of them, and every version there was."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "tool_sources",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("location", sa.Text, nullable=False),
        sa.Column("settings", sa.Text, nullable=False),
        sa.Column("reading", sa.Text, nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
    )
    op.create_table(
        "tools",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("source", sa.String(64), sa.ForeignKey("tool_sources.name", ondelete="CASCADE"), nullable=False),
        sa.Column("key", sa.String(256), nullable=False),
        sa.Column("is_enabled", sa.Boolean, nullable=False),
        sa.Column("overrides", sa.Text, nullable=False),
        sa.Column("live", sa.String(64)),
        sa.Column("held", sa.String(64)),
        sa.Column("dropped", sa.Float),
        sa.UniqueConstraint("source", "key"),
    )
    op.create_table(
        "tool_versions",
        sa.Column("tool", sa.String(64), sa.ForeignKey("tools.name", ondelete="CASCADE"), primary_key=True),
        sa.Column("version", sa.String(64), primary_key=True),
        sa.Column("created", sa.Float, nullable=False),
        sa.Column("definition", sa.Text, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("tool_versions")
    op.drop_table("tools")
    op.drop_table("tool_sources")
