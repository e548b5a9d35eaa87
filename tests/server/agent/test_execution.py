"""What a tool gives back is kept as JSON that can be stored and read again, whatever it is."""

import json
from typing import Any

import pytest

from server.agent.events import read_event
from server.agent.state import RunState
from tests.server.agent.script import defined, played, results, runs_of


def nested(levels: int) -> Any:
    data: Any = {"end": 1}
    for _ in range(levels):
        data = [data]
    return data


@pytest.mark.parametrize("levels", [100, 254, 600, 100_000])
async def test_a_run_goes_on_after_a_result_that_is_nested_deeply(levels: int) -> None:
    runs, _ = runs_of([("dig", {})], defined("dig", nested(levels), {}))
    run = await played(runs, "Dig")
    assert run.state.ended is not None
    assert run.state.ended.status == "completed"
    assert isinstance(results(run)[0]["data"], str)
    events = [read_event(body) for _, _, body in runs.store.events(run.id)]
    assert RunState.of(events, runs.loop.tools).messages == run.state.messages


async def test_a_result_of_some_levels_stays_data() -> None:
    runs, _ = runs_of([("dig", {})], defined("dig", nested(20), {}))
    assert results(await played(runs, "Dig"))[0]["data"] == nested(20)


async def test_numbers_that_json_lacks_are_told_in_words() -> None:
    runs, _ = runs_of([("measure", {})], defined("measure", {"ratio": float("nan"), "most": float("inf")}, {}))
    run = await played(runs, "Measure")
    text = next(call.text for call in run.state.calls.values())
    assert json.loads(text or "", parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))["data"] == {
        "ratio": "NaN",
        "most": "Infinity",
    }
