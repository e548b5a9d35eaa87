"""`/v1/tools`: what the server can call, where it comes from, and changing that while requests run.

OpenAI has no such endpoints; errors and lists have its shape. Whoever may ask may see the list; all else is for the
admin key, calls included: they are made without a model, and without asking for approval.
"""

import contextlib
import json
import uuid
from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from pydantic import Field

from server.api.admin_key import require_admin
from server.api.errors import ApiError, invalid
from server.api.sampling_fields import Wire
from server.chat.validation import find_faults
from server.tools.definition import CallContext, ToolDefinition, ToolError, UncertainError
from server.tools.documents import is_url
from server.tools.listing import (
    difference,
    differences,
    hit_object,
    refreshed_object,
    source_object,
    tool_details,
    tool_object,
    tool_objects,
)
from server.tools.openapi.document import DocumentError
from server.tools.registry import Registry
from server.tools.retrieval import ToolFinder
from server.tools.source import NoSuchSourceError, SourceError, read_settings

Json = dict[str, Any]


def registry_of(request: Request) -> Registry:
    """The tools of the app a request came to."""
    registry: Registry = request.app.state.tools
    return registry


router = APIRouter(prefix="/v1/tools")
TheRegistry = Annotated[Registry, Depends(registry_of)]
admin_only = [Depends(require_admin)]


class SourceIn(Wire):
    """An API's document, by URL or as it is."""

    name: str
    url: str | None = None
    document: Json | str | None = None
    settings: Json = Field(default_factory=dict)


class RefreshIn(Wire):
    document: Json | str | None = None
    """For a source that was given as a document."""


class ToolChange(Wire):
    is_enabled: bool | None = None
    overrides: Json | None = None


class VersionDecision(Wire):
    version: str
    approve: bool


class CallIn(Wire):
    arguments: Json = Field(default_factory=dict)


@contextlib.contextmanager
def refusals(param: str | None = None) -> Iterator[None]:
    try:
        yield
    except NoSuchSourceError as error:
        raise ApiError(404, _sentence(error), param="name", code="tool_not_found") from error
    except (SourceError, DocumentError) as error:
        raise invalid(_sentence(error), param, "invalid_tool_source") from error


def _sentence(error: Exception) -> str:
    return f"{str(error)[:1].upper()}{str(error)[1:]}."


@router.get("")
async def list_tools(registry: TheRegistry) -> Json:
    """All tools: live, held, off and dropped."""
    return {"object": "list", "data": tool_objects(registry)}


@router.get("/search")
async def search_tools(
    request: Request, query: Annotated[str, Query(min_length=1)], limit: Annotated[int, Query(ge=1, le=100)] = 5
) -> Json:
    """The tools that a run would find for these words, best first, and why."""
    finder: ToolFinder = request.app.state.tool_finder
    return {"object": "list", "data": [hit_object(hit, finder.tools) for hit in await finder.find(query, limit=limit)]}


@router.get("/sources", dependencies=admin_only)
async def list_sources(registry: TheRegistry) -> Json:
    return {"object": "list", "data": [source_object(registry, row) for row in registry.sources]}


@router.post("/sources", dependencies=admin_only, status_code=201)
async def add_source(body: SourceIn, registry: TheRegistry) -> Json:
    """Read an API's document and let its operations be tools. Files are read at the command line only."""
    if (body.url is None) == (body.document is None):
        raise invalid("Give either 'url' or 'document'.", "url")
    if body.url is not None and not is_url(body.url):
        raise invalid("'url' must begin with http:// or https://.", "url")
    with refusals("settings"):
        settings = read_settings(body.settings)
    with refusals("url" if body.url else "document"):
        told = await registry.add(body.name, body.url or "", settings, _bytes(body.document))
    return refreshed_object(told)


@router.post("/sources/{name}/refresh", dependencies=admin_only)
async def refresh_source(name: str, registry: TheRegistry, body: RefreshIn | None = None) -> Json:
    """Read the document again, if it has changed."""
    with refusals():
        return refreshed_object(await registry.refresh(name, _bytes(body.document if body else None)))


@router.get("/sources/{name}/diff", dependencies=admin_only)
async def show_differences(name: str, registry: TheRegistry) -> Json:
    """What waits for approval, and what is gone."""
    with refusals():
        return {"object": "list", "data": differences(registry, name)}


@router.delete("/sources/{name}", dependencies=admin_only)
async def remove_source(name: str, registry: TheRegistry) -> Json:
    with refusals():
        await registry.remove(name)
    return {"name": name, "object": "tool_source", "deleted": True}


@router.get("/{name}")
async def retrieve_tool(name: str, registry: TheRegistry) -> Json:
    """One tool, with its schema and what waits."""
    _found(registry, name)
    return tool_details(registry, name)


@router.post("/{name}", dependencies=admin_only)
async def change_tool(name: str, body: ToolChange, registry: TheRegistry) -> Json:
    """Switch it on or off; say its effect, trust, approval, timeout and so on in the source's place."""
    with refusals("overrides"):
        return tool_object(registry, await registry.change(name, is_enabled=body.is_enabled, overrides=body.overrides))


@router.get("/{name}/diff", dependencies=admin_only)
async def show_difference(name: str, registry: TheRegistry) -> Json:
    with refusals():
        return difference(registry, name)


@router.post("/{name}/decide", dependencies=admin_only)
async def decide(name: str, body: VersionDecision, registry: TheRegistry) -> Json:
    """Let the version that waits serve, or never."""
    with refusals("version"):
        return tool_object(registry, await registry.decide(name, body.version, approved=body.approve))


@router.post("/{name}/request", dependencies=admin_only)
async def show_request(name: str, body: CallIn, registry: TheRegistry) -> Json:
    """What a call would send, to the byte, but for the credentials."""
    tool = _callable(registry, name, body.arguments)
    if tool.preview is None:
        raise invalid(f"The tool '{name}' sends no requests.", "name")
    try:
        return {"object": "tool.request", "request": tool.preview(body.arguments)}
    except ToolError as error:
        raise invalid(str(error), "arguments") from error


@router.post("/{name}/call", dependencies=admin_only)
async def call_tool(name: str, body: CallIn, registry: TheRegistry) -> Json:
    """Make one call now. The same arguments give the same request."""
    tool = _callable(registry, name, body.arguments)
    try:
        data = await tool.execute(body.arguments, CallContext("admin", f"admin:{uuid.uuid4().hex}", "admin"))
    except (ToolError, UncertainError) as error:
        outcome = "failed" if isinstance(error, ToolError) else "unknown"
        return {"object": "tool.result", "outcome": outcome, "error": str(error)}
    return {"object": "tool.result", "outcome": "ok", "data": data}


def _found(registry: Registry, name: str) -> None:
    if name not in registry and all(row.name != name for row in registry.rows()):
        raise ApiError(404, f"There is no tool '{name}'.", param="name", code="tool_not_found")


def _callable(registry: Registry, name: str, arguments: Json) -> ToolDefinition:
    """Raises: ApiError, if the tool doesn't serve or the arguments aren't its own."""
    _found(registry, name)
    if name not in registry:
        raise ApiError(409, f"The tool '{name}' does not serve just now.", param="name", code="tool_not_live")
    tool = registry[name]
    if faults := find_faults(dict(tool.parameters), arguments):
        raise invalid("; ".join(faults[:5]), "arguments")
    return tool


def _bytes(document: Json | str | None) -> bytes | None:
    if document is None:
        return None
    return (document if isinstance(document, str) else json.dumps(document)).encode("utf-8", "replace")
