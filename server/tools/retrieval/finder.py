"""Finds tools for the loop: keeps an index of the server's tools, and lets the model search them by a tool."""

import logging
from collections.abc import Collection, Mapping
from typing import Any

from server.tools.definition import CallContext, Json, ToolDefinition
from server.tools.retrieval.index import Embed, Hit, ToolIndex

logger = logging.getLogger("trammel.tools")

SEARCH_TOOLS = "search_tools"
_FOUND = 5
_ABOUT = 500
"""Characters of a description that the model reads."""
_SCHEMA = {
    "type": "object",
    "properties": {"query": {"type": "string", "maxLength": 300, "description": "What is to be done, in a few words"}},
    "required": ["query"],
    "additionalProperties": False,
}


class ToolFinder:
    """Says which of the tools are worth showing."""

    def __init__(self, embed: Embed | None = None) -> None:
        self._index = ToolIndex(embed)
        self._words = self._index if embed is None else ToolIndex()
        self.tools: Mapping[str, ToolDefinition] = {}
        """All there are; they may change at any time."""

    async def prepare(self) -> None:
        """Look at the tools before anybody asks."""
        searchable = {name: tool for name, tool in self.tools.items() if name != SEARCH_TOOLS}
        for index in {self._index, self._words}:
            await index.sync(searchable)

    async def find(self, text: str, among: Collection[str] | None = None, limit: int = _FOUND) -> list[Hit]:
        """The tools that a text asks for, best first. Where vectors can't be had, by words alone."""
        await self.prepare()
        try:
            return await self._index.search(text, limit, among)
        except Exception as error:  # an embedding model that is busy or gone is no reason to have no tools
            logger.warning("tools are found by words alone: %s: %s", type(error).__name__, error)
            return await self._words.search(text, limit, among)

    def as_tool(self) -> ToolDefinition:
        """`search_tools`: the model asks, and what is found can be called from then on."""

        async def execute(arguments: Json, context: CallContext) -> Json:
            hits = await self.find(arguments["query"], context.reach)
            found = {hit.name: self.tools.get(hit.name) for hit in hits}  # one may be gone by now
            return {"tools": [{"name": name, "description": _about(tool)} for name, tool in found.items() if tool]}

        about = "Find further tools by what they do; the tools that are found can be called afterwards"
        return ToolDefinition(SEARCH_TOOLS, _SCHEMA, execute, about, effect="read", trust="trusted", source_text="1")


def names_of(found: Any) -> list[str]:
    """The tools that `search_tools` has found."""
    return [tool["name"] for tool in found["tools"]] if isinstance(found, dict) else []


def _about(tool: ToolDefinition) -> str:
    """Short, so that what was found is never so long that it is cut to a text."""
    return (tool.description or "")[:_ABOUT]
