"""A small HTTP tool: one method and URL, arguments in the path, the query or a JSON body.

The host is the operator's, in the definition; arguments are quoted wherever they stand, so that no argument can change
where a call goes. Redirects are not followed, because they could.
"""

import json
import string
from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import quote

import httpx

from server.tools.definition import CallContext, Json, ToolDefinition, ToolError

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
_KEPT = 4 * 1024 * 1024
"""Bytes of an answer that are read, at most."""


def http_tool(
    name: str,
    method: Method,
    url: str,
    parameters: Mapping[str, Any],
    *,
    headers: Mapping[str, str] | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
    **options: Any,
) -> ToolDefinition:
    """`url`: `{argument}` in its path stands for that argument; the others go to the query of a GET or DELETE, else to
    the JSON body. `options`: further fields of `ToolDefinition`; a GET is a read unless they say otherwise.

    Raises: ValueError, if an argument would stand in scheme or host.
    """
    host, slashes, _ = url.partition("://")[2].partition("/")
    if "{" in url.partition("://")[0] + host or not url.startswith(("http://", "https://")):
        raise ValueError(f"{url} must begin with http:// or https:// and a host that no argument can change")
    in_path = [field for _, field, _, _ in string.Formatter().parse(slashes + url) if field]
    options.setdefault("effect", "read" if method == "GET" else "destructive")
    timeout = float(options.get("timeout", 30.0))

    async def execute(arguments: Json, context: CallContext) -> Any:
        path = {key: _segment(arguments.get(key)) for key in in_path}
        rest = {key: value for key, value in arguments.items() if key not in path}
        as_query = method in ("GET", "DELETE")
        sent = {**(headers or {}), "idempotency-key": context.key}
        async with (
            httpx.AsyncClient(timeout=timeout, transport=transport, follow_redirects=False) as client,
            client.stream(
                method,
                url.format(**path),
                params={key: _text(value) for key, value in rest.items()} if as_query else None,
                json=None if as_query else rest,
                headers=sent,
            ) as response,
        ):
            return _answer(response, await _body(response))

    source_text = json.dumps([method, url])
    return ToolDefinition(name, parameters, execute, source_text=source_text, **options)


async def _body(response: httpx.Response) -> str:
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > _KEPT:
            break
    return bytes(body[:_KEPT]).decode(response.encoding or "utf-8", errors="replace")


def _answer(response: httpx.Response, text: str) -> Any:
    if 400 <= response.status_code < 500:
        raise ToolError(f"HTTP {response.status_code}: {text[:500]}")
    if not response.is_success:
        raise RuntimeError(f"HTTP {response.status_code}")
    try:
        return json.loads(text)
    except ValueError:
        return text


def _segment(value: Any) -> str:
    """A path segment. `.` and `..` would be walked by servers and proxies, quoted or not."""
    text = quote(_text(value), safe="")
    if text in ("", ".", ".."):
        raise ToolError(f"{value!r} can't stand in a path")
    return text


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
