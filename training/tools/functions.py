"""Tools out of Python: a function's type hints and docstring, or a pydantic model's fields.

pydantic makes the schema in both cases, and its model judges arguments afterwards, validators included.
"""

import inspect
import re
import warnings
from collections.abc import Callable
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, PydanticUserError, ValidationError, create_model

from training.tools.definition import Json, Tool, ToolError
from training.tools.docstrings import read_docstring


def tool_from_function(function: Callable[..., Any], name: str | None = None) -> Tool:
    """Every parameter needs a type hint; one with a default is optional. Raises: ToolError."""
    name = name or function.__name__
    signature = inspect.signature(function)
    documentation = read_docstring(function.__doc__, set(signature.parameters))
    try:
        hints = get_type_hints(function, include_extras=True)
    except NameError as error:
        raise ToolError(f"{name}: a type hint can't be read: {error}") from error
    fields: dict[str, Any] = {}
    for parameter in signature.parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
            raise ToolError(f"{name}: {parameter} can't be given by name, as a call does")
        if parameter.name not in hints:
            raise ToolError(f"{name}: the parameter {parameter.name} has no type hint")
        text = documentation.parameters.get(parameter.name) or _annotated_text(hints[parameter.name])
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[parameter.name] = (hints[parameter.name], Field(default, description=text or None))
    try:
        with warnings.catch_warnings():  # parameters may well be called `copy` or `schema`
            warnings.simplefilter("ignore")
            model = create_model(name, __config__=ConfigDict(extra="forbid", protected_namespaces=()), **fields)
    except (PydanticUserError, NameError, TypeError) as error:
        raise ToolError(f"{name}: {error}") from error
    return _tool(model, name, documentation.description)


def tool_from_model(model: type[BaseModel], name: str | None = None) -> Tool:
    """The model's fields are the parameters, its docstring the description. Raises: ToolError."""
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", model.__name__).lower()
    own = model.__doc__ if model.__doc__ != BaseModel.__doc__ else ""
    return _tool(model, name or snake, read_docstring(own, set(model.model_fields)).description)


def _tool(model: type[BaseModel], name: str, description: str) -> Tool:
    try:
        schema = _without_titles(model.model_json_schema())
    except PydanticUserError as error:
        raise ToolError(f"{name}: no JSON Schema can be made of it: {error.message}") from error
    schema.pop("description", None)

    def judge(arguments: Json) -> list[str]:
        try:
            model.model_validate(arguments)
        except ValidationError as error:
            faults = error.errors(include_url=False)
            return [f"{'.'.join(map(str, fault['loc'])) or 'arguments'}: {fault['msg']}" for fault in faults]
        return []

    return Tool(name, description, schema=schema, judge=judge)


def _annotated_text(hint: Any) -> str:
    """A text in `Annotated[str, "Name of the city"]`, which pydantic passes over."""
    if get_origin(hint) is not Annotated:
        return ""
    return next((part for part in get_args(hint)[1:] if isinstance(part, str)), "")


def _without_titles(schema: Json) -> Json:
    """pydantic titles everything after its name; that costs tokens and says nothing."""
    kept: Json = {}
    for key, value in schema.items():
        if key in ("properties", "$defs"):
            kept[key] = {name: _without_titles(inner) for name, inner in value.items()}
        elif isinstance(value, dict) and key not in ("default", "const"):
            kept[key] = _without_titles(value)
        elif isinstance(value, list) and key in ("anyOf", "oneOf", "allOf", "prefixItems"):
            kept[key] = [_without_titles(inner) for inner in value]
        elif key != "title":
            kept[key] = value
    return kept
