"""A database by URL, brought to the newest schema: SQLite in a file or in memory, or PostgreSQL.

`sqlite:///runs.db`, `sqlite://` (memory), `postgresql+psycopg://user@host/name`.
"""

import logging
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import event
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.pool import QueuePool

MIGRATIONS = Path(__file__).parent / "migrations"
_LOCKS = {"sqlite": "BEGIN IMMEDIATE", "postgresql": "SELECT pg_advisory_xact_lock(7264726)"}
"""What lets one process migrate at a time, to the end of its transaction."""


class DatabaseError(Exception):
    """A database can't be opened. Says why, and no password."""


def database_url(place: str) -> str:
    """A database's URL. `place`: that already, or the path of an SQLite file."""
    return place if "://" in place else f"sqlite:///{place}"


def open_database(url: str) -> sa.Engine:
    """An engine on the newest schema. Raises: DatabaseError."""
    try:
        return _open(sa.make_url(url))
    except ArgumentError as error:
        raise DatabaseError("the URL of the database can't be read; it looks like sqlite:///runs.db") from error
    except (SQLAlchemyError, CommandError, ImportError) as error:
        cause = getattr(error, "orig", None) or error
        raise DatabaseError(f"the database {sa.make_url(url)!r} can't be opened: {cause}") from error


def _open(parsed: sa.URL) -> sa.Engine:
    if parsed.get_backend_name() not in _LOCKS:
        raise DatabaseError(f"{parsed.get_backend_name()} is not supported: use SQLite or PostgreSQL")
    is_sqlite = parsed.get_backend_name() == "sqlite"
    options: dict[str, Any] = {"hide_parameters": True}  # they are people's words, and errors are logged
    if is_sqlite and not parsed.database:  # memory lives as long as its connection, so there is one, and it is lent out
        options |= {"poolclass": QueuePool, "pool_size": 1, "max_overflow": 0}
    if is_sqlite:
        options["connect_args"] = {"check_same_thread": False, "timeout": 30}
    else:
        options["pool_pre_ping"] = True  # a server that was restarted has ended the connections that lie idle
    engine = sa.create_engine(parsed, **options)
    if is_sqlite:
        event.listen(engine, "connect", _set_up_sqlite)
    migrate(engine)
    return engine


def migrate(engine: sa.Engine, revision: str = "head") -> None:
    """Bring the schema to a revision. Of several processes that start together, one does it and the others wait."""
    logging.getLogger("alembic").setLevel(logging.WARNING)  # it tells every start otherwise
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.begin() as connection:
        connection.exec_driver_sql(_LOCKS[engine.dialect.name])
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def _set_up_sqlite(connection: Any, _: Any) -> None:
    """WAL lets readers and the writer go on together; FULL makes a commit survive the loss of power."""
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}")
