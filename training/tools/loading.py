"""Finds tools by what the user names: `search,send_email` of the example set, a JSON, YAML or Python file."""

import importlib.util
import inspect
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from pydantic import BaseModel

from training.tools.definition import Json, Tool, ToolError
from training.tools.functions import tool_from_function, tool_from_model
from training.tools.openapi import tools_from_openapi


def load_tools(source: str) -> list[Tool]:
    """Tools by name, from a file, or from `FILE:name,name`; several sources are joined with `+`.

    A Python file is run: its list `TOOLS`, or else all its `Tool`s and public functions. Raises: ToolError, OSError.
    """
    tools = [tool for part in source.split("+") for tool in _load(part.strip())]
    names = [tool.name for tool in tools]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ToolError(f"named twice: {', '.join(twice)}")
    if not tools:
        raise ToolError(f"{source} has no tools")
    return tools


def tool_from_json(value: Json) -> Tool:
    """A tool in OpenAI's form, flat, or with MCP's or Anthropic's name for the schema. Raises: ToolError."""
    function = value.get("function", value)
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise ToolError(f"no tool: {json.dumps(value)[:100]}")
    schema: Any = next((function[key] for key in ("parameters", "inputSchema", "input_schema") if key in function), {})
    if not isinstance(schema, dict):
        raise ToolError(f"{function['name']}: its parameters are no JSON Schema")
    requests = value.get("requests") or function.get("requests") or ()
    return Tool(function["name"], function.get("description") or "", schema=schema, requests=tuple(requests))


def _load(source: str) -> list[Tool]:
    path, _, chosen = source.rpartition(":") if ":" in source and not Path(source).exists() else (source, "", "")
    if Path(path).suffix in (".json", ".yaml", ".yml", ".py"):
        tools = _read_python(Path(path)) if path.endswith(".py") else _read_document(Path(path))
        return _pick(tools, chosen.split(",")) if chosen else tools
    from training.tools.examples import EXAMPLE_TOOLS

    return _pick(EXAMPLE_TOOLS, [name.strip() for name in source.split(",")])


def _pick(tools: Sequence[Tool], names: Sequence[str]) -> list[Tool]:
    known = {tool.name: tool for tool in tools}
    missing = [name for name in names if name not in known]
    if missing:
        raise ToolError(f"no tool is named {', '.join(missing)}; there are {', '.join(known)}")
    return [known[name] for name in names]


def _read_document(path: Path) -> list[Tool]:
    text = path.read_text(encoding="utf-8")
    try:
        document = json.loads(text) if path.suffix == ".json" else read_yaml(text)
    except ValueError as error:
        raise ToolError(f"{path}: {error}") from error
    if isinstance(document, dict) and "openapi" in document:
        return tools_from_openapi(document)
    values = document.get("tools", [document]) if isinstance(document, dict) else document
    if not isinstance(values, list):
        raise ToolError(f"{path}: neither tools nor an OpenAPI document")
    return [tool_from_json(value) for value in values]


def read_yaml(text: str) -> Any:
    """Raises: ToolError, if it is none, or the library for it is missing."""
    try:
        import yaml
    except ModuleNotFoundError as error:
        raise ToolError("YAML needs PyYAML; install it with: pip install pyyaml") from error
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ToolError(str(error)) from error


def _read_python(path: Path) -> list[Tool]:
    module = _run(path)
    if hasattr(module, "TOOLS"):
        return [as_tool(value) for value in module.TOOLS]
    tools = [value for value in vars(module).values() if isinstance(value, Tool)]
    functions = inspect.getmembers(module, inspect.isfunction)
    own = [f for name, f in functions if f.__module__ == module.__name__ and not name.startswith("_")]
    return tools + [tool_from_function(f) for f in sorted(own, key=lambda f: f.__code__.co_firstlineno)]


def as_tool(value: Any) -> Tool:
    """Anything a tool can be made of. Raises: ToolError."""
    if isinstance(value, Tool):
        return value
    if isinstance(value, type) and issubclass(value, BaseModel):
        return tool_from_model(value)
    if isinstance(value, dict):
        return tool_from_json(value)
    if callable(value):
        return tool_from_function(value)
    raise ToolError(f"no tool can be made of {value!r}")


def _run(path: Path) -> ModuleType:
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    name = f"trammel_tools_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ToolError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # type hints are looked up there
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever the user's file raises
        raise ToolError(f"{path} can't be run: {type(error).__name__}: {error}") from error
    return module
