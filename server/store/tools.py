"""Tools that outlive a restart: where they come from, what an operator says of them, and each version there was.

A source's generation grows with every change of it or of its tools, in the same transaction, so that every process on
the database sees by one small query that it has to look again.
"""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

Json = dict[str, Any]

_metadata = sa.MetaData()
_sources = sa.Table(
    "tool_sources",
    _metadata,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("kind", sa.String),
    sa.Column("location", sa.Text),
    sa.Column("settings", sa.Text),
    sa.Column("reading", sa.Text),
    sa.Column("generation", sa.Integer),
)
_tools = sa.Table(
    "tools",
    _metadata,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("source", sa.String),
    sa.Column("key", sa.String),
    sa.Column("is_enabled", sa.Boolean),
    sa.Column("overrides", sa.Text),
    sa.Column("live", sa.String),
    sa.Column("held", sa.String),
    sa.Column("dropped", sa.Float),
)
_versions = sa.Table(
    "tool_versions",
    _metadata,
    sa.Column("tool", sa.String, primary_key=True),
    sa.Column("version", sa.String, primary_key=True),
    sa.Column("created", sa.Float),
    sa.Column("definition", sa.Text),
)


@dataclass(frozen=True, slots=True)
class SourceRow:
    """Where tools come from."""

    name: str
    kind: str
    location: str
    settings: Json = field(default_factory=dict)
    reading: Json = field(default_factory=dict)
    """What is known of the last reading: its ETag, its hash, when it was, what went wrong."""
    generation: int = 1


@dataclass(frozen=True, slots=True)
class ToolRow:
    """A tool, whichever version of it is live."""

    name: str
    source: str
    key: str
    """What the source knows it by."""
    is_enabled: bool = True
    overrides: Json = field(default_factory=dict)
    live: str | None = None
    held: str | None = None
    """A version that waits for a person."""
    dropped: float | None = None
    """When its source had it no more; seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class VersionRow:
    """A version, and the definition it stands for."""

    tool: str
    version: str
    created: float
    definition: Json


class ToolStore:
    """Thread-safe; every call is a transaction of its own."""

    def __init__(self, engine: sa.Engine) -> None:
        """`engine`: of `open_database`."""
        self._engine = engine

    def generations(self) -> dict[str, int]:
        """Of all sources: what differs from what was seen last has changed."""
        with self._engine.connect() as connection:
            rows = connection.execute(sa.select(_sources.c.name, _sources.c.generation))
            return {row.name: row.generation for row in rows}

    def sources(self) -> list[SourceRow]:
        with self._engine.connect() as connection:
            rows = connection.execute(sa.select(_sources).order_by(_sources.c.name))
            return [
                SourceRow(name, kind, location, json.loads(settings), json.loads(reading), generation)
                for name, kind, location, settings, reading, generation in rows
            ]

    def tools(self, source: str | None = None) -> list[ToolRow]:
        query = sa.select(_tools).order_by(_tools.c.name)
        if source is not None:
            query = query.where(_tools.c.source == source)
        with self._engine.connect() as connection:
            return [
                ToolRow(name, of, key, is_enabled, json.loads(overrides), live, held, dropped)
                for name, of, key, is_enabled, overrides, live, held, dropped in connection.execute(query)
            ]

    def versions(self, tools: Sequence[str] | None = None, source: str | None = None) -> list[VersionRow]:
        """Of some tools, of a source's, or all; oldest first."""
        query = sa.select(_versions).order_by(_versions.c.created)
        if tools is not None:
            query = query.where(_versions.c.tool.in_(tools))
        if source is not None:
            query = query.join(_tools, _tools.c.name == _versions.c.tool).where(_tools.c.source == source)
        with self._engine.connect() as connection:
            return [
                VersionRow(tool, version, created, json.loads(definition))
                for tool, version, created, definition in connection.execute(query)
            ]

    def put(self, source: SourceRow, tools: Sequence[ToolRow] = (), versions: Mapping[str, Json] | None = None) -> None:
        """A source as it is now, the tools of it that have changed, and by tool the definition of a new version.

        A version's name is `live` or `held` of its tool.
        """
        now = time.time()
        with self._engine.begin() as connection:
            self._touch(connection, source)
            for tool in tools:
                _upsert(connection, _tools, {"name": tool.name}, _tool_values(tool))
            for tool in tools:
                definition = (versions or {}).get(tool.name)
                version = tool.held or tool.live
                if definition is not None and version is not None:
                    values = {"created": now, "definition": json.dumps(definition)}
                    _upsert(connection, _versions, {"tool": tool.name, "version": version}, values)

    def change(self, tool: ToolRow) -> None:
        """What an operator says of a tool."""
        with self._engine.begin() as connection:
            connection.execute(_tools.update().where(_tools.c.name == tool.name).values(**_tool_values(tool)))
            grown = {"generation": _sources.c.generation + 1}
            connection.execute(_sources.update().where(_sources.c.name == tool.source).values(grown))

    def remove(self, source: str) -> bool:
        """Forget a source and its tools. False: there was none."""
        with self._engine.begin() as connection:
            names = sa.select(_tools.c.name).where(_tools.c.source == source)
            connection.execute(_versions.delete().where(_versions.c.tool.in_(names)))
            connection.execute(_tools.delete().where(_tools.c.source == source))
            return connection.execute(_sources.delete().where(_sources.c.name == source)).rowcount > 0

    def _touch(self, connection: sa.Connection, source: SourceRow) -> None:
        query = sa.select(_sources.c.generation).where(_sources.c.name == source.name)
        known = connection.execute(query).scalar_one_or_none()
        values = {
            "kind": source.kind,
            "location": source.location,
            "settings": json.dumps(source.settings),
            "reading": json.dumps(source.reading),
            # A source that was removed and comes again must not look like the old one.
            "generation": int(time.time()) if known is None else known + 1,
        }
        _upsert(connection, _sources, {"name": source.name}, values)


def _tool_values(tool: ToolRow) -> Json:
    return {
        "source": tool.source,
        "key": tool.key,
        "is_enabled": tool.is_enabled,
        "overrides": json.dumps(tool.overrides),
        "live": tool.live,
        "held": tool.held,
        "dropped": tool.dropped,
    }


def _upsert(connection: sa.Connection, table: sa.Table, keys: Json, values: Json) -> None:
    """Both databases can do it in one statement, each in its own dialect; two statements do in either."""
    where = sa.and_(*(table.c[name] == value for name, value in keys.items()))
    if connection.execute(table.update().where(where).values(**values)).rowcount == 0:
        connection.execute(table.insert().values(**keys, **values))
