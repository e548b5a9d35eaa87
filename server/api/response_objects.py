"""The response object, and the items that a model's answer is made of.

Shapes: https://platform.openai.com/docs/api-reference/responses/object.
"""

from typing import Any, Literal

from server.api.response_wire import CustomToolIn, FunctionToolIn, ResponseRequest, ServerToolsIn
from server.engine.types import Sampling, TokenLogprob, Usage
from server.engine.vocabulary import Vocabulary

Json = dict[str, Any]
Status = Literal["in_progress", "completed", "incomplete", "failed"]


def response_object(request: ResponseRequest, id_: str, created: int, defaults: Sampling) -> Json:
    """A response that has just begun. `defaults`: what the model samples with if the request says nothing."""
    sampling = request.sampling(defaults)
    body: Json = {
        "id": id_,
        "object": "response",
        "created_at": created,
        "completed_at": None,
        "status": "in_progress",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": request.instructions,
        "max_output_tokens": request.max_output_tokens,
        "max_tool_calls": request.max_tool_calls,
        "model": request.model,
        "output": [],
        "parallel_tool_calls": request.parallel_tool_calls is not False,
        "previous_response_id": request.previous_response_id,
        "prompt_cache_key": request.prompt_cache_key,
        "reasoning": request.reasoning.model_dump() if request.reasoning else {"effort": None, "summary": None},
        "safety_identifier": request.safety_identifier,
        "service_tier": "default",
        "store": request.is_stored,
        "temperature": sampling.temperature,
        "text": _text(request),
        "tool_choice": _tool_choice(request),
        "tools": [_tool(tool) for tool in request.tools or ()],
        "top_logprobs": request.top_logprobs or 0,
        "top_p": sampling.top_p,
        "truncation": request.truncation or "disabled",
        "metadata": request.metadata or {},
    }
    return {**body, "user": request.user} if request.user is not None else body


def usage_object(usage: Usage) -> Json:
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens, "cache_write_tokens": 0},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    }


def message_item(id_: str, status: Status, parts: list[Json]) -> Json:
    return {"id": id_, "type": "message", "status": status, "role": "assistant", "content": parts}


def text_part(text: str, logprobs: list[Json]) -> Json:
    return {"type": "output_text", "annotations": [], "logprobs": logprobs, "text": text}


def call_item(id_: str, status: Status, call_id: str, name: str, arguments: str) -> Json:
    return {
        "id": id_,
        "type": "function_call",
        "status": status,
        "arguments": arguments,
        "call_id": call_id,
        "name": name,
    }


def custom_call_item(id_: str, status: Status, call_id: str, name: str, text: str) -> Json:
    return {
        "id": id_,
        "type": "custom_tool_call",
        "status": status,
        "call_id": call_id,
        "input": text,
        "name": name,
    }


def reasoning_item(id_: str, status: Status, parts: list[Json]) -> Json:
    return {"id": id_, "type": "reasoning", "status": status, "summary": [], "content": parts}


def logprob_object(vocabulary: Vocabulary, token: TokenLogprob) -> Json:
    def entry(one: int, logprob: float) -> Json:
        spelled = vocabulary.pieces[one] or vocabulary.name(one).encode()
        return {"token": spelled.decode("utf-8", errors="replace"), "logprob": logprob, "bytes": list(spelled)}

    return {**entry(token.token, token.logprob), "top_logprobs": [entry(*one) for one in token.top]}


def _text(request: ResponseRequest) -> Json:
    given = request.text
    wanted: Json = {"type": "text"}
    if given and given.format:
        wanted = given.format.model_dump(by_alias=True, exclude={"description"} if not _described(given) else set())
    return {"format": wanted, "verbosity": (given.verbosity if given else None) or "medium"}


def _described(given: Any) -> bool:
    return getattr(given.format, "description", None) is not None


def _tool(tool: FunctionToolIn | CustomToolIn | ServerToolsIn) -> Json:
    if isinstance(tool, FunctionToolIn):
        return tool.model_dump()
    if isinstance(tool, ServerToolsIn):
        return tool.model_dump(exclude_none=True)
    return {"format": {"type": "text"}, **tool.model_dump(exclude_none=True)}


def _tool_choice(request: ResponseRequest) -> Any:
    choice = request.tool_choice
    if choice is None:
        return "auto"
    return choice if isinstance(choice, str) else choice.model_dump()
