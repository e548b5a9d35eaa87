"""Tools and their sources as people see them, over HTTP and at the command line. No secret is in any of it."""

import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from server.store.tools import SourceRow, ToolRow
from server.tools.definition import ToolDefinition
from server.tools.registry import Registry
from server.tools.retrieval import Hit
from server.tools.source import Refreshed, SourceError, read_overrides, write_overrides

Json = dict[str, Any]


def tool_objects(registry: Registry) -> list[Json]:
    """All tools, the operator's own first, those that wait or are off included."""
    rows = registry.rows()
    brought = {row.name for row in rows}
    own = [given_object(tool) for name, tool in registry.items() if name not in brought]
    return [*own, *(tool_object(registry, row) for row in rows)]


def given_object(tool: ToolDefinition) -> Json:
    """A tool that the operator's own code defines."""
    return {
        "name": tool.name,
        "object": "tool",
        "source": None,
        "status": "live",
        "description": tool.description,
        "effect": tool.effect,
        "trust": tool.trust,
        "version": tool.version,
    }


def tool_object(registry: Registry, row: ToolRow) -> Json:
    tool = registry.get(row.name)
    operation = registry.operation(row.name)
    said = read_overrides(row.overrides)
    return {
        "name": row.name,
        "object": "tool",
        "source": row.source,
        "status": status_of(row),
        "description": tool.description if tool else operation.description,
        "effect": tool.effect if tool else said.effect or operation.effect,
        "trust": tool.trust if tool else said.trust,
        "version": row.live,
        "held": row.held,
    }


def tool_details(registry: Registry, name: str) -> Json:
    """One tool with its schema, what the operator says of it, and what waits. Raises: SourceError."""
    if (tool := registry.get(name)) is not None and all(row.name != name for row in registry.rows()):
        return {**given_object(tool), "parameters": dict(tool.parameters)}
    row, operation = registry.row(name), registry.operation(name)
    shown = {
        **tool_object(registry, row),
        "operation": f"{operation.method} {operation.url}",
        "parameters": dict(operation.schema),
        "overrides": write_overrides(read_overrides(row.overrides)),
        "credentials": [list(names) for names in operation.security if names],
        "is_enabled": row.is_enabled,
    }
    return {**shown, "waiting": difference(registry, name)} if row.held else shown


def status_of(row: ToolRow) -> str:
    """live, held (no version of it serves yet), off, or dropped (by its source)."""
    if not row.is_enabled:
        return "off"
    if row.dropped is not None:
        return "dropped"
    return "live" if row.live else "held"


def difference(registry: Registry, name: str) -> Json:
    """What a version that waits would change. Raises: SourceError."""
    row, changes = registry.row(name), registry.held_changes(name)
    return {
        "tool": name,
        "version": row.held,
        "instead_of": row.live,
        "kinds": sorted(changes.kinds),
        "changes": list(changes.notes),
        "description": registry.operation(name, row.held).description,
    }


def differences(registry: Registry, source: str) -> list[Json]:
    """Of all tools of a source, those that its document dropped too. Raises: SourceError."""
    if source not in {row.name for row in registry.sources}:
        raise SourceError(f"there is no source {source}")
    rows = [row for row in registry.rows() if row.source == source]
    waiting = [difference(registry, row.name) for row in rows if row.held]
    gone = [_dropped(row) for row in rows if row.dropped]
    return [*waiting, *gone]


def _dropped(row: ToolRow) -> Json:
    since = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(row.dropped))
    changes = [f"gone from the document since {since}"]
    return {"tool": row.name, "version": None, "instead_of": row.live, "kinds": ["dropped"], "changes": changes}


def source_object(registry: Registry, row: SourceRow) -> Json:
    rows = [one for one in registry.rows() if one.source == row.name]
    return {
        "name": row.name,
        "object": "tool_source",
        "kind": row.kind,
        "location": row.location or None,
        "settings": row.settings,
        "tools": len(rows),
        "held": sum(one.held is not None for one in rows),
        "dropped": sum(one.dropped is not None for one in rows),
        "read_at": int(row.reading.get("at") or 0),
        "fault": row.reading.get("fault"),
    }


def refreshed_object(told: Refreshed) -> Json:
    return {"object": "tool_source.refreshed", **asdict(told)}


def hit_object(hit: Hit, tools: Mapping[str, ToolDefinition]) -> Json:
    """A tool that was found, with its places by words and by vectors."""
    return {
        "object": "tool.hit",
        "name": hit.name,
        "description": tools[hit.name].description if hit.name in tools else None,
        "score": round(hit.score, 4),
        "word_rank": hit.word_rank,
        "vector_rank": hit.vector_rank,
        "words": list(hit.words),
    }
