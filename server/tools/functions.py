"""Python functions as tools: the signature becomes the schema, the docstring the description.

A module names its tools by marking them: `@tool(effect="read")`. An `async def` is awaited; a plain function runs in a
thread of its own, a daemon, because Python can't stop a thread: one that hangs is left behind and holds up nothing.
"""

import asyncio
import importlib
import importlib.util
import inspect
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from pydantic import ConfigDict, TypeAdapter, create_model

from server.tools.definition import CallContext, Check, Execute, Json, ToolDefinition

_MARK = "__trammel_tool__"
Function = TypeVar("Function", bound=Callable[..., Any])


class ToolsError(Exception):
    """A module of tools can't be loaded. Says why."""


def tool(**options: Any) -> Callable[[Function], Function]:
    """Mark a function as a tool. Options: the fields of `ToolDefinition`; `check` may be any function of the arguments.

    A parameter named `context` gets the `CallContext` and is not part of the schema.
    """

    def mark(function: Function) -> Function:
        setattr(function, _MARK, options)
        return function

    return mark


def load_tools(place: str) -> tuple[ToolDefinition, ...]:
    """The tools of a module (`package.module`) or a file (`tools.py`). Raises: ToolsError."""
    module = _load_module(place)
    listed = getattr(module, "TOOLS", ())
    marked = [value for value in vars(module).values() if callable(value) and hasattr(value, _MARK)]
    tools = (*(define(function) for function in marked), *listed)
    names = [tool.name for tool in tools]
    if not names:
        raise ToolsError(f"{place} has no tools: mark functions with @tool or list definitions in TOOLS")
    if len(set(names)) < len(names):
        raise ToolsError(f"{place} has two tools of the same name")
    return tools


def define(function: Callable[..., Any]) -> ToolDefinition:
    """A marked function as a definition. Raises: ToolsError, if its signature has no schema or an option is wrong."""
    options = dict(getattr(function, _MARK, {}))
    name = options.pop("name", function.__name__)
    try:
        parameters = _schema(function)
        if check := options.pop("check", None):
            options["check"] = _checking(check)
        described = options.pop("description", inspect.getdoc(function))
        code = inspect.getsource(function)
        return ToolDefinition(name, parameters, _executing(function), described, source_text=code, **_plain(options))
    except (TypeError, ValueError, OSError) as error:
        raise ToolsError(f"the function {name} can't be a tool: {error}") from error


def _plain(options: Json) -> Json:
    if "touches" in options:
        options["touches"] = frozenset(options["touches"])
    return options


def _schema(function: Callable[..., Any]) -> Json:
    fields: dict[str, Any] = {}
    hints = inspect.signature(function, eval_str=True).parameters
    for name, parameter in hints.items():
        if name == "context":
            continue
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise TypeError(f"*{name} has no schema")
        kind = Any if parameter.annotation is parameter.empty else parameter.annotation
        fields[name] = (kind, ... if parameter.default is parameter.empty else parameter.default)
    model = create_model(function.__name__, __config__=ConfigDict(extra="forbid"), **fields)
    schema: Json = TypeAdapter(model).json_schema()
    schema.pop("title", None)
    for described in schema.get("properties", {}).values():
        described.pop("title", None)
    return {"type": "object", "properties": {}, **schema}


def _executing(function: Callable[..., Any]) -> Execute:
    wants_context = "context" in inspect.signature(function).parameters

    async def execute(arguments: Json, context: CallContext) -> Any:
        given = {**arguments, "context": context} if wants_context else arguments
        if inspect.iscoroutinefunction(function):
            return await function(**given)
        return await _in_thread(lambda: function(**given))

    return execute


def _checking(check: Callable[..., Any]) -> Check:
    async def run(arguments: Json) -> str | None:
        if inspect.iscoroutinefunction(check):
            fault = await check(**arguments)
        else:
            fault = await _in_thread(lambda: check(**arguments))
        return None if fault is None else str(fault)

    return run


async def _in_thread(work: Callable[[], Any]) -> Any:
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Any] = loop.create_future()

    def settle(value: Any, error: BaseException | None) -> None:
        if done.done():
            return
        if error is None:
            done.set_result(value)
        else:
            done.set_exception(error)

    def run() -> None:
        try:
            outcome: tuple[Any, BaseException | None] = (work(), None)
        except BaseException as error:
            # A future can't hold a StopIteration.
            outcome = (None, RuntimeError(repr(error)) if isinstance(error, StopIteration) else error)
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, *outcome)

    threading.Thread(target=run, name="tool", daemon=True).start()
    return await done


def _load_module(place: str) -> ModuleType:
    path = Path(place)
    try:
        if path.suffix != ".py":
            return importlib.import_module(place)
        spec = importlib.util.spec_from_file_location(f"trammel_tools_{path.stem}", path)
        if spec is None or spec.loader is None:
            raise ToolsError(f"{place} is no Python file")
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module  # so that annotations of its classes are found
        spec.loader.exec_module(module)
    except ToolsError:
        raise
    except Exception as error:  # the operator's code may raise anything
        raise ToolsError(f"{place} can't be loaded: {type(error).__name__}: {error}") from error
    else:
        return module
