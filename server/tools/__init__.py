"""What the server itself can call: definitions of tools, and how Python functions and HTTP endpoints become tools.

A module of tools for `--tools` needs two names: `tool`, which marks a function, and `ToolError`, which says that a call
failed without having done anything.
"""

from server.tools.definition import ToolDefinition, ToolError
from server.tools.functions import tool

__all__ = ["ToolDefinition", "ToolError", "tool"]
