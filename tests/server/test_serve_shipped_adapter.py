"""The adapter that ships is served beside the default model and calls the tools it was trained on."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.conftest import ServerProcess, running_server
from training.tools import load_tools

ROOT = Path(__file__).parents[2]
ADAPTER = ROOT / "models" / "adapters" / "library.gguf"
TOOLS = [tool.as_json() for tool in load_tools(str(ROOT / "examples" / "library_tools.py"))]
WISHES = {
    "When does Harbour open on Friday?": "opening_hours",
    "Until when is Central open on Monday?": "opening_hours",
    "Is the Mill Lane branch open on Saturday?": "opening_hours",
    "Please reserve Moby Dick at Northside": "reserve_book",
    "Renew my loans, card AB12C": "renew_loan",
}


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    with running_server("--adapter", f"library={ADAPTER}") as process:
        yield process


def test_it_is_listed_beside_its_base(server: ServerProcess) -> None:
    listed = [model["id"] for model in httpx.get(f"{server.url}/v1/models").json()["data"]]
    assert listed == ["trammel-tiny", "library"]


def test_it_chooses_the_tools_it_was_trained_on(server: ServerProcess) -> None:
    """Most of the time: no single call is promised of a model this small."""
    right = 0
    for text, name in WISHES.items():
        body = {"model": "library", "messages": [{"role": "user", "content": text}], "tools": TOOLS, "temperature": 0}
        answer = httpx.post(f"{server.url}/v1/chat/completions", json={**body, "max_tokens": 100}, timeout=60).json()
        calls = answer["choices"][0]["message"].get("tool_calls") or []
        right += [call["function"]["name"] for call in calls] == [name]
    assert right >= 3


def test_it_stays_small() -> None:
    assert ADAPTER.stat().st_size < 3_000_000
