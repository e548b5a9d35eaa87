"""A draft model over HTTP: from flags, counted in the memory that is said, refused with the reason."""

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.conftest import ServerProcess
from tests.draft_models import write_vocabulary
from tests.server.engine.conftest import MODEL
from tests.server.test_cli import trammel

TOOL = {"type": "function", "function": {"name": "look_up", "parameters": {
    "type": "object", "properties": {"city": {"type": "string", "maxLength": 20}}, "required": ["city"],
}}}  # fmt: skip
QUESTION = {
    "model": "trammel-tiny", "temperature": 0, "tools": [TOOL], "tool_choice": "required", "max_tokens": 60,
    "messages": [{"role": "user", "content": "What is the weather in Paris?"}],
}  # fmt: skip


def test_a_draft_model_is_served_and_its_memory_is_said(start_server: Callable[..., ServerProcess]) -> None:
    server = start_server(
        "--speculate", "draft", "--draft-model", str(MODEL), "--log-level", "info", "--parallel", "2",
        "--context-length", "512", "--draft-tokens", "4",
    )  # fmt: skip
    answers = []
    for speculate in (True, False):
        body = {**QUESTION, "speculate": speculate}
        reply = httpx.post(f"{server.url}/v1/chat/completions", json=body, timeout=60)
        assert reply.status_code == 200, reply.text
        answers.append(reply.json()["choices"][0]["message"]["tool_calls"][0]["function"])
    assert answers[0] == answers[1]
    page = httpx.get(f"{server.url}/metrics").text
    seconds = next(line for line in page.splitlines() if line.startswith("trammel_draft_seconds_total"))
    assert float(seconds.split()[1]) > 0
    log = server.stop()
    assert "1,024 cells x" in log
    assert "trammel-tiny.gguf, its draft model: " in log
    assert "1,280 cells x" in log  # 4 sequences may each be 5 tokens ahead, in whole blocks of 256
    assert log.index("both: ") < log.index("Started server process")


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--draft-model", str(MODEL)), "go together"),
        (("--speculate", "draft"), "go together"),
        (("--speculate", "lookup", "--draft-model", str(MODEL)), "go together"),
        (("--speculate", "draft", "--draft-model", "/nowhere.gguf"), "does not exist"),
    ],
)
def test_settings_that_make_no_sense_are_refused(flags: tuple[str, ...], words: str) -> None:
    result = trammel("serve", "--port", "0", *flags)
    assert (result.exit_code, words in result.stderr) == (2, True)


def test_a_draft_model_with_another_vocabulary_is_refused(tmp_path: Path) -> None:
    other = write_vocabulary(tmp_path / "other.gguf", MODEL, {300: "zzzz"})
    result = trammel("serve", "--port", "0", "--threads", "1", "--speculate", "draft", "--draft-model", str(other))
    assert result.exit_code == 2
    assert "other.gguf can't draft for trammel-tiny.gguf: their vocabularies differ (token 300 is" in result.stderr
