"""A run told as a response's items: open beside each other, in order, and only what is the client's to have."""

import asyncio
from typing import Any

from server.agent.caps import Caps
from server.agent.run import Run
from server.agent.runs import Runs
from server.agent.speaker import with_whole_turns
from server.api.response_events import ResponseEvents
from server.api.response_steps import StepTeller
from server.chat.messages import Tool
from tests.contract.document import whole_document
from tests.server.agent.script import defined, runs_of, started

NUMBER = {"number": {"type": "integer"}}


async def told(runs: Runs, run: Run, after: int = -1) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The events, and the output they add up to."""
    progress = ResponseEvents({"output": []}, None)
    teller = StepTeller(progress, run, runs.loop)
    events = []
    async for step in with_whole_turns(runs.watch(run, after, to_rest=True)):
        events += list(teller.tell(step))
    events += list(teller.end())
    document = whole_document()
    for event in events:
        assert document is None or document.fault("ResponseStreamEvent", event) is None, event
    return events, progress.response["output"]


def kinds(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"].removeprefix("response.") for event in events]


async def test_calls_of_one_turn_are_open_beside_each_other_and_kept_in_their_order() -> None:
    second_first = asyncio.Event()

    async def get(arguments: dict[str, Any]) -> str:
        if arguments["number"] == 2:
            second_first.set()
        else:
            await second_first.wait()
        return "ok"

    runs, _ = runs_of([[("get", {"number": 1}), ("get", {"number": 2})], "done"], defined("get", get, NUMBER))
    run = await runs.start(started(runs))
    events, output = await told(runs, run)
    assert kinds(events)[:5] == [
        "output_item.added", "mcp_call.in_progress", "mcp_call_arguments.delta", "mcp_call_arguments.delta",
        "mcp_call_arguments.done",
    ]  # fmt: skip
    done = [event["output_index"] for event in events if event["type"] == "response.output_item.done"]
    assert done[:2] == [1, 0]
    assert [item.get("arguments") for item in output[:2]] == ['{"number": 1}', '{"number": 2}']
    for item in output[:2]:
        mine = [event for event in events if event.get("item_id") == item["id"]]
        assert "".join(event.get("delta", "") for event in mine) == item["arguments"]


async def test_a_call_that_waits_for_a_person_is_a_request_and_nothing_else() -> None:
    runs, _ = runs_of([("rm", {})], defined("rm", effect="destructive"))
    run = await runs.start(started(runs))
    events, output = await told(runs, run)
    assert kinds(events) == ["output_item.added", "output_item.done"]
    assert [item["type"] for item in output] == ["mcp_approval_request"]
    approval = run.state.approvals[0].approval
    assert approval
    after = run.state.length - 1
    await runs.decide(run, approval.id, approved=True)
    events, output = await told(runs, run, after)
    assert output[0]["approval_request_id"].endswith(approval.id.removeprefix("apr_"))
    assert kinds(events)[:6] == [
        "output_item.added", "mcp_call.in_progress", "mcp_call_arguments.delta", "mcp_call_arguments.done",
        "mcp_call.completed", "output_item.done",
    ]  # fmt: skip


async def test_a_clients_call_is_told_as_it_is_written_and_not_kept_if_it_has_a_fault() -> None:
    look = Tool("look", {"type": "object", "properties": NUMBER})
    runs, _ = runs_of([("look", {"number": "x"}), ("look", {"number": 1})], defined("get"))
    run = await runs.start(started(runs, client_tools=(look,)))
    events, output = await told(runs, run)
    assert kinds(events)[:2] == ["output_item.added", "function_call_arguments.delta"]
    dropped = next(event for event in events if event["type"] == "response.output_item.done")
    assert (dropped["item"]["type"], dropped["item"]["status"]) == ("function_call", "incomplete")
    assert [(item["type"], item["status"]) for item in output] == [
        ("mcp_call", "failed"),
        ("function_call", "completed"),
    ]
    assert output[1]["call_id"] == run.state.handed_over[0].id


async def test_a_call_under_way_when_the_run_is_cancelled_is_closed_and_left_out() -> None:
    runs, _ = runs_of([("get", {})], defined("get", lambda _: asyncio.sleep(60)))
    run = await runs.start(started(runs, caps=Caps()))
    telling = asyncio.create_task(told(runs, run))
    while not run.state.runnable or run.state.runnable[0].begun is None:
        await asyncio.sleep(0.01)
    await runs.cancel(run)
    events, output = await telling
    assert events[-1]["item"]["status"] == "incomplete"
    assert output == []
