"""Tools of MCP servers (https://modelcontextprotocol.io), by the official SDK. Extra: `mcp`."""

from server.tools.mcp.settings import McpFileError, McpServer, read_servers
from server.tools.mcp.source import McpSource

__all__ = ["McpFileError", "McpServer", "McpSource", "read_servers"]
