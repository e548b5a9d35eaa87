"""A database by URL, brought to the newest schema: SQLite in a file or in memory, or PostgreSQL.

`sqlite:///runs.db`, `sqlite://` (memory), `postgresql+psycopg://user@host/name`.
"""

from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from sqlalchemy import event
from sqlalchemy.pool import StaticPool

MIGRATIONS = Path(__file__).parent / "migrations"


def open_database(url: str) -> sa.Engine:
    """An engine on the newest schema. Raises: sqlalchemy.exc.SQLAlchemyError, if it can't be reached."""
    parsed = sa.make_url(url)
    is_sqlite = parsed.get_backend_name() == "sqlite"
    options: dict[str, Any] = {"poolclass": StaticPool} if is_sqlite and not parsed.database else {}
    if is_sqlite:
        options["connect_args"] = {"check_same_thread": False, "timeout": 30}
    engine = sa.create_engine(parsed, **options)
    if is_sqlite:
        event.listen(engine, "connect", _set_up_sqlite)
    migrate(engine)
    return engine


def migrate(engine: sa.Engine) -> None:
    """Bring the schema to its newest revision."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _set_up_sqlite(connection: Any, _: Any) -> None:
    """WAL lets readers and the writer go on together; FULL makes a commit survive the loss of power."""
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}")
