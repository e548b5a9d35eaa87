"""Responses and their items. Earlier servers made the same tables in SQLite themselves: those are taken as they are."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    if sa.inspect(op.get_bind()).has_table("responses"):
        return
    op.create_table(
        "responses",
        sa.Column("id", sa.String(128), primary_key=True),
        sa.Column("owner", sa.String(128), nullable=False),
        sa.Column("previous", sa.String(128)),
        sa.Column("created", sa.Float, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("input", sa.Text, nullable=False),
    )
    op.create_index("responses_created", "responses", ["created"])
    op.create_table(
        "items",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("response", sa.String(128), sa.ForeignKey("responses.id", ondelete="CASCADE"), nullable=False),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.create_index("items_response", "items", ["response"])


def downgrade() -> None:
    op.drop_table("items")
    op.drop_table("responses")
