"""All tools of a server: those its operator wrote, and those that sources brought, as they are now and as they were.

It is the mapping the loop reads. What changes in a source swaps one entry at once; a run that began with the version
before still finds it here, by name and version. The database is the truth, and any process may change it.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from server.store.tools import SourceRow, ToolRow, ToolStore
from server.tools.api_tool import ApiTool
from server.tools.definition import ToolDefinition
from server.tools.documents import check_hosts, file_time, is_url, read_location, read_tools
from server.tools.gateway.address import place_of
from server.tools.gateway.credentials import Secrets
from server.tools.gateway.gateway import Gateway
from server.tools.gateway.tally import GatewayTally
from server.tools.openapi.document import DocumentError
from server.tools.openapi.drift import Changes, compare
from server.tools.openapi.operation import Operation
from server.tools.openapi.reading import Omission
from server.tools.source import (
    NoSuchSourceError,
    Overrides,
    Refreshed,
    SourceError,
    SourceSettings,
    read_overrides,
    read_settings,
    write_overrides,
    write_settings,
)
from server.tools.updates import plan_update

logger = logging.getLogger("trammel.tools")
Json = dict[str, Any]
Make = Callable[[str, Operation, Overrides, SourceSettings], ToolDefinition]
MCP = "mcp"
"""The kind of a source that is an MCP server."""

_KEPT = 8
"""Versions of a tool that runs under way may still use, and that are kept in memory."""
_RESERVED = {"sources", "search"}
"""What /v1/tools/… means something else by."""
_LOOK_SECONDS = 2.0
_RECHECK_LIMIT = 10.0
"""Seconds that this may take."""
_RECHECK_SECONDS = 15.0
"""After a failed call a source is read again, but no more often than that."""


@dataclass(slots=True)
class _Entry:
    """A source in memory."""

    row: SourceRow
    settings: SourceSettings
    gateway: Gateway
    rows: dict[str, ToolRow] = field(default_factory=dict)
    """By the tools' names."""
    operations: dict[tuple[str, str], Operation] = field(default_factory=dict)
    """By tool and version."""
    read_at: float = field(default_factory=time.monotonic)
    """When its document was looked at last, changed or not."""


