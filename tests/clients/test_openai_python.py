"""openai-python's helpers over chat completions: `.parse`, `.stream`, pydantic tools, and the asynchronous client."""

from collections.abc import Iterator
from typing import Any, Literal

import openai
import pytest
from pydantic import BaseModel, Field

ASKED: Any = {
    "model": "trammel-tiny",
    "messages": [{"role": "user", "content": "What is the weather in Paris?"}],
    "max_tokens": 120,
    "temperature": 0,
}


class Place(BaseModel):
    """A place and its sky."""

    city: str = Field(max_length=12)
    days: int = Field(ge=1, le=9)
    sky: Literal["clear", "grey"]


TOOLS: Any = [openai.pydantic_function_tool(Place, name="note_place")]


@pytest.fixture
def client(server_url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server_url}/v1", api_key="none", max_retries=0) as client:
        yield client


def test_parse_gives_a_pydantic_model(client: openai.OpenAI) -> None:
    answer = client.chat.completions.parse(**ASKED, response_format=Place)
    assert isinstance(answer.choices[0].message.parsed, Place)


def test_parse_gives_the_arguments_of_a_pydantic_tool(client: openai.OpenAI) -> None:
    answer = client.chat.completions.parse(**ASKED, tools=TOOLS, tool_choice="required")
    calls = answer.choices[0].message.tool_calls
    assert calls
    assert all(isinstance(call.function.parsed_arguments, Place) for call in calls)


def test_the_stream_helper_tells_of_calls_as_they_come(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(**ASKED, tools=TOOLS, tool_choice="required") as stream:
        kinds = {event.type for event in stream}
        calls = stream.get_final_completion().choices[0].message.tool_calls
    assert {"chunk", "tool_calls.function.arguments.delta", "tool_calls.function.arguments.done"} <= kinds
    assert calls
    assert isinstance(calls[0].function.parsed_arguments, Place)


def test_the_stream_helper_parses_a_text_that_has_a_format(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(**ASKED, response_format=Place) as stream:
        heard = "".join(event.delta for event in stream if event.type == "content.delta")
        message = stream.get_final_completion().choices[0].message
    assert message.content == heard
    assert isinstance(message.parsed, Place)


async def test_the_asynchronous_client_parses_and_streams(server_url: str) -> None:
    async with openai.AsyncOpenAI(base_url=f"{server_url}/v1", api_key="none", max_retries=0) as client:
        answer = await client.chat.completions.parse(**ASKED, response_format=Place)
        assert isinstance(answer.choices[0].message.parsed, Place)
        chunks = [chunk async for chunk in await client.chat.completions.create(**ASKED, stream=True)]
        assert chunks[-1].choices[0].finish_reason in ("stop", "length", "tool_calls")
        with pytest.raises(openai.NotFoundError):
            await client.chat.completions.create(**{**ASKED, "model": "gpt-4o"})
