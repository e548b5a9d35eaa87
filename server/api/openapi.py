"""Our OpenAPI document (`/openapi.json`, `/docs`), where FastAPI's own says what is not so.

FastAPI describes a 422 that this server never sends and no other error. Here every operation has one kind of error,
OpenAI's object, and what is streamed is said to be.
"""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

Json = dict[str, Any]

_TEXT: Json = {"type": ["string", "null"]}
_ERROR: Json = {
    "title": "ErrorResponse",
    "description": "What every failure looks like, a failure in the middle of a stream too.",
    "type": "object",
    "properties": {
        "error": {
            "type": "object",
            "properties": {"message": {"type": "string"}, "type": {"type": "string"}, "param": _TEXT, "code": _TEXT},
            "required": ["message", "type", "param", "code"],
        }
    },
    "required": ["error"],
}
_STREAMED = ("/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/runs/{run_id}/events")
_RAW = "/v1/files/{file_id}/content"
_OPEN = ("/healthz", "/readyz")
"""They answer 503 in a shape of their own, and need no key."""


def describe(app: FastAPI) -> None:
    """Give an app, whose routes are complete, its document."""
    document: Json = {}

    def openapi() -> Json:
        if not document:
            document.update(_described(app))
        return document

    app.openapi = openapi  # type: ignore[method-assign] # FastAPI's documented way


def _described(app: FastAPI) -> Json:
    document = get_openapi(
        title=app.title,
        version=app.version,
        description="OpenAI's API, and what this server adds to it. Unknown fields of requests are ignored.",
        routes=app.routes,
    )
    parts = document.setdefault("components", {})
    schemas = parts.setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    schemas["ErrorResponse"] = _ERROR
    parts["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    document["security"] = [{}, {"key": []}]
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            _correct(operation, path, method)
    return document


def _correct(operation: Json, path: str, method: str) -> None:
    answers = operation["responses"]
    answers.pop("422", None)
    if path in _OPEN:
        operation["security"] = []
        answers["503"] = {"description": "Not now", "content": {"application/json": {"schema": {"type": "object"}}}}
        return
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorResponse"}}}
    answers["4XX"] = {"description": "The request's mistake", "content": content}
    answers["5XX"] = {"description": "The server's fault", "content": content}
    if path == _RAW:
        answers["200"]["content"] = {"application/octet-stream": {}}
    if path in _STREAMED:
        whole = answers["200"].setdefault("content", {})
        whole["text/event-stream"] = {}
        if method == "get":
            whole.pop("application/json", None)
