"""The OpenAI Agents SDK, over responses (its default) and over chat completions."""

from typing import Any

import pytest

agents = pytest.importorskip("agents", reason="pip install -e '.[clients]' brings openai-agents")

import openai  # noqa: E402 - after what is skipped without

MODEL = "trammel-tiny"


@agents.function_tool
def get_weather(city: str) -> str:
    """Get the weather for a city."""
    return f"sunny in {city}"


@pytest.fixture(params=["responses", "chat_completions"])
def agent(request: pytest.FixtureRequest, server_url: str) -> Any:
    agents.set_tracing_disabled(True)
    client = openai.AsyncOpenAI(base_url=f"{server_url}/v1", api_key="none", max_retries=0)
    kinds = {"responses": agents.OpenAIResponsesModel, "chat_completions": agents.OpenAIChatCompletionsModel}
    model = kinds[request.param](model=MODEL, openai_client=client)
    settings = agents.ModelSettings(tool_choice="required", max_tokens=120, temperature=0)
    return agents.Agent(
        name="weather", instructions="Be brief.", tools=[get_weather], model=model, model_settings=settings
    )


async def test_a_tool_is_called_and_its_result_answered(agent: Any) -> None:
    result = await agents.Runner.run(agent, "What is the weather in Paris?", max_turns=4)
    kinds = [item.type for item in result.new_items]
    assert kinds[:2] == ["tool_call_item", "tool_call_output_item"]
    assert result.final_output


async def test_the_same_streamed(agent: Any) -> None:
    result = agents.Runner.run_streamed(agent, "What is the weather in Paris?", max_turns=4)
    kinds = {event.type async for event in result.stream_events()}
    assert {"raw_response_event", "run_item_stream_event"} <= kinds
    assert result.final_output
