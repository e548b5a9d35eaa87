"""An operation and a call's arguments as a request, by the rules of its document."""

import json
import re
import uuid
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from server.tools.definition import ToolError
from server.tools.gateway.request import Request
from server.tools.openapi.bodies import write_body
from server.tools.openapi.document import Json
from server.tools.openapi.operation import Operation, Parameter
from server.tools.openapi.styles import (
    UnwritableError,
    as_text,
    checked_header,
    cookie_text,
    header_text,
    path_text,
    query_pairs,
)


def write_request(operation: Operation, arguments: Mapping[str, Any], key: str | None = None) -> Request:
    """`key`: the call's own, made into one for an API that takes idempotency keys. Raises: ToolError."""
    try:
        return _write(operation, arguments, key)
    except UnwritableError as error:
        raise ToolError(str(error)) from error


def _write(operation: Operation, arguments: Mapping[str, Any], key: str | None) -> Request:
    path: dict[str, str] = {}
    query: list[str] = []
    headers: list[tuple[str, str]] = []
    cookies: list[str] = []
    for parameter in operation.parameters:
        if parameter.is_key:
            made = "(made of the call)" if key is None else str(uuid.uuid5(uuid.NAMESPACE_URL, key))
            headers.append((parameter.name, made))
            continue
        if parameter.argument not in arguments:
            continue
        value = arguments[parameter.argument]
        match parameter.place:
            case "path":
                path[parameter.name] = _path(parameter, value)
            case "query":
                query += [f"{name}={text}" for name, text in _query(parameter, value)]
            case "header" if value is not None:
                headers.append((parameter.name, _header(parameter, value)))
            case "cookie" if value is not None:
                cookies.append(_cookie(parameter, value))
    written = write_body(operation.body, arguments) if operation.body else None
    content_type, body = written or ("", b"")
    if content_type:
        headers.append(("content-type", checked_header("content-type", content_type)))
    headers.append(("accept", operation.accept))
    return Request(
        operation.method,
        _url(operation, path, query),
        tuple(headers),
        tuple(cookie for cookie in cookies if cookie),
        body,
        operation.security,
        tuple(sorted(operation.schemes.items())),
    )


def _url(operation: Operation, path: Json, query: Sequence[str]) -> str:
    scheme, _, rest = operation.url.partition("://")
    host, slash, whole = rest.partition("/")
    # Not the specification, but documents have it: a path that goes on with a query, or a mark that tells it apart.
    template, _, fixed = whole.partition("#")[0].partition("?")
    query = [*([fixed] if fixed else []), *query]
    pieces = re.split(r"\{([^{}]*)\}", template)
    if missing := [name for name in pieces[1::2] if name not in path]:
        raise UnwritableError(f"{missing[0]} is missing: it stands in the path.")
    filled = "".join(
        path[piece] if index % 2 else quote(piece, safe="/%:@!$&'()*+,;=~-._") for index, piece in enumerate(pieces)
    )
    if any(segment in (".", "..") for segment in filled.split("/")):
        raise UnwritableError("The path would climb.")
    return f"{scheme}://{host}{slash}{filled}" + (f"?{'&'.join(query)}" if query else "")


def _path(parameter: Parameter, value: Any) -> str:
    if value is None:
        raise UnwritableError(f"{parameter.name} can't be null: it stands in the path.")
    style = parameter.style
    return path_text(parameter.name, _content(parameter, value), style, explode=parameter.explode)


def _query(parameter: Parameter, value: Any) -> list[tuple[str, str]]:
    return query_pairs(
        parameter.name,
        _content(parameter, value),
        parameter.style,
        explode=parameter.explode,
        allow_reserved=parameter.allow_reserved,
    )


def _header(parameter: Parameter, value: Any) -> str:
    return header_text(parameter.name, _content(parameter, value), explode=parameter.explode)


def _cookie(parameter: Parameter, value: Any) -> str:
    return cookie_text(parameter.name, _content(parameter, value), explode=parameter.explode)


def _content(parameter: Parameter, value: Any) -> Any:
    """A parameter that is a document of its own is written as one."""
    if parameter.content_type is None:
        return value
    if "json" in parameter.content_type:
        return json.dumps(value, separators=(",", ":"))
    return as_text(value)
