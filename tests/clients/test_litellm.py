"""LiteLLM: whole, streamed, and calls."""

from typing import Any

import pytest

litellm: Any = pytest.importorskip("litellm", reason="pip install -e '.[clients]' brings litellm")

WEATHER = {
    "type": "function",
    "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}


def complete(url: str, **fields: Any) -> Any:
    return litellm.completion(
        model="openai/trammel-tiny", api_base=f"{url}/v1", api_key="none", temperature=0, max_tokens=60,
        messages=[{"role": "user", "content": "What is the weather in Paris?"}], **fields,
    )  # fmt: skip


def test_a_stream_adds_up_to_the_whole(server_url: str) -> None:
    whole = complete(server_url).choices[0].message.content
    assert whole
    assert "".join(chunk.choices[0].delta.content or "" for chunk in complete(server_url, stream=True)) == whole


def test_a_required_tool_is_called(server_url: str) -> None:
    answer = complete(server_url, tools=[WEATHER], tool_choice="required")
    assert answer.choices[0].finish_reason == "tool_calls"
    assert answer.choices[0].message.tool_calls[0].function.name == "get_weather"
