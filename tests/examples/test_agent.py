"""The examples of the loop run as they are written, through each door and with the SDK, on the model that ships."""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.conftest import ROOT, running_server


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running_server("--tools", str(ROOT / "examples" / "agent_tools.py")) as server:
        yield f"{server.url}/v1"


def output_of(example: str, url: str) -> str:
    environment = os.environ | {"TRAMMEL_URL": url}
    command = [sys.executable, str(ROOT / "examples" / example)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_question_is_answered_with_calls_through_every_door(url: str) -> None:
    chat, _, rest = output_of("agent.py", url).partition("response:")
    response, _, run = rest.partition("a run whose call a person must approve:")
    assert 'get_weather({"city":"Paris"})' in chat
    assert "from {'/city': 'user'}" in chat
    assert 'get_weather({"city":"Paris"}) gave' in response
    assert "asked for delete_note" in run
    assert run.index("asked for") < run.index('"data": "deleted"')
    for told in (chat, response, run):
        assert "completed:" in told or "incomplete" in told


@pytest.mark.skipif(not importlib.util.find_spec("agents"), reason="pip install -e '.[clients]' brings openai-agents")
def test_the_agents_sdk_does_the_same(url: str) -> None:
    told = output_of("agent_sdk.py", url)
    assert 'the server ran get_weather({"city":"Paris"})' in told
    assert "approved: delete_note" in told
    assert "we ran our own tool: It is dark." in told
    assert told.count("answer: ") == 4