class Registry(Mapping[str, ToolDefinition]):
    """`load` it first, `close` it at the end."""

    def __init__(
        self,
        store: ToolStore,
        given: Sequence[ToolDefinition] = (),
        secrets: Secrets | None = None,
        tally: GatewayTally | None = None,
    ) -> None:
        """`given`: the operator's own tools, whose names nobody else gets."""
        self.tally = tally or GatewayTally()
        self._store = store
        self._secrets = secrets or Secrets()
        self._given = {tool.name: tool for tool in given}
        self._makers: dict[str, Make] = {}
        """Of sources that tell of their tools themselves, such as MCP servers, while they are connected."""
        self._entries: dict[str, _Entry] = {}
        self._tools: dict[str, ToolDefinition] = dict(self._given)
        self._pinned: dict[tuple[str, str], ToolDefinition] = {}
        self._unreadable: dict[str, int] = {}
        """Generations of sources in the database that can't be read."""
        self._retired: list[Gateway] = []
        """Of sources that are gone; calls may be under way in them."""
        self._changing = asyncio.Lock()

    def __getitem__(self, name: str) -> ToolDefinition:
        return self._tools[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tools)

    def __len__(self) -> int:
        return len(self._tools)

    def pinned(self, name: str, version: str) -> ToolDefinition | None:
        """The version of a tool that a run began with, if the operator still lets it be called."""
        return self._pinned.get((name, version))

    @property
    def sources(self) -> list[SourceRow]:
        return [entry.row for _, entry in sorted(self._entries.items())]

    def row(self, name: str) -> ToolRow:
        """Raises: SourceError."""
        return self._entry_of(name).rows[name]

    def rows(self) -> list[ToolRow]:
        """Of all tools that sources have brought, by name."""
        found = (row for entry in self._entries.values() for row in entry.rows.values())
        return sorted(found, key=lambda row: row.name)

    def operation(self, name: str, version: str | None = None) -> Operation:
        """A version's definition; by default the one that serves, or else waits. Raises: SourceError."""
        entry, row = self._entry_of(name), self.row(name)
        found = entry.operations.get((name, version or row.live or row.held or ""))
        if found is None:
            raise SourceError(f"the tool {name} has no version {version}")
        return found

    def held_changes(self, name: str) -> Changes:
        """From the version that serves to the one that waits. Raises: SourceError, if none waits."""
        row = self.row(name)
        if row.held is None:
            raise SourceError(f"no version of {name} waits")
        new = self.operation(name, row.held)
        if row.live is None:
            return Changes((("texts", "it is new"),))
        return compare(self.operation(name, row.live), new)

    def load(self) -> None:
        """Read what has changed in the database. Blocks."""
        generations = self._store.generations()
        seen = {name: entry.row.generation for name, entry in self._entries.items()} | self._unreadable
        if generations == seen:
            return
        self._unreadable = {}
        for row in self._store.sources():
            if seen.get(row.name) != row.generation or row.name not in self._entries:
                self._take_in(row)
        for name in self._entries.keys() - (generations.keys() - self._unreadable.keys()):
            self._retired.append(self._entries.pop(name).gateway)
        self._define()

    async def add(self, name: str, location: str, settings: SourceSettings, data: bytes | None = None) -> Refreshed:
        """A new source, and all of its tools, live. `data`: the document, where it is not at the location.

        Raises: SourceError, DocumentError.
        """
        if not name or not all(sign.isalnum() or sign in "_-" for sign in name) or len(name) > 40:
            raise SourceError("a source's name has letters, digits, _ and -, at most 40")
        async with self._changing:
            if name in self._entries or name in self._unreadable:
                raise SourceError(f"there is a source {name} already")
            marks: Json = {}
            if data is None:
                reading = await read_location(location, settings, self._secrets, {})
                data, marks = reading.data or b"", reading.marks
            operations, omissions = await asyncio.to_thread(read_tools, data, location, settings)
            hosts = settings.hosts or tuple(sorted({place_of(operation.url) for operation in operations}))
            settings = replace(settings, hosts=hosts)
            await check_hosts(settings)
            row = SourceRow(name, "openapi", location, write_settings(settings), {**marks, "at": time.time()})
            return await self._take_over(row, settings, operations, omissions)

    async def announce(
        self,
        name: str,
        settings: SourceSettings,
        operations: Sequence[Operation],
        omissions: Sequence[Omission],
        make: Make,
    ) -> Refreshed:
        """All tools of a source that tells of them itself, held and versioned as an API's. `make`: defines a version.

        Raises: SourceError, if the name is an API's.
        """
        async with self._changing:
            entry = self._entries.get(name)
            if entry is not None and entry.row.kind != MCP:
                raise SourceError(f"there is a source {name} already, and it is no MCP server")
            self._makers[name] = make
            row = SourceRow(name, MCP, "", write_settings(settings), {"at": time.time()})
            return await self._take_over(row, settings, list(operations), list(omissions))

    async def refresh(self, name: str, data: bytes | None = None) -> Refreshed:
        """Read a source again, if it has changed. Raises: SourceError, DocumentError."""
        async with self._changing:
            entry = self._entry(name)
            entry.read_at = time.monotonic()
            marks: Json = {}
            if data is None:
                if entry.row.kind == MCP:
                    raise SourceError(f"the MCP server {name} tells of its tools itself")
                if not entry.row.location:
                    raise SourceError(f"the source {name} was given as a document; give it again")
                reading = await read_location(entry.row.location, entry.settings, self._secrets, entry.row.reading)
                if reading.data is None:
                    await self._note(entry.row, reading.marks)
                    return Refreshed(is_unchanged=True)
                data, marks = reading.data, reading.marks
            try:
                operations, omissions = await asyncio.to_thread(read_tools, data, entry.row.location, entry.settings)
                if not operations:
                    raise DocumentError("no operation of the document can be a tool")
            except DocumentError as error:
                # Without its hash and its ETag: the next reading looks at all of it again.
                await self._note(entry.row, {"time": marks.get("time"), "fault": str(error)})
                raise
            row = replace(entry.row, reading={**marks, "at": time.time()})
            return await self._take_over(row, entry.settings, operations, omissions)

    async def remove(self, name: str) -> None:
        """Raises: SourceError."""
        async with self._changing:
            if name not in self._unreadable:
                self._entry(name)
            await asyncio.to_thread(self._store.remove, name)
            await asyncio.to_thread(self.load)

    async def change(self, name: str, *, is_enabled: bool | None = None, overrides: Json | None = None) -> ToolRow:
        """What the operator says of a tool from now on. Raises: SourceError."""
        async with self._changing:
            row = self.row(name)
            if overrides is not None:
                kept = {"rejected": list(read_overrides(row.overrides).rejected)}
                given = {key: value for key, value in overrides.items() if key != "rejected"}
                row = replace(row, overrides=write_overrides(read_overrides({**kept, **given})))
            if is_enabled is not None:
                row = replace(row, is_enabled=is_enabled)
            return await self._store_row(row)

    async def decide(self, name: str, version: str, *, approved: bool) -> ToolRow:
        """Let a version that waits serve, or never. `version`: the one that was looked at. Raises: SourceError."""
        async with self._changing:
            row = self.row(name)
            if row.held != version:
                raise SourceError(f"no version {version} of {name} waits")
            if approved:
                return await self._store_row(replace(row, live=row.held, held=None))
            said = read_overrides(row.overrides)
            said = replace(said, rejected=(*said.rejected, version))
            return await self._store_row(replace(row, held=None, overrides=write_overrides(said)))

    async def watch(self) -> None:
        """See what others change in the database, and read sources again when it is time. Runs until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            try:
                async with self._changing:
                    await asyncio.to_thread(self.load)
                for name in [name for name, entry in self._entries.items() if _is_due(entry)]:
                    await self._refresh_quietly(name)
            except Exception:  # a database may be away for a while
                logger.exception("tools can't be looked after just now")

    async def close(self) -> None:
        for gateway in [*(entry.gateway for entry in self._entries.values()), *self._retired]:
            await gateway.aclose()

    async def _refresh_quietly(self, name: str) -> None:
        try:
            await self.refresh(name)
        except (SourceError, DocumentError) as error:
            logger.warning("the source %s of tools can't be read: %s", name, error)

    async def _take_over(
        self, row: SourceRow, settings: SourceSettings, operations: list[Operation], omissions: list[Omission]
    ) -> Refreshed:
        entry = self._entries.get(row.name)
        known, versions = (list(entry.rows.values()), entry.operations) if entry else ([], {})
        others = {name for one in self._entries.values() if one is not entry for name in one.rows}
        others |= self._given.keys() | _RESERVED
        update = plan_update(row.name, settings, known, versions, operations, omissions, others, time.time())
        await asyncio.to_thread(self._store.put, row, update.tools, update.definitions)
        await asyncio.to_thread(self.load)
        told = update.told
        logger.info("tools of %s: %d new, %d changed, %d held, %d dropped, %d left out", row.name, len(told.added),
                    len(told.changed), len(told.held), len(told.dropped), len(told.omitted))  # fmt: skip
        return told

    async def _note(self, row: SourceRow, marks: Json) -> None:
        """What a reading told that changed no tool."""
        reading = {key: value for key, value in {**marks, "at": row.reading.get("at")}.items() if value is not None}
        if reading != row.reading:
            await asyncio.to_thread(self._store.put, replace(row, reading=reading))
            await asyncio.to_thread(self.load)

    async def _store_row(self, row: ToolRow) -> ToolRow:
        await asyncio.to_thread(self._store.change, row)
        await asyncio.to_thread(self.load)
        return row

    def _entry(self, name: str) -> _Entry:
        if name not in self._entries:
            names = ", ".join(sorted(self._entries)) or "none"
            raise NoSuchSourceError(f"there is no source {name}; there are: {names}")
        return self._entries[name]

    def _entry_of(self, tool: str) -> _Entry:
        found = next((entry for entry in self._entries.values() if tool in entry.rows), None)
        if found is None:
            raise NoSuchSourceError(f"no source has a tool {tool}")
        return found

    def _take_in(self, row: SourceRow) -> None:
        """What another release has written may be more than this one can read; the other sources serve on."""
        try:
            self._entries[row.name] = self._loaded(row)
        except (SourceError, ValueError, KeyError) as error:
            self._unreadable[row.name] = row.generation
            logger.error("the source %s of tools can't be read from the database: %s", row.name, error)

    def _loaded(self, row: SourceRow) -> _Entry:
        settings = read_settings(row.settings)
        before = self._entries.get(row.name)
        if before is not None and before.settings == settings:
            gateway = before.gateway
        else:
            gateway = Gateway(row.name, settings.gateway(), self._secrets, self.tally)
            self._retired += [before.gateway] if before else []
        entry = _Entry(row, settings, gateway, {one.name: one for one in self._store.tools(row.name)})
        for version in self._store.versions(source=row.name):
            place = version.tool, version.version
            known = before.operations.get(place) if before else None
            entry.operations[place] = known or Operation.from_json(version.definition)
        return entry

    def _define(self) -> None:
        """Swap in what the loop sees."""
        tools, pinned = dict(self._given), {(tool.name, tool.version): tool for tool in self._given.values()}
        for entry in self._entries.values():
            if entry.row.kind == MCP and entry.row.name not in self._makers:
                continue  # its server is none of this process's
            versions: dict[str, list[str]] = {}
            for name, known in entry.operations:
                versions.setdefault(name, []).append(known)
            for row in (one for one in entry.rows.values() if one.is_enabled):
                for version in {*versions[row.name][-_KEPT:], row.live}:
                    if version is not None and version != row.held:
                        tool = self._tool(entry, row, version)
                        pinned[row.name, tool.version] = tool
                        if version == row.live and row.dropped is None:
                            tools[row.name] = tool
        self._tools, self._pinned = tools, pinned

    def _tool(self, entry: _Entry, row: ToolRow, version: str) -> ToolDefinition:
        async def doubt() -> str | None:
            return await self._doubt(row.name, version)

        said: Overrides = read_overrides(row.overrides)
        operation = entry.operations[row.name, version]
        if entry.row.kind == MCP:
            return self._makers[entry.row.name](row.name, operation, said, entry.settings)
        return ApiTool(row.name, operation, said, entry.settings, entry.gateway, doubt).define()

    async def _doubt(self, name: str, version: str) -> str | None:
        """Whether the API is not any more what a version says, after reading its document again if need be."""
        try:
            entry = self._entry_of(name)
            if time.monotonic() - entry.read_at > _RECHECK_SECONDS and entry.row.location:
                await asyncio.wait_for(self.refresh(entry.row.name), _RECHECK_LIMIT)
            row = self.row(name)
            if row.dropped is not None:
                return "The API's document does not have this operation any more."
            if row.held is not None:
                changes = self.held_changes(name).harmless_notes or "its description"
                return f"The API has changed, and the change waits for the operator's approval: {changes}."
            if row.live is not None and row.live != version:
                changes = compare(self.operation(name, version), self.operation(name)).harmless_notes
                return f"The API has changed since this run began: {changes or 'its description'}."
        except (SourceError, DocumentError, TimeoutError) as error:
            logger.info("the source of %s can't be read again: %s", name, error)
        return None


def _is_due(entry: _Entry) -> bool:
    """A file that was written again, or a document that is old."""
    location, refresh = entry.row.location, entry.settings.refresh
    if location and not is_url(location):
        found = file_time(location)
        return found is not None and found != entry.row.reading.get("time")
    return bool(location) and refresh is not None and time.monotonic() - entry.read_at > refresh
