"""The model files that ship."""

import json
from pathlib import Path

import httpx
import pytest

from server.engine.gguf_header import read_header
from tests.conftest import running_server

FOLDER = Path(__file__).parents[1] / "models"
FILES = sorted(FOLDER.glob("*.gguf"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_model_is_small_and_reads_far(path: Path) -> None:
    header = read_header(path)
    assert path.stat().st_size < 40e6
    assert (header.number("context_length") or 0) >= 4096
    assert header.text("tokenizer.chat_template")
    assert header.text("general.license") == "CC-BY-SA-4.0"


def test_the_smaller_file_calls_too() -> None:
    parameters = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    tool = {"type": "function", "function": {"name": "get_weather", "parameters": parameters}}
    with running_server("--model", f"small={FOLDER / 'trammel-tiny-q4_0.gguf'}") as server:
        body = {"model": "small", "messages": [{"role": "user", "content": "What is the weather in Paris?"}],
                "tools": [tool], "tool_choice": "required", "max_tokens": 60}  # fmt: skip
        message = httpx.post(f"{server.url}/v1/chat/completions", json=body).json()["choices"][0]["message"]
    (call,) = message["tool_calls"]
    assert call["function"]["name"] == "get_weather"
    assert set(json.loads(call["function"]["arguments"])) == {"city"}
