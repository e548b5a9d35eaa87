"""What a newly read document does to the tools of its source: decided here, and done by the registry.

The first reading is the operator's own wish: all of it goes live. After that the document changes by itself, and what
the source's `hold` names waits for a person while the version before it serves on.
"""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace

from server.store.tools import Json, ToolRow
from server.tools.openapi.drift import Kind, compare, texts_of
from server.tools.openapi.operation import Operation
from server.tools.openapi.reading import Omission
from server.tools.openapi.words import legal_name
from server.tools.source import Refreshed, SourceSettings, read_overrides

_ALWAYS_HELD: frozenset[Kind] = frozenset(("server", "effect"))


@dataclass(frozen=True, slots=True)
class Update:
    """Rows to be stored, definitions of the versions that are new, by tool, and what to tell."""

    tools: tuple[ToolRow, ...]
    definitions: Mapping[str, Json]
    told: Refreshed


def plan_update(
    source: str,
    settings: SourceSettings,
    known: Sequence[ToolRow],
    versions: Mapping[tuple[str, str], Operation],
    operations: Sequence[Operation],
    omissions: Sequence[Omission],
    taken: Container[str],
    now: float,
) -> Update:
    """`versions`: by tool and version. `taken`: names of other sources' tools. `now`: seconds since the epoch."""
    is_first = not known
    rows = {row.key: row for row in known}
    names = {row.name for row in known}
    changed: dict[str, ToolRow] = {}
    definitions: dict[str, Json] = {}
    added, grown, held, dropped = [], [], [], []
    for operation in operations:
        row = rows.get(operation.key)
        if row is None:
            name = _free_name(settings.prefix + operation.key, names, taken)
            names.add(name)
            waits = not is_first and ("new" in settings.hold or ("texts" in settings.hold and texts_of(operation)))
            live, waiting = (None, operation.hash) if waits else (operation.hash, None)
            after = ToolRow(name, source, operation.key, live=live, held=waiting)
            added.append(name)
        else:
            after = _next(row, operation, versions, settings)
            if after.live != row.live:
                grown.append(row.name)
        if after == row:
            continue
        changed[after.name] = after
        if after.held == operation.hash:
            held.append(after.name)
        if operation.hash in (after.live, after.held):
            definitions[after.name] = operation.to_json()
    offered = {operation.key for operation in operations}
    for row in known:
        if row.key not in offered and row.dropped is None:
            changed[row.name] = replace(row, dropped=now, held=None if row.live else row.held)
            dropped.append(row.name)
    omitted = {one.key: one.reason for one in omissions}
    told = Refreshed(tuple(added), tuple(grown), tuple(held), tuple(dropped), omitted)
    return Update(tuple(changed.values()), definitions, told)


def _next(
    row: ToolRow, operation: Operation, versions: Mapping[tuple[str, str], Operation], settings: SourceSettings
) -> ToolRow:
    back = replace(row, dropped=None)
    if operation.hash == row.live:
        return replace(back, held=None)
    if operation.hash == row.held or operation.hash in read_overrides(row.overrides).rejected:
        return back
    if row.live is None and {"new", "texts"} & {*settings.hold}:
        return replace(back, held=operation.hash)  # it has never served, so whatever is said of it is new
    live = versions.get((row.name, row.live or ""))
    kinds = compare(live, operation).kinds if live else frozenset[Kind](("texts",))
    wanted = {*settings.hold, *_ALWAYS_HELD}
    return replace(back, held=operation.hash) if kinds & wanted else replace(back, live=operation.hash, held=None)


def _free_name(wanted: str, names: set[str], taken: Container[str]) -> str:
    name = legal_name(wanted)
    while name in names or name in taken:
        name = legal_name(name, _Both(names, taken))
    return name


@dataclass(frozen=True, slots=True)
class _Both:
    """Either holds it."""

    first: Container[str]
    second: Container[str]

    def __contains__(self, name: object) -> bool:
        return name in self.first or name in self.second
