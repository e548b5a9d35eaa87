"""pydantic-ai, over responses and over chat completions: `required` for structured output, tools, streams."""

from typing import Any

import pytest

pytest.importorskip("pydantic_ai", reason="pip install -e '.[clients]' brings pydantic-ai-slim")

from pydantic import BaseModel, Field
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider


class Trip(BaseModel):
    city: str = Field(max_length=12)
    days: int = Field(ge=1, le=9)


@pytest.fixture(params=[OpenAIChatModel, OpenAIResponsesModel], ids=["chat", "responses"])
def model(request: pytest.FixtureRequest, server_url: str) -> Any:
    return request.param("trammel-tiny", provider=OpenAIProvider(base_url=f"{server_url}/v1", api_key="none"))


async def test_structured_output_comes_at_the_first_attempt(model: Any) -> None:
    result = await Agent(model, output_type=Trip, retries=0).run("Three days in Paris.")
    assert isinstance(result.output, Trip)


async def test_structured_output_streams(model: Any) -> None:
    async with Agent(model, output_type=Trip, retries=0).run_stream("Three days in Paris.") as result:
        assert isinstance(await result.get_output(), Trip)


async def test_tools_are_called_and_answered(model: Any) -> None:
    agent: Any = Agent(model, model_settings={"max_tokens": 200, "temperature": 0})
    asked: list[str] = []

    @agent.tool_plain
    def get_weather(city: str) -> str:
        """Get the weather for a city."""
        asked.append(city)
        return "sunny"

    result = await agent.run("What is the weather in Paris?")
    assert asked
    assert result.output
