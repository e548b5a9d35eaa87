"""A tool of an MCP server as an operation of ours: its schema and words, its effect by its hints, its result as data.

As an `Operation` it is stored, compared and held back like one of an API; its method is MCP, its URL names the server.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import grammars
from server.tools.definition import Effect, ToolError, UncertainError
from server.tools.openapi.operation import Operation
from server.tools.openapi.reading import Omission
from server.tools.openapi.words import plain_text

if TYPE_CHECKING:
    from mcp_types import CallToolResult, Tool

_SHOWN_ERROR = 800
"""Characters of an error's text."""


def operations_of(tools: "Iterable[Tool]", place: str) -> tuple[list[Operation], list[Omission]]:
    """`place`: what the server is; at another place is another tool. One that can't be called would be the end of every
    request that has it, and is left out."""
    operations, omissions = [], []
    for tool in tools:
        schema: Any = tool.input_schema
        if fault := _fault_of(schema):
            omissions.append(Omission(tool.name, fault))
            continue
        words = plain_text(tool.description or tool.title)
        operations.append(Operation(tool.name, "MCP", place, shown_schema(schema), words, effect=effect_of(tool)))
    return operations, omissions


def _fault_of(schema: Any) -> str | None:
    """Why no arguments can be made by a schema."""
    if not isinstance(schema, dict) or schema.get("type") != "object":
        return "its arguments are no object"
    try:
        grammars.compile_schema(schema, strict=False, closed=True)
    except (grammars.GrammarError, RecursionError) as error:
        return f"no grammar can be made of its arguments: {error}"
    return None


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
