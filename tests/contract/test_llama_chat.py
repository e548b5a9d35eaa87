"""What llama-server's own HTTP tests ask of a chat and its tools, asked of ours with the model that ships.

The requests are theirs in kind; the code and the words are ours, for they ask one model for its very words. Which test
of theirs each of these stands for, and which have no counterpart, is the table of `llama_server.py`.
"""

import json
import re
from typing import Any
from unittest.mock import ANY

import openai
import pytest

from tests.contract.llama_asking import BOOK, ENDLESS, NAME, Asked, refused

PARTS = [{"role": "user", "content": [{"type": "text", "text": "What is"}, {"type": "text", "text": " the best book"}]}]
SUCCESS = {"type": "object", "properties": {"success": {"type": "boolean", "const": True}}, "required": ["success"]}
CODE = {"type": "object", "properties": {"code": {"type": "string", "maxLength": 20}}, "required": ["code"]}


def tool(name: str, parameters: dict[str, Any]) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "description": "", "parameters": parameters}}


# test_chat_completion.py


@pytest.mark.parametrize("messages", [BOOK, PARTS, [BOOK[1]]])
def test_a_conversation_is_answered_with_its_usage(asked: Asked, messages: list[Any]) -> None:
    answer = asked.chat(messages=messages, grammar=ENDLESS)
    assert answer["id"].startswith("chatcmpl-")
    assert answer["system_fingerprint"]
    assert answer["choices"][0]["message"] == {
        "role": "assistant", "content": ANY, "refusal": None, "annotations": [],
    }  # fmt: skip
    assert answer["choices"][0]["finish_reason"] == "length"
    assert answer["usage"]["completion_tokens"] == 8
    assert answer["usage"]["prompt_tokens"] > 4


def test_parts_of_a_message_are_one_text(asked: Asked) -> None:
    whole = [{"role": "user", "content": "What is the best book"}]
    counts = [asked.post("/tokenize", messages=messages).json()["tokens"] for messages in (PARTS, whole)]
    assert counts[0] == counts[1]


def test_a_prompt_that_was_seen_is_counted_as_cached(asked: Asked) -> None:
    text = "one two three four five six seven eight nine ten " * 3
    cached = []
    for end in ("eleven", "eleven", "twelve"):
        usage = asked.chat(messages=[{"role": "user", "content": text + end}], max_tokens=2)["usage"]
        cached.append((usage["prompt_tokens_details"]["cached_tokens"], usage["prompt_tokens"]))
    assert cached[1][0] > cached[1][1] - 4
    assert cached[1][0] >= cached[2][0] > cached[2][1] // 2


def test_a_stream_begins_with_the_role_and_ends_with_reason_and_usage(asked: Asked) -> None:
    chunks = asked.chunks(max_tokens=8, grammar=ENDLESS, stream_options={"include_usage": True})
    *told, usage = chunks
    assert len({(chunk["id"], chunk["model"], chunk["system_fingerprint"]) for chunk in chunks}) == 1
    deltas = [chunk["choices"][0]["delta"] for chunk in told]
    assert deltas[0]["role"] == "assistant"
    assert not any("role" in delta for delta in deltas[1:])
    assert "content" not in deltas[-1]
    assert [chunk["choices"][0]["finish_reason"] for chunk in told] == [None] * (len(told) - 1) + ["length"]
    assert set("".join(delta.get("content") or "" for delta in deltas)) <= {"a", "b"}
    assert (usage["choices"], usage["usage"]["completion_tokens"]) == ([], 8)


def test_openais_library_reads_the_answers_and_an_unknown_model_is_not_found(asked: Asked) -> None:
    answer = asked.sdk.chat.completions.create(model=NAME, messages=BOOK, max_tokens=8, seed=42, temperature=0.8)  # type: ignore[arg-type]
    assert answer.choices[0].message.content is not None
    with pytest.raises(openai.NotFoundError):
        asked.sdk.chat.completions.create(model="gpt-3.5-turbo-instruct", messages=BOOK)  # type: ignore[arg-type]


