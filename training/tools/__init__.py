"""Tools to train on, from wherever they are defined: classes, Python functions, pydantic models, JSON, OpenAPI."""

from training.tools.definition import Tool, ToolError, ToolParameter
from training.tools.functions import tool_from_function, tool_from_model
from training.tools.loading import load_tools
from training.tools.openapi import tools_from_openapi

__all__ = [
    "Tool",
    "ToolError",
    "ToolParameter",
    "load_tools",
    "tool_from_function",
    "tool_from_model",
    "tools_from_openapi",
]
