"""`/v1/responses` whose tools the server runs, with OpenAI's client: items, events, approvals, client's functions."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from tests.conftest import running_server
from tests.contract.document import whole_document

from .test_serve_runs import TOOLS

MODEL = "trammel-tiny"
LOOK: Any = {
    "type": "function", "name": "look", "strict": False,
    "parameters": {"type": "object", "properties": {"at": {"enum": ["sky"]}}, "additionalProperties": False},
}  # fmt: skip


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[openai.OpenAI]:
    tally = tmp_path_factory.mktemp("responses") / "tally"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AGENT_TALLY", str(tally))
        tally.write_text("")
        with running_server("--tools", TOOLS) as server:
            yield openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)


def tally() -> str:
    return Path(os.environ["AGENT_TALLY"]).read_text()


def ask(client: openai.OpenAI, *names: str, **fields: Any) -> Any:
    server_tools = {"type": "mcp", "server_label": "trammel", "allowed_tools": list(names)}
    given = {
        "model": MODEL, "input": "What is the weather in Paris?", "tools": [server_tools], "tool_choice": "required",
        "parallel_tool_calls": False, "max_output_tokens": 40, "max_tool_calls": 2, **fields,
    }  # fmt: skip
    given["tools"] = [server_tools, *fields.get("tools", [])]
    return client.responses.create(**given)


def kinds(response: Any) -> list[str]:
    return [item.type for item in response.output]


def judge(name: str, value: Any) -> None:
    """By OpenAI's own document, where it is to be had."""
    document = whole_document()
    assert document is None or document.fault(name, value) is None


def test_a_call_is_listed_made_and_answered(client: openai.OpenAI) -> None:
    response = ask(client, "get_weather")
    listed, call, *_ = response.output
    assert (listed.type, [tool.name for tool in listed.tools]) == ("mcp_list_tools", ["get_weather"])
    assert (call.type, call.name, call.server_label, call.status) == ("mcp_call", "get_weather", "trammel", "completed")
    assert json.loads(call.output)["data"] == "clear"
    assert response.status in ("completed", "incomplete")
    assert response.usage.total_tokens > 0
    assert client.responses.retrieve(response.id).output == response.output
    judge("Response", httpx.get(f"{client.base_url}responses/{response.id}").json())


def test_a_call_that_fails_says_so(client: openai.OpenAI) -> None:
    response = ask(client, "find_user", max_tool_calls=1)
    (call, *_) = [item for item in response.output if item.type == "mcp_call"]
    assert (call.status, call.output) == ("failed", None)
    assert "There is no user" in str(call.error)
    judge("Response", httpx.get(f"{client.base_url}responses/{response.id}").json())


def test_the_next_question_knows_the_calls_and_lists_no_tools_again(client: openai.OpenAI) -> None:
    first = ask(client, "get_weather", max_tool_calls=1)
    second = ask(client, "get_weather", previous_response_id=first.id, input="And in Oslo?")
    assert "mcp_list_tools" not in kinds(second)
    assert "mcp_call" in kinds(second)


def test_a_stream_has_the_events_of_every_item(client: openai.OpenAI) -> None:
    events = list(ask(client, "get_weather", stream=True))
    names = [event.type for event in events]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert names[:2] == ["response.created", "response.in_progress"]
    assert names[-1] in ("response.completed", "response.incomplete")
    begin, end = names.index("response.mcp_call.in_progress"), names.index("response.mcp_call_arguments.done")
    assert names[begin - 1] == "response.output_item.added"
    assert set(names[begin + 1 : end]) == {"response.mcp_call_arguments.delta"}
    assert end - begin > 3, "token by token"
    assert "".join(event.delta for event in events[begin + 1 : end]) == events[end].arguments
    assert names[end + 1 : end + 3] == ["response.mcp_call.completed", "response.output_item.done"]
    assert names.index("response.mcp_list_tools.completed") < begin
    done = [event.item for event in events if event.type == "response.output_item.done"]
    assert done == events[-1].response.output
    for event in events:
        judge("ResponseStreamEvent", event.model_dump(mode="json", exclude_unset=True))