def test_the_prompt_of_a_conversation_can_be_seen(asked: Asked) -> None:
    tokens = asked.post("/tokenize", messages=BOOK).json()["tokens"]
    prompt = asked.post("/detokenize", tokens=tokens).json()["prompt"]
    assert prompt.index("Book") < prompt.index("What is the best book") < prompt.index("<|assistant|>")


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"type": "json_object", "schema": {"const": "42"}}, '"42"'),
        ({"type": "json_object", "schema": {"type": "array", "items": {"enum": [1]}, "maxItems": 2}}, r"\[(1(,1)?)?\]"),
        ({"type": "json_schema", "json_schema": {"name": "n", "schema": {"const": "foooooo"}}}, '"foooooo"'),
        ({"type": "json_object"}, r"\{.*"),
    ],
)
def test_a_response_format_is_held(asked: Asked, form: dict[str, Any], words: str) -> None:
    assert re.fullmatch(words, asked.chat(response_format=form, max_tokens=24)["choices"][0]["message"]["content"])


@pytest.mark.parametrize(
    ("form", "param"),
    [
        ({"type": "sound"}, "response_format.type"),
        ({"type": "json_object", "schema": 123}, "response_format.schema"),
        ({"type": "json_object", "schema": {"type": 123}}, "response_format.schema"),
        ({"type": "json_object", "schema": {"type": "hiccup"}}, "response_format.schema"),
        ({"type": "text", "schema": {"const": "42"}}, "response_format"),
        ({"type": "json_schema", "json_schema": {"schema": {"const": "42"}}}, "response_format.json_schema.name"),
    ],
)
def test_a_response_format_that_is_none_is_refused_by_its_field(asked: Asked, form: Any, param: str) -> None:
    assert refused(asked.post("/chat/completions", messages=BOOK, response_format=form))["param"] == param


def test_a_schema_at_the_top_level_is_held(asked: Asked) -> None:
    assert asked.chat(json_schema={"const": "42"})["choices"][0]["message"]["content"] == '"42"'


def test_a_grammar_is_held_and_one_that_is_none_is_refused(asked: Asked) -> None:
    assert asked.chat(grammar='root ::= "a"{5,5}')["choices"][0]["message"]["content"] == "aaaaa"
    wrong = asked.post("/chat/completions", messages=BOOK, grammar="root ::= this is (not valid GBNF")
    assert refused(wrong)["code"] == "invalid_grammar"


@pytest.mark.parametrize(
    "messages",
    [None, "string", [], [123], [{}], [{"role": 123}], [{"role": "system", "content": 123}], [BOOK[0], {}],
     [{"content": "hello"}]],
)  # fmt: skip
def test_messages_that_are_none_are_the_clients_mistake(asked: Asked, messages: Any) -> None:
    assert refused(asked.post("/chat/completions", messages=messages))["param"].startswith("messages")


@pytest.mark.parametrize("is_streamed", [False, True])
def test_log_probabilities_add_up_to_the_text(asked: Asked, is_streamed: bool) -> None:
    fields = {"max_tokens": 5, "logprobs": True, "top_logprobs": 10, "temperature": 0}
    if is_streamed:
        parts = [chunk["choices"][0] for chunk in asked.chunks(**fields)]
        text = "".join(part["delta"].get("content") or "" for part in parts)
        tokens = [token for part in parts if part["logprobs"] for token in part["logprobs"]["content"]]
    else:
        choice = asked.chat(**fields)["choices"][0]
        text, tokens = choice["message"]["content"], choice["logprobs"]["content"]
    assert b"".join(bytes(token["bytes"]) for token in tokens).decode().startswith(text)
    for token in tokens:
        assert token["logprob"] <= 0
        assert len(token["top_logprobs"]) == 10


def test_biased_tokens_are_not_said(asked: Asked) -> None:
    """In both completions; llama-server also takes texts as keys, OpenAI does not."""
    never = asked.post("/tokenize", prompt=" the a of e i o").json()["tokens"]
    bias = {str(token): -100 for token in never}
    said = asked.chat(logit_bias=bias, logprobs=True, max_tokens=30)["choices"][0]["logprobs"]["content"]
    names = asked.post("/detokenize", tokens=never).json()
    assert said
    assert names
    forms = {asked.post("/detokenize", tokens=[token]).json()["prompt"] for token in never}
    assert not forms & {token["token"] for token in said}
    completed = asked.text(logit_bias=bias, logprobs=0, max_tokens=30)["choices"][0]["logprobs"]["tokens"]
    assert not forms & set(completed)
    assert refused(asked.post("/completions", prompt="x", logit_bias={" the ": -100}))["param"] == "logit_bias"


