"""The tools of a run that is under way: each as it was when the run began, as far as it is still to be had."""

from collections.abc import Mapping

from server.tools.definition import ToolDefinition
from server.tools.registry import Registry


def of_run(tools: Mapping[str, ToolDefinition], versions: Mapping[str, str]) -> Mapping[str, ToolDefinition]:
    """`versions`: those the run began with, by name. A tool whose version is gone is given as it is now."""
    if not isinstance(tools, Registry):
        return tools
    found = {name: tools.pinned(name, version) or tools.get(name) for name, version in versions.items()}
    return {name: tool for name, tool in found.items() if tool is not None}