def test_a_request_for_approval_is_answered_by_the_next_response(client: openai.OpenAI) -> None:
    tools: Any = [
        {"type": "mcp", "server_label": "trammel", "allowed_tools": ["delete_note"], "require_approval": "never"}
    ]
    first = ask(client, "delete_note", input="Delete Paris", extra_body={"tools": tools})
    judge("Response", httpx.get(f"{client.base_url}responses/{first.id}").json())
    (request,) = [item for item in first.output if item.type == "mcp_approval_request"]
    assert request.name == "delete_note", "a client can't do without what the operator asks for"
    shown = request.model_dump()["trammel"]
    assert shown["reasons"] == ["it is destructive"]
    assert set(shown["provenance"]) == {"/title"}
    assert "delete_note" not in tally()
    said: Any = [{"type": "mcp_approval_response", "approval_request_id": request.id, "approve": True}]
    second = ask(client, "delete_note", input=said, previous_response_id=first.id)
    (call, *_) = [item for item in second.output if item.type == "mcp_call"]
    assert call.approval_request_id == request.id
    assert call.status == "completed"
    assert tally().count("delete_note") == 1
    with pytest.raises(openai.ConflictError, match="no such approval"):
        ask(client, "delete_note", input=said, previous_response_id=first.id)


def test_a_denied_call_is_not_made(client: openai.OpenAI) -> None:
    before = tally()
    first = ask(client, "add_note", "get_weather", tool_choice="required", **approving("always"))
    (request,) = [item for item in first.output if item.type == "mcp_approval_request"]
    said: Any = [{"type": "mcp_approval_response", "approval_request_id": request.id, "approve": False}]
    second = client.responses.create(model=MODEL, input=said, previous_response_id=first.id)
    asked_again = [item for item in second.output if item.type == "mcp_call" and item.name == request.name]
    denied = [item for item in asked_again if item.arguments == request.arguments]
    assert all("said no to this very call" in str(item.error) and item.output is None for item in denied)
    assert tally() == before


def approving(how: str) -> dict[str, Any]:
    """OpenAI's `require_approval` can ask for more than the operator does."""
    return {"extra_body": {"tools": [{"type": "mcp", "server_label": "trammel", "require_approval": how}]}}


def test_the_clients_function_is_handed_over_and_the_run_goes_on(client: openai.OpenAI) -> None:
    named: Any = {"type": "function", "name": "look"}
    first = ask(client, "get_weather", tools=[LOOK], tool_choice=named)
    (call,) = [item for item in first.output if item.type == "function_call"]
    output: Any = [{"type": "function_call_output", "call_id": call.call_id, "output": "blue"}]
    with pytest.raises(openai.BadRequestError, match=f"No tool output found for function call {call.call_id}"):
        ask(client, "get_weather", input="And?", previous_response_id=first.id)
    second = client.responses.create(model=MODEL, input=output, previous_response_id=first.id)
    assert second.status in ("completed", "incomplete"), "though the tools were not named again"
    assert second.model_dump()["trammel"]["run"] == first.model_dump()["trammel"]["run"]


def test_a_servers_tool_can_be_chosen_by_name_by_label_and_among_allowed_ones(client: openai.OpenAI) -> None:
    names = ("get_weather", "find_user", "add_note")
    label: Any = {"type": "mcp", "server_label": "trammel"}
    by_name = ask(client, *names, tool_choice=label | {"name": "find_user"}, max_tool_calls=1)
    assert by_name.output[1].name == "find_user"
    by_label = ask(client, "find_user", tools=[LOOK], tool_choice=label, max_tool_calls=1)
    assert by_label.output[1].name == "find_user"
    some: Any = {"type": "allowed_tools", "mode": "required", "tools": [label | {"name": "find_user"}]}
    allowed = ask(client, *names, tool_choice=some, max_tool_calls=3, extra_body={"trammel": {"max_steps": 3}})
    called = [item.name for item in allowed.output if item.type == "mcp_call"]
    assert set(called) == {"find_user"}
    judge("Response", httpx.get(f"{client.base_url}responses/{allowed.id}").json())
    with pytest.raises(openai.BadRequestError, match="no tool 'delete_note' to choose"):
        ask(client, *names, tool_choice=label | {"name": "delete_note"})
    with pytest.raises(openai.BadRequestError, match="none of the server's own"):
        client.responses.create(model=MODEL, input="Hi", tools=[LOOK], tool_choice=label)


