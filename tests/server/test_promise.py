"""The product's promise: a tool call cannot be malformed, whatever the schema and however hot the sampling."""

import json
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from tests.grammars.schemas import OBJECT_SCHEMAS


@pytest.mark.timeout(400)
@seed(20_261_120)
@settings(
    max_examples=200, deadline=None, phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)  # fmt: skip
@given(parameters=OBJECT_SCHEMAS, number=st.integers(0, 2**31))
def test_calls_over_random_schemas_at_temperature_one_and_a_half_all_validate(
    server_url: str, parameters: dict[str, Any], number: int
) -> None:
    body = {
        "model": "trammel-tiny",
        "messages": [{"role": "user", "content": "Do it."}],
        "tools": [{"type": "function", "function": {"name": "act", "parameters": parameters, "strict": True}}],
        "tool_choice": "required",
        "parallel_tool_calls": False,
        "temperature": 1.5,
        "seed": number,
    }
    response = httpx.post(f"{server_url}/v1/chat/completions", json=body, timeout=60)
    assert response.status_code == 200, response.text
    choice = response.json()["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    (call,) = choice["message"]["tool_calls"]
    assert call["function"]["name"] == "act"
    Draft202012Validator(parameters).validate(json.loads(call["function"]["arguments"]))
