"""What llama-server's own HTTP tests ask of a server, asked of ours with the model that ships.

The requests are theirs in kind; the code and the words are ours, for they ask one model for its very words. Which test
of theirs each of these stands for, and which have no counterpart, is the table of `llama_server.py`.
"""

import base64
import json
import re
import struct
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any
from unittest.mock import ANY

import httpx
import openai
import pytest

from server.chat.messages import Message
from server.chat.template import ChatTemplate
from tests.conftest import MODEL, running_server
from tests.embedding_models import write_bert
from tests.lora import write_lora

KEY = "sk-this-is-the-secret-key"
ORIGIN = "http://localhost:8080"
NAME = "trammel-tiny"
BOOK = [{"role": "system", "content": "Book"}, {"role": "user", "content": "What is the best book"}]
PARTS = [{"role": "user", "content": [{"type": "text", "text": "What is"}, {"type": "text", "text": " the best book"}]}]
ENDLESS = "root ::= [ab]{5000,5000}"
"""Its texts are longer than the context: the model's own end would be a matter of luck."""
SUCCESS = {"type": "object", "properties": {"success": {"type": "boolean", "const": True}}, "required": ["success"]}
CODE = {"type": "object", "properties": {"code": {"type": "string", "maxLength": 20}}, "required": ["code"]}


def tool(name: str, parameters: dict[str, Any]) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "description": "", "parameters": parameters}}


class Asked:
    """A server with a key, a web origin, an adapter and an embedding model."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.client = httpx.Client(base_url=f"{url}/v1", headers={"authorization": f"Bearer {KEY}"}, timeout=60)
        self.sdk = openai.OpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0)

    def close(self) -> None:
        self.client.close()
        self.sdk.close()

    def post(self, path: str, **body: Any) -> httpx.Response:
        return self.client.post(path, json={"model": NAME, **body})

    def chat(self, **body: Any) -> Any:
        answer = self.post("/chat/completions", **{"messages": BOOK, "max_tokens": 8, **body})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def chunks(self, path: str = "/chat/completions", **body: Any) -> list[Any]:
        question = {"messages": BOOK} if "chat" in path else {"prompt": "Once upon a time"}
        with self.client.stream("POST", path, json={"model": NAME, "stream": True, **question, **body}) as stream:
            stream.read()
        assert stream.status_code == 200, stream.text
        events = [block[6:] for block in stream.text.split("\n\n") if block.startswith("data: ")]
        assert events.pop() == "[DONE]"
        return [json.loads(event) for event in events]

    def text(self, **body: Any) -> Any:
        answer = self.post("/completions", **{"prompt": "I believe the meaning of life is", "max_tokens": 8, **body})
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    home = tmp_path_factory.mktemp("models")
    bert, tuned = write_bert(home / "bert.gguf"), write_lora(home / "tuned.gguf", MODEL, 1)
    flags = ("--model", f"{NAME}={MODEL}", "--model", f"bert={bert}", "--adapter", f"tuned={tuned}")
    with running_server(*flags, "--api-key", KEY, "--cors-origin", ORIGIN) as server:
        one = Asked(server.url)
        yield one
        one.close()


def refused(answer: httpx.Response, status: int = 400) -> Any:
    """The error, which has all four keys."""
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return error


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


# test_security.py


def test_health_needs_no_key_and_everything_else_does(asked: Asked) -> None:
    assert httpx.get(f"{asked.url}/healthz").status_code == 200
    for headers in ({}, {"authorization": "Bearer invalid-key"}, {"authorization": KEY}, {"authorization": "Basic x"}):
        answer = httpx.post(f"{asked.url}/v1/completions", json={"prompt": "x"}, headers=headers)
        assert refused(answer, 401)["code"] == "invalid_api_key"
        assert answer.headers["www-authenticate"] == "Bearer"
    assert asked.sdk.models.list().data


def test_only_the_named_origin_may_ask(asked: Asked) -> None:
    """llama-server answers every origin with its own name and allows credentials, unless it is told not to."""
    wanted = {"access-control-request-method": "POST", "access-control-request-headers": "authorization"}
    for origin, is_let in (
        (ORIGIN, True), ("http://evil.com", False), ("http://localhost:8080.evil.com", False), ("null", False),
    ):  # fmt: skip
        answer = httpx.options(f"{asked.url}/v1/completions", headers={"origin": origin, **wanted})
        assert (answer.headers.get("access-control-allow-origin") == origin) == is_let
        assert ("access-control-allow-origin" in answer.headers) == is_let
        assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize("place", ["file://mtmd/test-1.jpeg", "file:///etc/passwd", "http://127.0.0.1:1/x.png"])
def test_no_file_and_no_address_is_read_for_a_message(asked: Asked, place: str) -> None:
    image = {"type": "image_url", "image_url": {"url": place}}
    error = refused(asked.post("/chat/completions", messages=[{"role": "user", "content": [image]}]))
    assert error["param"] == "messages[0].content[0].type"


# test_basic.py


def test_models_are_listed_with_their_adapters(asked: Asked) -> None:
    assert {one.id for one in asked.sdk.models.list()} == {NAME, "bert", "tuned"}


# test_completion.py


def test_a_text_is_continued_and_streamed(asked: Asked) -> None:
    whole = asked.text(grammar=ENDLESS)
    assert (whole["choices"][0]["finish_reason"], whole["usage"]["completion_tokens"]) == ("length", 8)
    chunks = asked.chunks("/completions", max_tokens=8, grammar=ENDLESS)
    assert {chunk["object"] for chunk in chunks} == {"text_completion"}
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks][-1] == "length"
    assert set("".join(chunk["choices"][0]["text"] for chunk in chunks)) <= {"a", "b"}


def test_a_stop_is_not_said(asked: Asked) -> None:
    fields: dict[str, Any] = {
        "grammar": 'root ::= "one User:" "two"',
        "stop": ["User:", "Assistant:"],
        "max_tokens": 40,
    }
    assert asked.text(**fields)["choices"][0] == {
        "text": "one ", "index": 0, "logprobs": None, "finish_reason": "stop",
    }  # fmt: skip
    assert "".join(c["choices"][0]["text"] for c in asked.chunks("/completions", **fields)) == "one "


def test_other_seeds_are_other_answers(asked: Asked) -> None:
    """Under a grammar with 2^40 texts: what rounding does to a model's own words is no matter here."""
    coin = "root ::= [ab]{40,40}"
    said = [
        asked.text(grammar=coin, seed=seed, temperature=2, max_tokens=80)["choices"][0]["text"] for seed in range(4)
    ]
    assert len(set(said)) == 4


