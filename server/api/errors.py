"""Every failure as OpenAI's error object: `{"error": {message, type, param, code}}`, all four keys, always.

Shape: https://platform.openai.com/docs/guides/error-codes. What is the client's mistake is a 4xx that names the field
and the mend; a 5xx is ours, and says nothing of our insides.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from server.chat.constraint import SchemaError
from server.chat.template import TemplateError
from server.engine.errors import (
    ContextLengthExceededError,
    DeadlineExceededError,
    EngineError,
    EngineStoppedError,
    InvalidGrammarError,
    InvalidRequestError,
    ModelLoadError,
    QueueFullError,
    ShuttingDownError,
)

logger = logging.getLogger("trammel.api")

_INVALID = "invalid_request_error"


class ApiError(Exception):
    """An answer that is an error."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = _INVALID,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.status = status
        self.headers = dict(headers or {})
        message = message.encode("utf-8", "replace").decode()  # it may quote a lone surrogate of the client's
        self.body = {"error": {"message": message, "type": kind, "param": param, "code": code}}
        super().__init__(message)


def invalid(message: str, param: str | None, code: str | None = "invalid_value") -> ApiError:
    """The client sent something that can't be used."""
    return ApiError(400, message, param=param, code=code)


def model_not_found(name: str, served: Sequence[str]) -> ApiError:
    names = ", ".join(f"`{one}`" for one in served)
    message = f"The model `{name}` does not exist. This server serves {names} (see /v1/models)."
    return ApiError(404, message, param="model", code="model_not_found")


def translate(error: Exception) -> ApiError:
    """Any exception as the error a client should see."""
    match error:
        case ApiError():
            return error
        case SchemaError():
            return invalid(str(error), error.param, "invalid_schema")
        case TemplateError():
            return invalid(str(error), "messages")
        case ContextLengthExceededError():
            return invalid(str(error), "messages", "context_length_exceeded")
        case InvalidGrammarError():
            return invalid(str(error), "tools", "invalid_grammar")
        case InvalidRequestError():
            return invalid(str(error), error.param)
        case DeadlineExceededError():
            return ApiError(408, str(error), kind="timeout_error", code="request_timeout")
        case QueueFullError():
            headers = {"retry-after": str(round(error.retry_after))}
            return ApiError(429, str(error), kind="rate_limit_error", code="rate_limit_exceeded", headers=headers)
        case EngineError():
            return _engine_fault(error)
        case RequestValidationError():
            return _first_validation_error(error)
        case HTTPException():
            return _http_error(error)
        case _:
            logger.error("unhandled error", exc_info=error)
            return ApiError(
                500, "The server had an error; its log says more.", kind="server_error", code="server_error"
            )


def _engine_fault(error: EngineError) -> ApiError:
    """What the client can't mend."""
    status, code = {
        ModelLoadError: (503, "model_load_failed"),
        EngineStoppedError: (503, "engine_stopped"),
        ShuttingDownError: (503, "shutting_down"),
    }.get(type(error), (500, "generation_failed"))
    headers = {"retry-after": "5"} if isinstance(error, EngineStoppedError) else {}
    return ApiError(status, str(error), kind="server_error", code=code, headers=headers)


def install(app: FastAPI) -> None:
    """Answer every exception of the app in OpenAI's shape."""

    async def answer(_: Request, error: Exception) -> JSONResponse:
        translated = translate(error)
        return JSONResponse(translated.body, translated.status, translated.headers)

    # What only `Exception` stands for, Starlette raises again behind the answer: it logs a traceback and hangs up.
    for kind in (ApiError, RequestValidationError, HTTPException, EngineError, SchemaError, TemplateError, Exception):
        app.add_exception_handler(kind, answer)


def _http_error(error: HTTPException) -> ApiError:
    if error.status_code == 413:
        return ApiError(413, str(error.detail), code="request_too_large")
    messages = {
        404: (
            "Unknown request URL. The API is below /v1, where an SDK's base URL ends; /docs says what it answers.",
            "unknown_url",
        ),
        405: ("This URL does not answer this method. See /docs for what this server answers.", "method_not_allowed"),
    }
    message, code = messages.get(error.status_code, (str(error.detail), None))
    return ApiError(error.status_code, message, code=code, headers=error.headers)


def _first_validation_error(found: RequestValidationError) -> ApiError:
    """OpenAI reports one mistake at a time; so do we, the first that names a field."""
    if isinstance(found.body, bytes) and found.body:  # it was not read as JSON, because it is not said to be
        message = "Send the body as JSON with the header `Content-Type: application/json`."
        return ApiError(415, message, code="unsupported_media_type")
    error = min(found.errors(), key=lambda e: (len(e["loc"]) <= 1, _union_rank(e)))
    if error["type"] == "json_invalid":
        reason = error.get("ctx", {}).get("error", "")
        return invalid(f"We could not parse the JSON body of your request ({reason}).", None, "invalid_json")
    param = field_name(error["loc"][1:])
    if error["type"] == "missing":
        return invalid(f"Missing required parameter: '{param}'.", param, "missing_required_parameter")
    message = error["msg"].removeprefix("Value error, ")
    return invalid(f"Invalid value for '{param}': {message}." if param else f"{message}.", param or None)


def _union_rank(error: Mapping[str, Any]) -> int:
    """Deeper errors say more than a union's 'not a string'."""
    return -len(error["loc"])


def field_name(location: Sequence[str | int]) -> str:
    """A pydantic location as OpenAI writes it: `messages[0].content`. Names of union members are left out."""
    name = ""
    for part in location:
        if isinstance(part, int):
            name += f"[{part}]"
        elif part[:1].islower() and part not in ("str", "int", "float", "bool", "dict") and not part.endswith("]"):
            name += f".{part}" if name else part
    return name
