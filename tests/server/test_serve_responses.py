"""`/v1/responses` over HTTP, with OpenAI's own client: whole, streamed, parsed, continued, stored."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import httpx
import openai
import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel, Field

from tests.conftest import running_server

MODEL = "trammel-tiny"
PARAMETERS: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 12}, "unit": {"enum": ["celsius", "fahrenheit"]}},
    "required": ["city", "unit"],
    "additionalProperties": False,
}
WEATHER: Any = {"type": "function", "name": "get_weather", "description": "Weather", "parameters": PARAMETERS}
STOP: Any = {"type": "function", "name": "stop_all", "parameters": None, "strict": False}
QUESTION = "What is the weather in Paris?"


class Person(BaseModel):
    kind: Literal["child", "adult"]
    age: int = Field(ge=0, le=150)


@pytest.fixture
def client(server_url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server_url}/v1", api_key="none", max_retries=0) as client:
        yield client


def post(url: str, **fields: Any) -> httpx.Response:
    body = {"model": MODEL, "input": QUESTION, "seed": 1, "max_output_tokens": 16, **fields}
    return httpx.post(f"{url}/v1/responses", json=body, timeout=60)


def events_of(response: httpx.Response) -> list[dict[str, Any]]:
    events = []
    for block in response.text.split("\n\n")[:-1]:
        if block.startswith(":"):
            continue
        name, data = block.split("\n")
        events.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {events[-1]['type']}"
    return events


def test_a_question_is_answered_with_a_message(client: openai.OpenAI) -> None:
    answer = client.responses.create(model=MODEL, input=QUESTION, instructions="Be brief.", max_output_tokens=20)
    assert answer.output_text
    assert answer.output[0].type == "message"
    assert answer.status in ("completed", "incomplete")
    assert answer.instructions == "Be brief."
    assert answer.usage
    assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens


def test_a_call_its_output_and_the_answer_stateless(client: openai.OpenAI) -> None:
    asked: Any = [{"role": "user", "content": QUESTION}]
    first = client.responses.create(
        model=MODEL, input=asked, tools=[WEATHER, STOP], tool_choice={"type": "function", "name": "get_weather"},
        store=False,
    )  # fmt: skip
    calls = [item for item in first.output if item.type == "function_call"]
    assert calls
    assert calls == first.output
    for call in calls:
        assert (call.name, call.status) == ("get_weather", "completed")
        Draft202012Validator(PARAMETERS).validate(json.loads(call.arguments))
    asked += [item.model_dump(exclude_none=True) for item in first.output]
    asked += [{"type": "function_call_output", "call_id": call.call_id, "output": '{"sky": "clear"}'} for call in calls]
    final = client.responses.create(model=MODEL, input=asked, tools=[WEATHER], tool_choice="none", max_output_tokens=40)
    assert final.output_text
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(first.id)


def test_a_conversation_goes_on_from_a_stored_response(client: openai.OpenAI) -> None:
    first = client.responses.create(model=MODEL, input=QUESTION, tools=[WEATHER], tool_choice="required")
    outputs: Any = [
        {"type": "function_call_output", "call_id": call.call_id, "output": "clear"} for call in first.output
    ]
    second = client.responses.create(
        model=MODEL, previous_response_id=first.id, input=outputs, max_output_tokens=20, temperature=0
    )
    whole: Any = [{"role": "user", "content": QUESTION}, *(item.model_dump() for item in first.output), *outputs]
    stateless = client.responses.create(model=MODEL, input=whole, max_output_tokens=20, temperature=0)
    assert second.usage
    assert stateless.usage
    assert second.usage.input_tokens == stateless.usage.input_tokens
    assert second.previous_response_id == first.id
    third = client.responses.create(model=MODEL, previous_response_id=second.id, input="Thanks.", max_output_tokens=16)
    items = client.responses.input_items.list(third.id, order="asc").data
    kinds = [item.type for item in items]
    calls = len(first.output)
    assert kinds == ["message", *["function_call"] * calls, *["function_call_output"] * calls, "message", "message"]


def test_instructions_are_of_one_response_only(server_url: str) -> None:
    first = post(server_url, instructions="word " * 100).json()
    second = post(server_url, previous_response_id=first["id"], input="Go on.").json()
    assert second["instructions"] is None
    assert second["usage"]["input_tokens"] < first["usage"]["input_tokens"]


def test_stored_responses_are_retrieved_listed_by_pages_and_deleted(client: openai.OpenAI) -> None:
    asked: Any = [{"role": "user", "content": text} for text in ("one", "two", "three")]
    made = client.responses.create(model=MODEL, input=asked, max_output_tokens=16, metadata={"a": "b"})
    assert client.responses.retrieve(made.id).to_dict() == made.to_dict()
    listed = list(client.responses.input_items.list(made.id, limit=2))
    assert [item.content[0].text for item in listed] == ["three", "two", "one"]  # type: ignore[union-attr]
    page = client.responses.input_items.list(made.id, limit=2, order="asc")
    assert (page.has_more, len(page.data)) == (True, 2)
    client.responses.delete(made.id)
    for again in (client.responses.retrieve, client.responses.delete, client.responses.input_items.list):
        with pytest.raises(openai.NotFoundError):
            again(made.id)


def test_items_are_referred_to_by_their_ids(server_url: str) -> None:
    first = post(server_url).json()
    message = {"type": "item_reference", "id": first["output"][0]["id"]}
    asked = [{"role": "user", "content": QUESTION}, message, {"role": "user", "content": "And in Rome?"}]
    referred = post(server_url, input=asked)
    assert referred.status_code == 200, referred.text
    said = {"role": "assistant", "content": first["output"][0]["content"][0]["text"]}
    spelled = post(server_url, input=[asked[0], said, asked[2]])
    assert referred.json()["usage"]["input_tokens"] == spelled.json()["usage"]["input_tokens"]


def test_a_streamed_text_has_openais_events_in_openais_order(server_url: str) -> None:
    events = events_of(post(server_url, stream=True, temperature=0))
    kinds = [event["type"].removeprefix("response.") for event in events]
    while "output_text.delta" in kinds[5:]:
        kinds.remove("output_text.delta")
    assert kinds[:-1] == [
        "created", "in_progress", "output_item.added", "content_part.added", "output_text.delta",
        "output_text.done", "content_part.done", "output_item.done",
    ]  # fmt: skip
    assert kinds[-1] in ("completed", "incomplete")
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    text = "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta")
    final = events[-1]["response"]
    assert text == final["output"][0]["content"][0]["text"]
    assert final["usage"]["output_tokens"] > 0
    whole = post(server_url, temperature=0).json()
    assert [set(part) for part in whole["output"][0]["content"]] == [
        set(part) for part in final["output"][0]["content"]
    ]
    assert httpx.get(f"{server_url}/v1/responses/{final['id']}").json() == final


def test_a_streamed_call_has_openais_events_in_openais_order(server_url: str) -> None:
    events = events_of(post(
        server_url, stream=True, tools=[WEATHER], tool_choice="required", parallel_tool_calls=False,
        max_output_tokens=200,
    ))  # fmt: skip
    kinds = [event["type"].removeprefix("response.") for event in events]
    while kinds.count("function_call_arguments.delta") > 1:
        kinds.remove("function_call_arguments.delta")
    assert kinds == [
        "created", "in_progress", "output_item.added", "function_call_arguments.delta",
        "function_call_arguments.done", "output_item.done", "completed",
    ]  # fmt: skip
    added, done = events[2]["item"], events[-2]["item"]
    assert (added["arguments"], added["status"], done["status"]) == ("", "in_progress", "completed")
    assert {**done, "arguments": "", "status": "in_progress"} == added
    assert events[-1]["response"]["output"] == [done]
    assert "".join(e["delta"] for e in events if "delta" in e) == done["arguments"]


def test_the_sdks_stream_helper_and_parse_read_it(client: openai.OpenAI) -> None:
    with client.responses.stream(model=MODEL, input=QUESTION, text_format=Person) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_response()
    assert "response.output_text.delta" in kinds
    assert isinstance(final.output_parsed, Person)
    parsed = client.responses.parse(model=MODEL, input=QUESTION, text_format=Person)
    assert isinstance(parsed.output_parsed, Person)
    tools: Any = [openai.pydantic_function_tool(Person)]
    called = client.responses.parse(model=MODEL, input=QUESTION, tools=tools, tool_choice="required")
    assert isinstance(called.output[0].parsed_arguments, Person)  # type: ignore[union-attr]


async def test_the_asynchronous_client_streams_too(server_url: str) -> None:
    async with openai.AsyncOpenAI(base_url=f"{server_url}/v1", api_key="none", max_retries=0) as client:
        stream = await client.responses.create(model=MODEL, input=QUESTION, max_output_tokens=16, stream=True)
        kinds = [event.type async for event in stream]
    assert kinds[0] == "response.created"


def test_a_call_cut_short_is_said_to_be_incomplete_and_is_no_output(server_url: str) -> None:
    cut = {"tools": [WEATHER], "tool_choice": "required", "max_output_tokens": 8}
    answer = post(server_url, **cut).json()
    assert (answer["status"], answer["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})
    assert [item for item in answer["output"] if item["type"] == "function_call"] == []
    events = events_of(post(server_url, stream=True, **cut))
    assert events[-1]["type"] == "response.incomplete"
    assert "response.function_call_arguments.done" not in {event["type"] for event in events}


def test_log_probabilities_come_where_they_are_included(server_url: str) -> None:
    answer = post(server_url, include=["message.output_text.logprobs"], top_logprobs=2, temperature=0).json()
    part = answer["output"][0]["content"][0]
    assert "".join(token["token"] for token in part["logprobs"]) == part["text"]
    assert all(len(token["top_logprobs"]) == 2 for token in part["logprobs"])
    events = events_of(post(server_url, stream=True, include=["message.output_text.logprobs"], temperature=0))
    told = [token for event in events if event["type"] == "response.output_text.delta" for token in event["logprobs"]]
    assert "".join(one["token"] for one in told) == events[-1]["response"]["output"][0]["content"][0]["text"]


def test_too_long_an_input_is_refused_or_loses_its_oldest_turns(server_url: str) -> None:
    turns = [{"role": "user", "content": "word " * 700} for _ in range(6)]
    refused = post(server_url, input=turns)
    error = refused.json()["error"]
    assert (refused.status_code, error["param"], error["code"]) == (400, "input", "context_length_exceeded")
    cut = post(server_url, input=turns, truncation="auto")
    assert (cut.status_code, cut.json()["truncation"]) == (200, "auto")


def test_input_tokens_are_counted_as_the_response_counts_them(server_url: str) -> None:
    fields = {"tools": [WEATHER], "instructions": "Be brief."}
    counted = httpx.post(f"{server_url}/v1/responses/input_tokens", json={"model": MODEL, "input": QUESTION, **fields})
    assert counted.json()["input_tokens"] == post(server_url, **fields).json()["usage"]["input_tokens"]


@pytest.mark.parametrize(
    ("fields", "status", "param"),
    [
        ({"model": "gpt-4o"}, 404, "model"),
        ({"input": None}, 400, None),
        ({"input": []}, 400, "input"),
        ({"input": [{"role": "robot", "content": "x"}]}, 400, "input[0].role"),
        ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, 400, "input[0].content[0].type"),
        ({"input": [{"type": "computer_call"}]}, 400, "input[0].type"),
        ({"input": [{"type": "function_call", "name": "f", "call_id": "c"}]}, 400, "input[0].arguments"),
        ({"input": [{"type": "function_call_output", "call_id": "c", "output": "x"}]}, 400, "input"),
        ({"input": [{"type": "item_reference", "id": "msg_x"}]}, 404, "input[0].id"),
        ({"previous_response_id": "resp_none"}, 404, "previous_response_id"),
        ({"tools": [{"type": "web_search"}]}, 400, "tools"),
        ({"tools": [{"type": "function", "name": "a b"}]}, 400, "tools[0].name"),
        ({"tools": [{"type": "function", "name": "f", "parameters": {"type": "nothing"}}]}, 400, "tools[0].parameters"),
        ({"tools": [WEATHER], "tool_choice": {"type": "function", "name": "g"}}, 400, "tool_choice.name"),
        ({"tool_choice": "required"}, 400, "tool_choice"),
        ({"text": {"format": {"type": "json_schema", "name": "n"}}}, 400, "text.format.schema"),
        ({"text": {"format": {"type": "xml"}}}, 400, "text.format.type"),
        ({"temperature": 3}, 400, "temperature"),
        ({"max_output_tokens": 0}, 400, "max_output_tokens"),
        ({"include": ["everything"]}, 400, "include[0]"),
        ({"background": True}, 400, "background"),
        ({"metadata": {"k" * 65: "v"}}, 400, "metadata"),
        ({"tools": [{"type": "function", "name": "f", "strict": True, "parameters": {
            "type": "object", "properties": {"a": {"type": "array", "uniqueItems": True}}}}]},
         400, "tools[0].parameters"),
    ],
    ids=lambda value: str(value)[:50],
)  # fmt: skip
def test_what_is_wrong_is_refused_by_its_own_field(
    server_url: str, fields: dict[str, Any], status: int, param: str | None
) -> None:
    response = post(server_url, **fields)
    error = response.json()["error"]
    assert (response.status_code, error["param"]) == (status, param), error
    assert ".function." not in error["message"]


def test_responses_in_a_file_outlive_the_server(tmp_path: Path) -> None:
    flags = ("--store", str(tmp_path / "store.sqlite"), "--store-limit", "2")
    with running_server(*flags) as server:
        ids = [post(server.url).json()["id"] for _ in range(3)]
    with running_server(*flags) as server:
        found = [httpx.get(f"{server.url}/v1/responses/{one}").status_code for one in ids]
        assert found == [404, 200, 200]
        assert post(server.url, previous_response_id=ids[2]).status_code == 200