def test_tokens_are_a_prompt_too(asked: Asked) -> None:
    tokens = asked.post("/tokenize", prompt="I believe").json()["tokens"]
    assert asked.text(prompt=tokens)["usage"]["prompt_tokens"] == len(tokens)
    assert [one["index"] for one in asked.text(prompt=[tokens, tokens])["choices"]] == [0, 1]
    for mixed in ([tokens, "I believe"], [1, 2, "x"], {"prompt_string": "x"}):
        assert refused(asked.post("/completions", prompt=mixed))["param"].startswith("prompt")


def test_six_at_once_are_all_answered(asked: Asked) -> None:
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda number: asked.text(prompt=f"Question {number}", grammar=ENDLESS), range(6)))
    assert [answer["usage"]["completion_tokens"] for answer in answers] == [8] * 6


def test_the_likeliest_tokens_come_with_a_text(asked: Asked) -> None:
    for choice in (
        asked.text(logprobs=5, temperature=0)["choices"][0],
        asked.chunks("/completions", logprobs=5, max_tokens=3)[0]["choices"][0],
    ):
        told = choice["logprobs"]
        assert len(told["tokens"]) == len(told["token_logprobs"]) == len(told["top_logprobs"]) >= 1
        assert all(value <= 0 for value in told["token_logprobs"])
        assert all(len(top) >= 5 for top in told["top_logprobs"])


def test_a_request_whose_client_has_gone_frees_its_place(asked: Asked) -> None:
    with pytest.raises(httpx.ReadTimeout):
        asked.client.post(
            "/completions", json={"model": NAME, "prompt": "x", "max_tokens": 2000, "grammar": ENDLESS}, timeout=0.2
        )
    for _ in range(100):
        if httpx.get(f"{asked.url}/healthz").json()["running"] == 0:
            return
        time.sleep(0.05)
    raise AssertionError("it is still decoded")


def test_an_answer_goes_on_if_its_end_is_biased_away(asked: Asked) -> None:
    end = asked.post("/tokenize", prompt="<|end|>").json()["tokens"]
    assert len(end) == 1
    answer = asked.text(logit_bias={str(end[0]): -100}, max_tokens=40)
    assert (answer["usage"]["completion_tokens"], answer["choices"][0]["finish_reason"]) == (40, "length")


def test_an_answer_ends_where_the_context_does(asked: Asked) -> None:
    length = asked.post("/tokenize", prompt="x").json()["max_model_len"]
    prompt = [5] * (length - 20)
    answer = asked.text(prompt=prompt, max_tokens=100, grammar=ENDLESS)
    assert (answer["choices"][0]["finish_reason"], answer["usage"]["total_tokens"]) == ("length", length)
    assert refused(asked.post("/completions", prompt=[5] * (length + 1)))["code"] == "context_length_exceeded"


# test_compat_oai_responses.py


