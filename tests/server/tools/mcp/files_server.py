"""An MCP server of the official SDK for the tests: over standard input, or `http PORT`."""

import asyncio
import os
import sys

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import ToolAnnotations

server = MCPServer("files")
NOTES: dict[str, str] = {"a": "alpha"}


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def read_note(name: str) -> str:
    """Read a note\u200b of that name"""
    if name not in NOTES:
        raise ToolError(f"there is no note {name}")
    return NOTES[name]


@server.tool(annotations=ToolAnnotations(destructive_hint=False))
def add_note(name: str, text: str) -> dict[str, str]:
    """Add a note"""
    NOTES[name] = text
    return {"added": name, "by": os.environ.get("NOTES_KEY", "nobody")}


@server.tool()
async def grow(context: Context) -> str:
    """Get one more tool"""

    def late() -> str:
        """It came late"""
        return "late"

    server.add_tool(late)
    await context.notify_tools_changed()
    return "grown"


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
async def wait(seconds: float) -> str:
    """Wait"""
    await asyncio.sleep(seconds)
    return "waited"


def unusable(words: str) -> str:
    """Its schema admits nothing"""
    return words


server.add_tool(unusable)
server._tool_manager._tools["unusable"].parameters["properties"]["words"] = False  # the SDK makes no such schema


if __name__ == "__main__":
    if sys.argv[1:2] == ["http"]:
        server.run("streamable-http", host="127.0.0.1", port=int(sys.argv[2]))
    else:
        server.run("stdio")
