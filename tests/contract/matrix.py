"""The requests that the contract is tried with: every field of every endpoint, fields together, and mistakes.

All that is tried with a status of 200 is valid by OpenAI's own request schemas; mistakes are tried one at a time.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from typing import Any

MODEL = "trammel-tiny"
CHAT, TEXT, EMBED = "/v1/chat/completions", "/v1/completions", "/v1/embeddings"
RESPONSES = "/v1/responses"
CITY: dict[str, Any] = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "maxLength": 12},
        "days": {"type": "integer", "minimum": 1, "maximum": 9},
    },
    "required": ["city"],
    "additionalProperties": False,
}
EMPTY: dict[str, Any] = {"type": "object", "properties": {}}


def function(name: str, parameters: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": parameters or EMPTY, **fields}}


WEATHER, STOP = function("get_weather", CITY, description="Weather of a city"), function("stop_all")
NOTE = {"type": "custom", "custom": {"name": "note", "description": "Take a note"}}
_LETTERS = {"syntax": "regex", "definition": "[a-f]{3,6}"}
CODE = {"type": "custom", "custom": {"name": "code", "format": {"type": "grammar", "grammar": _LETTERS}}}
QUESTION = [{"role": "user", "content": "What is the weather in Paris?"}]
CALL = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city":"Paris"}'}}
ANSWERED = [
    {"role": "system", "content": "Be brief."},
    *QUESTION,
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "call_1", "content": '{"sky": "clear"}'},
]
PARTS = [{"role": "user", "content": [{"type": "text", "text": "Hello"}, {"type": "text", "text": " there"}]}]
PERSON = {"type": "json_schema", "json_schema": {"name": "person", "schema": CITY, "strict": True}}
LOOSE = {"type": "json_schema", "json_schema": {"name": "loose", "schema": EMPTY}}


@dataclass(frozen=True)
class Case:
    """A request and what must come of it."""

    path: str
    body: Any
    status: int = 200
    param: str | None = None
    """The field an error names."""
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def is_streamed(self) -> bool:
        return isinstance(self.body, dict) and self.body.get("stream") is True and self.status == 200

    def __str__(self) -> str:
        told = {k: v for k, v in self.body.items() if k not in ("model", "seed")} if isinstance(self.body, dict) else ""
        return f"{self.path} {str(told or self.body)[:300]}"


def chat(**fields: Any) -> Case:
    return Case(CHAT, {"model": MODEL, "messages": QUESTION, "seed": 1, "max_tokens": 8, **fields})


def text(**fields: Any) -> Case:
    return Case(TEXT, {"model": MODEL, "prompt": "The weather is", "seed": 1, "max_tokens": 6, **fields})


def embed(**fields: Any) -> Case:
    return Case(EMBED, {"model": "bert", "input": "weather", **fields})


def response(**fields: Any) -> Case:
    return Case(RESPONSES, {"model": MODEL, "input": "How are you?", "seed": 1, "max_output_tokens": 16, **fields})


_SAMPLING: list[dict[str, Any]] = [
    {"temperature": 0}, {"temperature": 1e-88}, {"temperature": 2}, {"temperature": None}, {"top_p": 0.1}, {"top_p": 1},
    {"frequency_penalty": -2}, {"frequency_penalty": 2}, {"presence_penalty": 2}, {"seed": 0}, {"seed": -1},
    {"seed": 2**62}, {"stop": "a"}, {"stop": ["a", "\n", "é"]}, {"stop": None}, {"stop": ["x"]}, {"user": "u"},
    {"logit_bias": {"5": -100}}, {"logit_bias": {}}, {"n": 1}, {"n": 3}, {"max_tokens": 1}, {"top_k": 5},
    {"min_p": 0.2}, {"repeat_penalty": 1.2}, {"priority": 3}, {"timeout": 60.0}, {"speculate": True},
]  # fmt: skip
_CHAT: list[dict[str, Any]] = [
    {}, {"messages": ANSWERED}, {"messages": ANSWERED, "tools": [WEATHER]}, {"messages": PARTS},
    {"messages": [{"role": "developer", "content": "Be brief."}, *QUESTION]},
    {"messages": [*QUESTION, {"role": "assistant", "content": "Fine."}, *QUESTION]},
    {"messages": [{"role": "user", "content": ""}]}, {"messages": [{"role": "user", "content": "x", "name": "Ann"}]},
    {"max_completion_tokens": 3}, {"logprobs": True}, {"logprobs": True, "top_logprobs": 0},
    {"logprobs": True, "top_logprobs": 20, "n": 2}, {"logprobs": False}, {"service_tier": "auto"},
    {"service_tier": "flex"}, {"response_format": {"type": "text"}}, {"response_format": {"type": "json_object"}},
    {"response_format": PERSON, "max_tokens": 60}, {"response_format": PERSON, "logprobs": True, "max_tokens": 60},
    {"response_format": LOOSE, "max_tokens": 60}, {"metadata": {"a": "b"}}, {"store": False},
    {"modalities": ["text"]}, {"reasoning_effort": "low"},
    {"tools": [WEATHER], "tool_choice": "required", "max_tokens": 40, "trammel": {"fit": True}},
    {"parallel_tool_calls": True, "tools": [WEATHER]},
    {"prompt_cache_key": "k"}, {"safety_identifier": "s"}, {"verbosity": "low"}, {"chat_template_kwargs": {"a": 1}},
]  # fmt: skip
_CHOICES: list[Any] = [
    None, "none", "auto", "required",
    {"type": "function", "function": {"name": "stop_all"}},
    {"type": "allowed_tools", "allowed_tools": {
        "mode": "required", "tools": [{"type": "function", "function": {"name": "get_weather"}}]}},
    {"type": "custom", "custom": {"name": "code"}},
    {"type": "allowed_tools", "allowed_tools": {
        "mode": "auto", "tools": [{"type": "function", "function": {"name": "get_weather"}}]}},
]  # fmt: skip
_TEXT: list[dict[str, Any]] = [
    {}, {"prompt": ["a", "b"]}, {"prompt": [5, 6, 7]}, {"prompt": [[5], [6, 7]]}, {"prompt": ""}, {"echo": True},
    {"echo": True, "max_tokens": 0}, {"echo": True, "logprobs": 2},
    {"logprobs": 0}, {"logprobs": 5}, {"prompt": ["a", "b"], "n": 2, "logprobs": 1},
    {"max_tokens": None, "stop": ["e", " ", "."]}, {"suffix": None}, {"prompt": "😀 é"},
]  # fmt: skip
_EMBED: list[dict[str, Any]] = [
    {}, {"input": ["weather", "paris"]}, {"input": [5, 6]}, {"input": [[5], [6, 7]]}, {"dimensions": 32},
    {"encoding_format": "float"}, {"encoding_format": "base64"}, {"user": "u"},
]  # fmt: skip


_TOOL = {"type": "function", "name": "get_weather", "parameters": CITY, "strict": True}
_BARE = {"type": "function", "name": "stop_all", "parameters": None, "strict": None}
_NOTE = {"type": "custom", "name": "note", "description": "Take a note"}
_CODE = {"type": "custom", "name": "code", "format": {"type": "grammar", "syntax": "regex", "definition": "[a-f]{3,6}"}}
_FORMAT = {"format": {"type": "json_schema", "name": "person", "schema": CITY, "strict": True}}
_ITEMS = [
    {"role": "developer", "content": "Be brief."},
    {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Weather in Paris?"}]},
    {"type": "reasoning", "id": "rs_1", "summary": []},
    {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
     "content": [{"type": "output_text", "text": "One moment.", "annotations": []}]},
    {"type": "function_call", "call_id": "c1", "name": "get_weather", "arguments": '{"city":"Paris"}'},
    {"type": "function_call", "call_id": "c2", "name": "stop_all", "arguments": "{}"},
    {"type": "function_call_output", "call_id": "c1", "output": "clear"},
    {"type": "function_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "done"}]},
    {"type": "custom_tool_call", "call_id": "c3", "name": "note", "input": "a \"b\"\n"},
    {"type": "custom_tool_call_output", "call_id": "c3", "output": "noted"},
]  # fmt: skip
_RESPONSES: list[dict[str, Any]] = [
    {}, {"input": _ITEMS}, {"input": _ITEMS, "tools": [_TOOL]}, {"instructions": "Be brief."}, {"store": False},
    {"store": True}, {"metadata": {"a": "b"}}, {"truncation": "auto"}, {"user": "u"}, {"service_tier": "flex"},
    {"temperature": 0}, {"top_p": 0.5}, {"parallel_tool_calls": False}, {"text": {"format": {"type": "text"}}},
    {"text": {"verbosity": "low"}}, {"text": {"format": {"type": "json_object"}}}, {"reasoning": {"effort": "low"}},
    {"text": _FORMAT, "max_output_tokens": 60}, {"include": ["message.output_text.logprobs"]},
    {"include": ["reasoning.encrypted_content"]}, {"top_logprobs": 5}, {"max_tool_calls": 3},
    {"prompt_cache_key": "k"}, {"safety_identifier": "s"}, {"background": False}, {"text": _FORMAT, "tools": [_BARE]},
    *({"tools": [_TOOL, _BARE, _NOTE, _CODE], "tool_choice": choice, "max_output_tokens": 40} for choice in (
        "none", "auto", "required", {"type": "function", "name": "stop_all"}, {"type": "custom", "name": "code"},
        {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "get_weather"}]})),
]  # fmt: skip


def valid_cases() -> Iterator[Case]:
    """Requests that must be answered."""
    streams: list[dict[str, Any]] = [{}, {"stream": True}, {"stream": True, "stream_options": {"include_usage": True}}]
    for stream, fields in product(streams, [*_CHAT, *_SAMPLING]):
        yield chat(**{**fields, **stream})
    for stream, choice, parallel in product(streams[:2], _CHOICES, (None, False)):
        custom = [] if stream else [NOTE, CODE]  # the document has no chunks of custom calls
        if custom or not (isinstance(choice, dict) and choice["type"] == "custom"):
            tools = [WEATHER, STOP, *custom]
            fields = {"tools": tools, "tool_choice": choice, "parallel_tool_calls": parallel, "max_tokens": 40}
            yield chat(**{k: v for k, v in {**fields, **stream}.items() if v is not None})
    for stream, choice in product(streams[1:], _CHOICES[1:5]):
        yield chat(tools=[WEATHER, STOP], tool_choice=choice, response_format=PERSON, n=2, max_tokens=50, **stream)
    for stream, fields in product(streams, [*_TEXT, *_SAMPLING]):
        yield text(**{**fields, **stream})
    yield text(best_of=3, n=2)
    for stream, fields in product(({}, {"stream": True}), _RESPONSES):
        yield response(**fields, **stream)
    for fields in _EMBED:
        yield embed(**fields)


def _chat_mistakes() -> Iterator[tuple[dict[str, Any], str | None]]:
    """Fields and the field that the error names."""
    yield {"model": "gpt-4o"}, "model"
    yield {"model": 5}, "model"
    yield {"messages": []}, "messages"
    yield {"messages": "hi"}, "messages"
    yield {"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role"
    yield {"messages": [{"role": "user"}]}, "messages[0]"
    yield {"messages": [{"role": "user", "content": 5}]}, "messages[0].content"
    yield {"messages": [{"role": "user", "content": [{"type": "video"}]}]}, None
    yield {"messages": [{"role": "tool", "content": "x", "tool_call_id": "none"}]}, "messages[0].tool_call_id"
    yield {"messages": [{"role": "user", "content": "word " * 9000}]}, "messages"
    for name, value in [
        ("temperature", 2.1), ("temperature", -1), ("temperature", "hot"), ("top_p", 0), ("top_p", 2), ("n", 0),
        ("n", 500), ("n", "two"), ("max_tokens", 0), ("max_completion_tokens", 0), ("seed", "x"), ("seed", 1.5),
        ("frequency_penalty", 3), ("presence_penalty", -3), ("logit_bias", {"x": 1}), ("logit_bias", {"1": 101}),
        ("logit_bias", {"99999999": 1}), ("stop", 5), ("stop", ["a"] * 5), ("stream", "yes"), ("top_k", -1),
        ("min_p", 2), ("repeat_penalty", 5e-324), ("repetition_penalty", 0), ("user", 5), ("tools", {}),
        ("service_tier", "gold"), ("functions", [{"name": "f"}]),
        ("function_call", "auto"), ("logprobs", 3), ("chat_template_kwargs", {"messages": []}), ("timeout", 0),
        ("response_format", {"type": "xml"}), ("response_format", "json"), ("parallel_tool_calls", "no"),
    ]:  # fmt: skip
        yield {name: value}, name
    yield {"top_logprobs": 2}, None
    yield {"logprobs": True, "top_logprobs": 21}, "top_logprobs"
    yield {"stream_options": {"include_usage": True}}, None
    yield {"tool_choice": "required"}, "tool_choice"
    yield {"tool_choice": {"type": "function", "function": {"name": "f"}}}, "tool_choice.function.name"
    yield {"tools": [WEATHER], "tool_choice": "perhaps"}, "tool_choice"
    yield {"tools": [WEATHER, WEATHER]}, "tools[1].function.name"
    yield {"tools": [{"type": "function"}]}, "tools[0].function"
    yield {"tools": [function("a b")]}, "tools[0].function.name"
    yield {"tools": [function("f", {"type": "string"})]}, "tools[0].function.parameters"
    yield {"tools": [function("f", {"type": "nothing"})]}, "tools[0].function.parameters"
    unique = {"type": "object", "properties": {"a": {"type": "array", "uniqueItems": True}}}
    yield {"tools": [function("f", unique, strict=True)]}, "tools[0].function.parameters"
    yield {"response_format": {"type": "json_schema"}}, "response_format.json_schema"
    yield (
        {"response_format": {"type": "json_schema", "json_schema": {"schema": {}}}},
        "response_format.json_schema.name",
    )
    strict = {"type": "json_schema", "json_schema": {"name": "n", "strict": True, "schema": unique}}
    yield {"response_format": strict}, "response_format.json_schema.schema"


def mistaken_cases() -> Iterator[Case]:
    """Requests that must be refused, one mistake each."""
    for fields, param in _chat_mistakes():
        made = chat(**fields)
        yield Case(CHAT, made.body, 404 if fields.get("model") == "gpt-4o" else 400, param)
    for name, value in [
        ("suffix", "x"), ("logprobs", 6), ("n", 0), ("n", 129), ("prompt", {}), ("prompt", [1.5]), ("prompt", [-1]),
        ("prompt", "word " * 9000), ("max_tokens", -1), ("temperature", 3), ("stop", 5), ("echo", "yes"),
    ]:  # fmt: skip
        yield Case(TEXT, text(**{name: value}).body, 400, name)
    for name, value in [
        ("input", ""), ("input", []), ("input", [10**6]), ("input", {}), ("input", "a " * 100), ("dimensions", 8),
        ("dimensions", 0), ("encoding_format", "int8"), ("model", MODEL),
    ]:  # fmt: skip
        yield Case(EMBED, embed(**{name: value}).body, 400, name)
    for name, value in [
        ("input", [{"role": "robot", "content": "x"}]), ("input", 5), ("temperature", 3), ("tools", {}),
        ("tools", [{"type": "web_search"}]), ("text", {"format": {"type": "xml"}}), ("include", ["all"]),
        ("max_output_tokens", 0), ("previous_response_id", 5), ("background", True), ("truncation", "some"),
        ("tool_choice", "required"), ("metadata", {"a": 5}), ("top_logprobs", 21), ("stream", "yes"),
    ]:  # fmt: skip
        yield Case(RESPONSES, response(**{name: value}).body, 400, name)
    yield Case(RESPONSES, response(previous_response_id="resp_none").body, 404, "previous_response_id")
    for path in (CHAT, TEXT, EMBED, RESPONSES):
        yield Case(path, {}, 400, "model")
        yield Case(path, [], 400)
        yield Case(path, b"{", 400)
        yield Case(path, b"", 400)
        yield Case(path, b"\xff", 400)
        yield Case(path, b" " * (9 * 1024 * 1024), 413)
        yield Case(path + "/x/y", {}, 404)