def test_caps_and_restrictions_of_a_run_go_beside_openais_fields(client: openai.OpenAI) -> None:
    options = {"forbid": ["find_user", "get_weather"], "max_steps": 1}
    response = ask(client, "get_weather", "find_user", "add_note", extra_body={"trammel": options})
    assert [item.name for item in response.output if item.type == "mcp_call"] == ["add_note"]
    assert response.model_dump()["trammel"]["cap"] == "steps"


def test_a_question_is_a_message_and_the_next_one_answers_it(client: openai.OpenAI) -> None:
    asks: Any = {"type": "function", "name": "ask_user"}
    options = {"ask_user": True, "max_steps": 2}
    with pytest.raises(openai.BadRequestError, match="no tool 'ask_user'"):
        ask(client, "get_weather", tool_choice=asks)
    first = ask(client, "get_weather", tool_choice=asks, extra_body={"trammel": options}, max_output_tokens=100)
    run = first.model_dump()["trammel"]
    assert run["status"] == "waiting_for_user"
    assert [item.type for item in first.output] == ["mcp_list_tools", "message"]
    second = ask(client, "get_weather", input="In Paris.", previous_response_id=first.id)
    assert second.model_dump()["trammel"]["run"] == run["run"]
    assert second.model_dump()["trammel"]["status"] != "waiting_for_user"


def test_what_makes_no_sense_is_refused(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="no tool 'nope'"):
        ask(client, "nope")
    url = str(client.base_url)
    elsewhere = {"type": "mcp", "server_label": "other", "server_url": "https://example.com"}
    body = {"model": MODEL, "input": "Hi", "tools": [elsewhere]}
    assert httpx.post(f"{url}responses", json=body).json()["error"]["param"] == "tools[0].server_label"
    twice = [
        {"type": "mcp", "server_label": "trammel", "allowed_tools": [name]} for name in ("get_weather", "add_note")
    ]
    assert httpx.post(f"{url}responses", json=body | {"tools": twice}).json()["error"]["param"] == "tools"
    unknown = {"type": "mcp_approval_response", "approval_request_id": "mcpr_1_2", "approve": True}
    assert httpx.post(f"{url}responses", json={"model": MODEL, "input": [unknown]}).status_code == 404
    bad = unknown | {"approval_request_id": "x"}
    assert httpx.post(f"{url}responses", json={"model": MODEL, "input": [bad]}).status_code == 400


def test_a_tool_that_is_unknown_is_told_by_the_field_that_names_it(client: openai.OpenAI) -> None:
    label: Any = {"type": "mcp", "server_label": "trammel"}
    always = {"require_approval": {"always": {"tool_names": ["nope"]}}}
    for named, field in (({"allowed_tools": ["nope"]}, "allowed_tools"), (always, "require_approval")):
        with pytest.raises(openai.BadRequestError, match="no tool 'nope'") as refused:
            client.responses.create(model=MODEL, input="Hi", tools=[LOOK, label | named])
        assert refused.value.param == f"tools[1].{field}"


def test_tools_that_are_narrowed_down_twice_are_those_of_both(client: openai.OpenAI) -> None:
    response = ask(client, "get_weather", "delete_note", extra_body={"trammel": {"tools": ["get_weather", "add_note"]}})
    listed = next(item for item in response.output if item.type == "mcp_list_tools")
    assert [tool.name for tool in listed.tools] == ["get_weather"]
