"""instructor: a named `tool_choice`, strict tools and a JSON schema."""

from typing import Any

import pytest

instructor: Any = pytest.importorskip("instructor", reason="pip install -e '.[clients]' brings instructor")

import openai  # noqa: E402
from pydantic import BaseModel, Field  # noqa: E402


class Trip(BaseModel):
    city: str = Field(max_length=12)
    days: int = Field(ge=1, le=9)


@pytest.mark.parametrize("mode", ["TOOLS", "TOOLS_STRICT", "JSON_SCHEMA"])
def test_a_model_is_filled_at_the_first_attempt(server_url: str, mode: str) -> None:
    with openai.OpenAI(base_url=f"{server_url}/v1", api_key="none", max_retries=0) as client:
        patched = instructor.from_openai(client, mode=getattr(instructor.Mode, mode))
        trip = patched.chat.completions.create(
            model="trammel-tiny", response_model=Trip, max_retries=0, max_tokens=200, temperature=0,
            messages=[{"role": "user", "content": "Three days in Paris."}],
        )  # fmt: skip
    assert isinstance(trip, Trip)
