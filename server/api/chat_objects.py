"""Completions as OpenAI's response objects and stream chunks.

Shapes: https://platform.openai.com/docs/api-reference/chat/object and …/chat/streaming.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from server.api.completion import Answer, ChoiceEvent, ChoiceFinished, Completion, new_id
from server.chat.parser import CallDelta, CallEnd, CallStart, ContentDelta, ReasoningDelta
from server.engine.types import TokenLogprob, Usage

Json = dict[str, Any]
NOTHING: Mapping[str, Any] = MappingProxyType({})


def completion_object(completion: Completion, answers: list[Answer]) -> Json:
    return {
        "id": completion.id,
        "object": "chat.completion",
        "created": completion.created,
        "model": completion.model,
        "choices": [_choice(completion, index, answer) for index, answer in enumerate(answers)],
        "usage": usage_object(answer.usage for answer in answers),
        "system_fingerprint": completion.services.fingerprint,
        "service_tier": "default",
    }


def usage_object(usages: Iterable[Usage]) -> Json:
    """The prompt is counted once, however many choices were made of it."""
    all_usages = list(usages)
    prompt = all_usages[0].prompt_tokens
    generated = sum(usage.completion_tokens for usage in all_usages)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": generated,
        "total_tokens": prompt + generated,
        "prompt_tokens_details": {"cached_tokens": all_usages[0].cached_tokens, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": sum(usage.reasoning_tokens for usage in all_usages),
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


class ChunkWriter:
    """Stream chunks of a completion; it remembers whether usage goes with them."""

    def __init__(self, completion: Completion, *, include_usage: bool) -> None:
        self._completion = completion
        self._frame: Json = {
            "id": completion.id,
            "object": "chat.completion.chunk",
            "created": completion.created,
            "model": completion.model,
            "system_fingerprint": completion.services.fingerprint,
            "service_tier": "default",
        }
        self._usage: Json = {"usage": None} if include_usage else {}
        self._logprobs: defaultdict[int, list[TokenLogprob]] = defaultdict(list)
        """Of each choice, those that no chunk has told yet."""
        self._is_custom: dict[int, bool] = {}
        """Of each choice, whether its latest call is a custom tool's."""

    def role(self, index: int) -> Json:
        """The first chunk of a choice."""
        return self._chunk(index, {"role": "assistant", "content": "", "refusal": None})

    def event(self, index: int, event: ChoiceEvent) -> Json | None:
        """The chunk for an event, if it has one."""
        match event:
            case ContentDelta(text):
                return self._chunk(index, {"content": text})
            case ReasoningDelta(text):
                return self._chunk(index, {"reasoning_content": text})
            case CallStart(number, name):
                self._is_custom[index] = name in self._completion.custom_tools
                call = {"index": number, "id": new_id("call"), **_call_object(name, "", self._is_custom[index])}
                return self._chunk(index, {"tool_calls": [call]})
            case CallDelta(number, text):
                fragment = {"custom": {"input": text}} if self._is_custom[index] else {"function": {"arguments": text}}
                return self._chunk(index, {"tool_calls": [{"index": number, **fragment}]})
            case CallEnd():
                return None
            case TokenLogprob():
                self._logprobs[index].append(event)
                return None
            case ChoiceFinished(reason, _, is_fitted):
                return self._chunk(index, {}, reason, _told(is_fitted))

    def usage(self, usages: list[Usage]) -> Json:
        """The last chunk, if the client asked for it: no choices, only the count."""
        return {**self._frame, "choices": [], "usage": usage_object(usages)}

    def _chunk(self, index: int, delta: Json, reason: str | None = None, told: Mapping[str, Any] = NOTHING) -> Json:
        tokens = self._logprobs.pop(index, [])
        logprobs = logprobs_object(self._completion, tokens) if tokens else None
        choice = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": reason, **told}
        return {**self._frame, "choices": [choice], **self._usage}


def _told(is_fitted: bool) -> Mapping[str, Any]:
    """What a choice says beyond OpenAI's fields."""
    return {"trammel": {"fitted": True}} if is_fitted else NOTHING


def logprobs_object(completion: Completion, tokens: list[TokenLogprob]) -> Json | None:
    """OpenAI's `logprobs` of a choice: all tokens of the answer, those of tool calls too. None if not asked for."""
    if completion.request.top_logprobs is None:
        return None
    vocabulary = completion.services.engine.model.vocabulary

    def entry(token: int, logprob: float) -> Json:
        spelled = vocabulary.pieces[token] or vocabulary.name(token).encode()
        return {"token": spelled.decode("utf-8", errors="replace"), "logprob": logprob, "bytes": list(spelled)}

    content = [{**entry(t.token, t.logprob), "top_logprobs": [entry(*one) for one in t.top]} for t in tokens]
    return {"content": content, "refusal": None}


def _choice(completion: Completion, index: int, answer: Answer) -> Json:
    message: Json = {
        "role": "assistant",
        "content": answer.content or (None if answer.calls else ""),
        "refusal": None,
        "annotations": [],
    }
    if answer.reasoning:
        message["reasoning_content"] = answer.reasoning
    if answer.calls:
        custom = completion.custom_tools
        message["tool_calls"] = [
            {"id": c.id, **_call_object(c.name, c.arguments, c.name in custom)} for c in answer.calls
        ]
    logprobs = logprobs_object(completion, answer.logprobs)
    told = _told(answer.is_fitted)
    return {"index": index, "message": message, "logprobs": logprobs, "finish_reason": answer.reason, **told}


def _call_object(name: str, text: str, is_custom: bool) -> Json:
    if is_custom:
        return {"type": "custom", "custom": {"name": name, "input": text}}
    return {"type": "function", "function": {"name": name, "arguments": text}}
