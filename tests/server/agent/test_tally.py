"""What runs did is counted."""

import asyncio
from typing import Any

from server.api.run_metrics import run_metrics_text
from tests.server.agent.script import defined, played, runs_of


async def test_calls_faults_repeats_and_approvals_are_counted() -> None:
    number = {"number": {"type": "integer"}}
    get, remove = defined("get", "ok", number), defined("rm", effect="destructive")
    turns = [("get", {"number": 1}), ("get", {"number": "x"}), ("get", {"number": 1}), ("nope", {}), ("rm", {})]
    runs, _ = runs_of(turns, get, remove)
    run = await played(runs)
    assert runs.waiting_approvals == 1
    approval = run.state.approvals[0].approval
    assert approval
    await runs.decide(run, approval.id, approved=False)
    await run.until_rest()
    tally = runs.tally
    assert dict(tally.calls) == {("get", get.version, "ok"): 1}
    assert dict(tally.faults) == {("get", get.version, "schema"): 1, ("", "", "schema"): 1}
    assert dict(tally.repeats) == {"get": 1}
    assert dict(tally.approvals) == {"asked": 1, "denied": 1}
    assert dict(tally.runs) == {("completed", ""): 1}
    assert (runs.waiting_approvals, dict(tally.retries)) == (0, {"fault": 2, "crash": 0})


async def test_every_counter_of_the_list_is_on_the_page() -> None:
    async def check(_: dict[str, Any]) -> str | None:
        return "no"

    tools = [
        defined("get", "ok", {"number": {"type": "integer"}}),
        defined("checked", check=check),
        defined("slow", lambda _: asyncio.sleep(60), timeout=0.01),
        defined("broken", lambda _: 1 / 0),
        defined("rm", effect="destructive"),
    ]
    turns = [("get", "{"), ("get", {"number": "x"}), ("checked", {}), ("get", {"number": 1}), ("get", {"number": 1}),
             ("slow", {}), ("broken", {}), ("rm", {})]  # fmt: skip
    runs, _ = runs_of(turns, *tools)
    run = await played(runs)
    page = run_metrics_text(runs).decode()
    versions = {tool.name: tool.version for tool in tools}
    for tool, kind in (("get", "syntax"), ("get", "schema"), ("checked", "check"), ("slow", "timeout"),
                       ("broken", "execution")):  # fmt: skip
        labels = f'{{kind="{kind}",tool="{tool}",version="{versions[tool]}"}}'
        assert f"trammel_tool_faults_total{labels} 1.0" in page
    for tool, outcome in (("get", "ok"), ("slow", "failed"), ("broken", "failed")):
        labels = f'{{outcome="{outcome}",tool="{tool}",version="{versions[tool]}"}}'
        assert f"trammel_tool_calls_total{labels} 1.0" in page
    assert 'trammel_tool_repeats_total{tool="get"} 1.0' in page
    assert 'trammel_tool_retries_total{reason="fault"} 5.0' in page
    assert 'trammel_approvals_total{decision="asked"} 1.0' in page
    assert "trammel_approvals_waiting 1.0" in page
    await runs.decide(run, run.state.approvals[0].approval.id, approved=False)  # type: ignore[union-attr]
    await run.until_rest()
    page = run_metrics_text(runs).decode()
    assert f'kind="denied",tool="rm",version="{versions["rm"]}"' not in page, "a person's no is no fault of the call"
    assert 'trammel_approvals_total{decision="denied"} 1.0' in page
    assert "trammel_approvals_waiting 0.0" in page
    assert 'trammel_runs_total{cap="",status="completed"} 1.0' in page