@pytest.mark.parametrize("stream", [False, True])
def test_too_long_a_prompt_is_refused_with_openais_code(asked: Asked, stream: bool) -> None:
    error = refused(asked.post("/chat/completions", messages=BOOK * 500, stream=stream))
    assert (error["code"], error["param"]) == ("context_length_exceeded", "messages")
    assert len(re.findall(r"\d+", error["message"])) >= 2


def test_several_choices_are_made_at_once(asked: Asked) -> None:
    for _ in range(2):
        choices = asked.chat(n=2, grammar=ENDLESS)["choices"]
        assert [(one["index"], one["finish_reason"]) for one in choices] == [(0, "length"), (1, "length")]


def test_input_tokens_are_counted_without_an_answer(asked: Asked) -> None:
    counted = asked.post("/responses/input_tokens", input=BOOK).json()["input_tokens"]
    assert counted == asked.post("/tokenize", messages=BOOK).json()["count"]
    assert counted == asked.chat(max_tokens=1)["usage"]["prompt_tokens"]


# test_tool_call.py


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("name", "parameters", "key"), [("test", SUCCESS, "success"), ("python", CODE, "code")])
def test_a_required_tool_is_called_whatever_is_asked(
    asked: Asked, name: str, parameters: dict[str, Any], key: str, stream: bool
) -> None:
    fields = {"tools": [tool(name, parameters)], "tool_choice": "required", "parallel_tool_calls": False}
    if stream:
        deltas = [chunk["choices"][0]["delta"] for chunk in asked.chunks(**fields, max_tokens=200)]
        assert not any(delta.get("content") for delta in deltas)
        parts = [part for delta in deltas for part in delta.get("tool_calls", [])]
        assert {part["index"] for part in parts} == {0}
        called, text = parts[0]["function"]["name"], "".join(part["function"].get("arguments", "") for part in parts)
    else:
        message = asked.chat(**fields, max_tokens=200)["choices"][0]["message"]
        assert message["content"] is None
        (call,) = message["tool_calls"]
        assert call["id"]
        called, text = call["function"]["name"], call["function"]["arguments"]
    assert called == name
    assert key in json.loads(text)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("fields", [{"tools": []}, {"tools": [tool("python", CODE)], "tool_choice": "none"}, {}])
def test_without_tools_or_with_none_chosen_nothing_is_called(asked: Asked, fields: Any, stream: bool) -> None:
    if stream:
        deltas = [chunk["choices"][0]["delta"] for chunk in asked.chunks(**fields, max_tokens=30)]
        assert not any("tool_calls" in delta for delta in deltas)
    else:
        assert "tool_calls" not in asked.chat(**fields, max_tokens=30)["choices"][0]["message"]


@pytest.mark.parametrize("stream", [False, True])
def test_the_weather_of_a_place_is_asked_for_by_choice(asked: Asked, stream: bool) -> None:
    """With `auto`: the model that ships was trained to."""
    city = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    weather = tool("get_weather", city)
    weather["function"]["description"] = "Get the weather for a city"
    question = [{"role": "user", "content": "What is the weather in Paris?"}]
    fields = {"messages": question, "tools": [weather], "temperature": 0, "max_tokens": 60}
    if stream:
        deltas = [chunk["choices"][0]["delta"] for chunk in asked.chunks(**fields)]
        parts = [part for delta in deltas for part in delta.get("tool_calls", [])]
        text = "".join(part["function"].get("arguments", "") for part in parts if part["index"] == 0)
    else:
        text = asked.chat(**fields)["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"]
    assert isinstance(json.loads(text)["city"], str)


def test_a_tools_result_is_answered(asked: Asked) -> None:
    """llama-server's test asks for the number; that is a matter of the model, the form is ours."""
    call = {"id": "call_6789", "type": "function", "function": {"name": "calculate", "arguments": '{"expression":"1"}'}}
    told = [
        {"role": "user", "content": "What is the y coordinate?"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "name": "calculate", "content": "0.55644242476", "tool_call_id": "call_6789"},
    ]
    parameters = {"type": "object", "properties": {"expression": {"type": "string"}}}
    choice = asked.chat(messages=told, tools=[tool("calculate", parameters)], tool_choice="none")["choices"][0]
    assert isinstance(choice["message"]["content"], str)
    stray = [told[0], told[2]]
    assert refused(asked.post("/chat/completions", messages=stray))["param"] == "messages[1].tool_call_id"
