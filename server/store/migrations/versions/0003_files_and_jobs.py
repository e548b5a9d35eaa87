"""Uploaded files, fine-tuning jobs with their events and checkpoints, and the models that jobs have made."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "files",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("owner", sa.String(128), nullable=False),
        sa.Column("created", sa.Float, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("filename", sa.Text, nullable=False),
        sa.Column("purpose", sa.String(32), nullable=False),
        sa.Column("expires", sa.Float),
    )
    op.create_index("files_owner_created", "files", ["owner", "created"])
    op.create_table(
        "fine_tuning_jobs",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("owner", sa.String(128), nullable=False),
        sa.Column("created", sa.Float, nullable=False),
        sa.Column("request", sa.Text, nullable=False),
        sa.Column("status", sa.String(32), nullable=False),
        sa.Column("progress", sa.Text, nullable=False),
        sa.Column("lease", sa.String(64)),
        sa.Column("leased_until", sa.Float),
        sa.Column("attempts", sa.Integer, nullable=False),
    )
    op.create_index("fine_tuning_jobs_owner_created", "fine_tuning_jobs", ["owner", "created"])
    op.create_index("fine_tuning_jobs_status", "fine_tuning_jobs", ["status"])
    _belongs_to_job("fine_tuning_events", sa.Column("number", sa.Integer, primary_key=True, autoincrement=False))
    _belongs_to_job("fine_tuning_checkpoints", sa.Column("step", sa.Integer, primary_key=True, autoincrement=False))
    op.create_table(
        "fine_tuned_models",
        sa.Column("name", sa.String(256), primary_key=True),
        sa.Column("owner", sa.String(128), nullable=False),
        sa.Column("created", sa.Float, nullable=False),
        sa.Column("base", sa.Text, nullable=False),
        sa.Column("job", sa.String(64), nullable=False),
        sa.Column("file", sa.Text, nullable=False),
    )


def _belongs_to_job(table: str, number: sa.Column[int]) -> None:
    job = sa.Column("job", sa.String(64), sa.ForeignKey("fine_tuning_jobs.id", ondelete="CASCADE"), primary_key=True)
    op.create_table(
        table, job, number, sa.Column("at", sa.Float, nullable=False), sa.Column("body", sa.Text, nullable=False)
    )


def downgrade() -> None:
    for table in ("fine_tuned_models", "fine_tuning_checkpoints", "fine_tuning_events", "fine_tuning_jobs", "files"):
        op.drop_table(table)