def test_a_response_of_openais_library_has_the_ids_of_its_kind(asked: Asked) -> None:
    answer = asked.sdk.responses.create(model=NAME, input=BOOK, max_output_tokens=8, temperature=0.8)  # type: ignore[arg-type]
    assert answer.id.startswith("resp_")
    assert answer.output[0].id.startswith("msg_")  # type: ignore[union-attr]
    assert isinstance(answer.output_text, str)


def test_the_events_of_a_response_name_one_response_and_one_item(asked: Asked) -> None:
    response, items, heard, last = set(), set(), "", None
    for event in asked.sdk.responses.create(model=NAME, input=BOOK, max_output_tokens=8, stream=True):  # type: ignore[arg-type]
        if event.type in ("response.created", "response.in_progress", "response.completed", "response.incomplete"):
            response.add(event.response.id)
            last = event
        if event.type in ("response.output_item.added", "response.output_item.done"):
            items.add(event.item.id)
        if hasattr(event, "item_id"):
            items.add(event.item_id)
        if event.type == "response.output_text.delta":
            heard += event.delta
    assert len(response) == len(items) == 1
    assert last is not None
    assert last.response.output_text == heard


# test_tokenize.py


def test_tokens_of_a_text_and_back_with_their_names(asked: Asked) -> None:
    text = "This is a test string with unicode 媽 and emoji 🤗"
    told = asked.post("/tokenize", prompt=text, return_token_strs=True).json()
    assert told["count"] == len(told["tokens"]) == len(told["token_strs"]) > 5
    assert asked.post("/detokenize", tokens=told["tokens"]).json()["prompt"] == text


# test_embedding.py


def embedded(asked: Asked, given: Any, **fields: Any) -> Any:
    answer = asked.post("/embeddings", model="bert", input=given, **fields)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_embeddings_are_of_length_one_and_the_same_for_the_same_text(asked: Asked) -> None:
    answer = embedded(asked, ["weather", "paris", "weather", "weather paris"])
    vectors = [one["embedding"] for one in answer["data"]]
    for vector in vectors:
        assert sum(value * value for value in vector) == pytest.approx(1, abs=1e-3)
    assert vectors[0] == pytest.approx(vectors[2], abs=1e-3)
    assert vectors[0] != pytest.approx(vectors[1], abs=1e-3)
    assert answer["usage"]["prompt_tokens"] == answer["usage"]["total_tokens"]
    single = embedded(asked, "weather")["usage"]["prompt_tokens"]
    assert embedded(asked, ["weather", "weather"])["usage"]["prompt_tokens"] == 2 * single


def test_embeddings_through_openais_library_and_as_base64(asked: Asked) -> None:
    by_library = asked.sdk.embeddings.create(model="bert", input="weather").data[0].embedding
    written = embedded(asked, "weather", encoding_format="base64")["data"][0]["embedding"]
    read = struct.unpack(f"<{len(by_library)}f", base64.b64decode(written))
    assert by_library == pytest.approx(read)
    assert by_library == pytest.approx(embedded(asked, "weather", encoding_format="float")["data"][0]["embedding"])


@pytest.mark.parametrize("given", [[], "", {"content": "string"}, [5, "weather"], ["weather", [5]], "weather " * 512])
def test_what_cannot_be_embedded_is_refused(asked: Asked, given: Any) -> None:
    assert refused(asked.post("/embeddings", model="bert", input=given))["param"].startswith("input")


# test_template.py


def test_a_template_may_write_todays_date() -> None:
    before = datetime.now().astimezone()
    written = ChatTemplate("{{ strftime_now('%d %b %Y') }}").render([Message("user", "What is today?")])
    assert written in {day.strftime("%d %b %Y") for day in (before, datetime.now().astimezone())}


# test_lora.py


def test_an_adapter_is_chosen_by_each_request(asked: Asked) -> None:
    def ask(model: str) -> Any:
        return asked.text(model=model, temperature=0, max_tokens=12)["choices"][0]["text"]

    with ThreadPoolExecutor(4) as pool:
        plain, tuned, tuned_too, after = pool.map(ask, [NAME, "tuned", "tuned", NAME])
    assert plain == after
    assert tuned == tuned_too != plain


# test_metrics.py


def test_metrics_count_the_tokens_of_the_answers(asked: Asked) -> None:
    def made() -> float:
        page = asked.client.get(f"{asked.url}/metrics").text
        for name in set(re.findall(r"^(trammel_\w+?)(?:_bucket|_sum|_count)?[ {]", page, re.MULTILINE)):
            assert f"# HELP {name} " in page
            assert f"# TYPE {name} " in page
        return sum(map(float, re.findall(r"^trammel_(?:sampled|forced)_tokens_total (\S+)$", page, re.MULTILINE)))

    before = made()
    usage = asked.chat(grammar=ENDLESS)["usage"]
    assert made() - before == usage["completion_tokens"] == 8
