"""Several models on one server: named, loaded when asked for, unloaded, and refused."""

import asyncio
import shutil
from pathlib import Path
from typing import Any

import httpx
import pytest

from server.settings import Settings
from tests.conftest import running_server
from tests.server.engine.conftest import MODEL
from tests.server.test_cli import trammel

QUESTION: dict[str, Any] = {
    "messages": [{"role": "user", "content": "hello"}], "temperature": 0, "max_tokens": 12
}  # fmt: skip


def ask(url: str, model: str, **fields: Any) -> httpx.Response:
    return httpx.post(f"{url}/v1/chat/completions", json={**QUESTION, "model": model, **fields}, timeout=60)


def text(response: httpx.Response) -> str:
    assert response.status_code == 200, response.text
    answer: str = response.json()["choices"][0]["message"]["content"]
    return answer


def resident(process: int) -> int:
    """Bytes of a process's memory."""
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * 4096


def test_further_models_are_listed_and_loaded_when_asked_for(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    shutil.copy(MODEL, folder / "third.gguf")
    (folder / "damaged.gguf").write_bytes(MODEL.read_bytes()[:200_000])
    with running_server("--model", str(MODEL), "--model", f"second={MODEL}", "--models", str(folder)) as server:
        ids = [m["id"] for m in httpx.get(f"{server.url}/v1/models").json()["data"]]
        assert ids == ["trammel-tiny", "second", "damaged", "third"]
        assert httpx.get(f"{server.url}/v1/models/third").json()["root"] == "third.gguf"

        expected = text(ask(server.url, "trammel-tiny"))
        assert text(ask(server.url, "second")) == expected
        answer = ask(server.url, "third")
        assert (text(answer), answer.json()["model"]) == (expected, "third")

        broken = ask(server.url, "damaged")
        assert (broken.status_code, broken.json()["error"]["code"]) == (503, "model_load_failed")
        assert "truncated or damaged" in broken.json()["error"]["message"]

        missing = ask(server.url, "fourth")
        assert missing.status_code == httpx.get(f"{server.url}/v1/models/fourth").status_code == 404
        assert "`second`" in missing.json()["error"]["message"]

        shutil.copy(MODEL, folder / "fourth.gguf")
        assert text(ask(server.url, "fourth")) == expected
        assert text(ask(server.url, "trammel-tiny")) == expected


async def test_models_that_take_turns_in_one_place_lose_no_request() -> None:
    names = ["a", "b", "c"]
    flags = [flag for name in names for flag in ("--model", f"{name}={MODEL}")]
    with running_server("--model", str(MODEL), *flags, "--max-models", "1", "--parallel", "2") as server:
        async with httpx.AsyncClient(timeout=120) as client:

            async def one(model: str) -> str:
                body = {**QUESTION, "model": model}
                return text(await client.post(f"{server.url}/v1/chat/completions", json=body))

            answers = await asyncio.gather(*(one(model) for model in ["trammel-tiny", *names] * 3))
        assert len(set(answers)) == 1


def test_a_stream_ends_before_its_model_leaves() -> None:
    flags = ("--model", str(MODEL), "--model", f"a={MODEL}", "--model", f"b={MODEL}")
    body = {**QUESTION, "model": "a", "stream": True, "max_tokens": 600, "logit_bias": {"1": -100}}
    with (
        running_server(*flags, "--max-models", "1") as server,
        httpx.stream("POST", f"{server.url}/v1/chat/completions", json=body, timeout=60) as stream,
    ):
        lines = stream.iter_lines()
        next(lines)
        other = text(ask(server.url, "b"))
        rest = [line for line in lines if line.startswith("data:")]
        assert other
        assert rest[-1] == "data: [DONE]"
        assert '"finish_reason":"length"' in rest[-2]


def test_an_unloaded_model_gives_its_memory_back() -> None:
    flags = [flag for name in "ab" for flag in ("--model", f"{name}={MODEL}")]
    with running_server(
        "--model", str(MODEL), *flags, "--kv-cells", "32768", "--max-models", "1", "--no-mmap"
    ) as server:
        for _ in range(2):
            text(ask(server.url, "a"))
            text(ask(server.url, "b"))
        before = resident(server.process.pid)
        for _ in range(4):
            text(ask(server.url, "a"))
            text(ask(server.url, "b"))
        kv = 32_768 * 2048  # bytes of one model's KV, which a leak would add eight times
        assert resident(server.process.pid) - before < 2 * kv


def test_models_that_cannot_be_told_apart_are_said_at_once() -> None:
    result = trammel("serve", "--model", str(MODEL), "--model", f"trammel-tiny={MODEL}")
    assert result.exit_code == 2
    assert "same name" in result.stderr


@pytest.mark.parametrize("field", ["model", "adapter", "api_key", "cors_origin"])
def test_one_value_or_several_come_from_the_environment_too(monkeypatch: pytest.MonkeyPatch, field: str) -> None:
    monkeypatch.setenv(f"TRAMMEL_{field.upper()}", "a=a.gguf")
    assert getattr(Settings(), field) == ["a=a.gguf"]
    monkeypatch.setenv(f"TRAMMEL_{field.upper()}", '["a=a.gguf", "b=c.gguf"]')
    assert getattr(Settings(), field) == ["a=a.gguf", "b=c.gguf"]
