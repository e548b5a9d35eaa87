"""A tool of an MCP server as one of ours: its schema and words, its effect by its hints, its result as data."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from server.tools.definition import CallContext, Effect, Json, ToolDefinition, ToolError, UncertainError
from server.tools.mcp.settings import McpServer
from server.tools.openapi.words import plain_text

if TYPE_CHECKING:
    from mcp_types import CallToolResult, Tool

_SHOWN_ERROR = 800
"""Characters of an error's text."""
Ask = Callable[[str, Json], Awaitable["CallToolResult"]]


def define(tool: "Tool", name: str, source: str, server: McpServer, ask: Ask) -> ToolDefinition | None:
    """None: its schema is none of an object."""
    schema: Any = tool.input_schema
    if not isinstance(schema, dict) or schema.get("type") != "object":
        return None
    effect = server.effects.get(tool.name) or effect_of(tool)

    async def execute(arguments: Json, _: CallContext) -> Any:
        return data_of(await ask(tool.name, arguments), effect)

    return ToolDefinition(
        name,
        shown_schema(schema),
        execute,
        plain_text(tool.description or tool.title),
        effect,
        server.trust,
        is_idempotent=bool(tool.annotations and tool.annotations.idempotent_hint),
        timeout=server.timeout,
        source_text=f"mcp {source} {tool.name}",
    )


def effect_of(tool: "Tool") -> Effect:
    """By its hints; one that says nothing is destructive, as the specification has it."""
    hints = tool.annotations
    if hints is not None and hints.read_only_hint:
        return "read"
    return "write" if hints is not None and hints.destructive_hint is False else "destructive"


def shown_schema(node: Any) -> Any:
    """With no hidden signs in its descriptions."""
    if isinstance(node, list):
        return [shown_schema(part) for part in node]
    if not isinstance(node, dict):
        return node
    shown = {key: shown_schema(part) for key, part in node.items()}
    if isinstance(node.get("description"), str):
        shown["description"] = plain_text(node["description"]) or ""
    return shown


def data_of(result: "CallToolResult", effect: Effect) -> Any:
    """Raises: ToolError or UncertainError, if the server says that the call failed."""
    texts = [part.text for part in result.content if part.type == "text"]
    if result.is_error:
        told = "\n".join(texts)[:_SHOWN_ERROR] or "the server gave no reason"
        raise ToolError(told) if effect == "read" else UncertainError(told)
    if result.structured_content is not None:
        return result.structured_content
    others = [f"[{part.type}]" for part in result.content if part.type != "text"]
    return "\n".join([*texts, *others])
