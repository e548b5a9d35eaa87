"""The OpenAI Agents SDK with tools that the server runs: hosted MCP over responses, and runs over chat completions."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

agents = pytest.importorskip("agents", reason="pip install -e '.[clients]' brings openai-agents")

import openai  # noqa: E402 - after what is skipped without

from tests.conftest import ROOT, running_server  # noqa: E402

MODEL = "trammel-tiny"
TOOLS = str(ROOT / "tests" / "server" / "agent_tools.py")


@pytest.fixture(scope="module")
def tally(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("agents") / "tally"
    path.touch()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AGENT_TALLY", str(path))
        yield path


@pytest.fixture(scope="module")
def url(tally: Path) -> Iterator[str]:
    agents.set_tracing_disabled(True)
    with running_server("--tools", TOOLS) as server:
        yield server.url


@agents.function_tool
def look(at: str) -> str:
    """Look at something."""
    return f"{at} is blue"


def hosted(*names: str, approve: bool = True) -> Any:
    config = {"type": "mcp", "server_label": "trammel", "allowed_tools": list(names), "require_approval": "never"}
    return agents.HostedMCPTool(tool_config=config, on_approval_request=lambda _: {"approve": approve})


def agent(url: str, *tools: Any, choice: str = "required", chat: bool = False, **settings: Any) -> Any:
    client = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)
    kind = agents.OpenAIChatCompletionsModel if chat else agents.OpenAIResponsesModel
    told = agents.ModelSettings(tool_choice=choice, max_tokens=40, temperature=0, **settings)
    return agents.Agent(name="a", tools=list(tools), model=kind(MODEL, openai_client=client), model_settings=told)


def calls(result: Any) -> list[Any]:
    return [item.raw_item for item in result.new_items if getattr(item.raw_item, "type", None) == "mcp_call"]


STEPS = {"extra_body": {"trammel": {"max_steps": 2}}}


async def test_the_server_runs_its_tool_and_the_sdk_sees_call_and_answer(url: str) -> None:
    result = await agents.Runner.run(agent(url, hosted("get_weather"), **STEPS), "What is the weather in Paris?")
    assert calls(result)[0].name == "get_weather"
    assert "clear" in calls(result)[0].output


@pytest.mark.parametrize("approve", [True, False])
async def test_the_sdks_approval_decides(url: str, tally: Path, approve: bool) -> None:
    before = tally.read_text().count("delete_note")
    tool = hosted("delete_note", approve=approve)
    await agents.Runner.run(agent(url, tool, **STEPS), "Delete Paris", max_turns=3)
    assert tally.read_text().count("delete_note") == before + approve


async def test_a_stream_has_the_arguments_token_by_token(url: str) -> None:
    result = agents.Runner.run_streamed(agent(url, hosted("get_weather"), **STEPS), "What is the weather in Paris?")
    kinds = [event.data.type async for event in result.stream_events() if event.type == "raw_response_event"]
    assert kinds.count("response.mcp_call_arguments.delta") > 3
    assert "response.mcp_call.completed" in kinds
    assert calls(result)[0].name == "get_weather"


async def test_the_sdks_own_tools_and_the_servers_mix(url: str) -> None:
    both = agent(url, hosted("get_weather"), look, choice="look")
    result = await agents.Runner.run(both, "Look at the sky", max_turns=4)
    assert any(item.type == "tool_call_output_item" and "is blue" in item.output for item in result.new_items)


async def test_a_chat_completion_of_the_sdk_may_be_a_run(url: str, tally: Path) -> None:
    before = tally.read_text().count("get_weather")
    run = {"extra_body": {"trammel": {"run_tools": True, "tools": ["get_weather"], "max_steps": 2}}}
    await agents.Runner.run(agent(url, chat=True, **run), "What is the weather in Paris?")
    assert tally.read_text().count("get_weather") > before
