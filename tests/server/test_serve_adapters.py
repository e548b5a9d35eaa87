"""Adapters over HTTP: from flags and from a watched folder, chosen by `model`."""

import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import running_server
from tests.lora import write_lora
from tests.server.engine.conftest import MODEL
from tests.server.test_cli import trammel

QUESTION = {"messages": [{"role": "user", "content": "hello"}], "temperature": 0, "max_tokens": 12}


def ask(url: str, model: str, **fields: Any) -> httpx.Response:
    return httpx.post(f"{url}/v1/chat/completions", json={**QUESTION, "model": model, **fields}, timeout=60)


def models(url: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = httpx.get(f"{url}/v1/models").json()["data"]
    return found


def test_adapters_are_listed_served_and_watched(tmp_path: Path) -> None:
    one = write_lora(tmp_path / "one.gguf", MODEL, 1)
    folder = tmp_path / "folder"
    folder.mkdir()
    with running_server("--adapter", f"one={one}", "--adapter", f"same={one}:0", "--adapters", str(folder)) as server:
        assert [(m["id"], m["parent"]) for m in models(server.url)] == [
            ("trammel-tiny", None), ("one", "trammel-tiny"), ("same", "trammel-tiny")
        ]  # fmt: skip
        answers = {name: ask(server.url, name).json() for name in ("trammel-tiny", "one", "same")}
        texts = {name: answer["choices"][0]["message"]["content"] for name, answer in answers.items()}
        assert answers["one"]["model"] == "one"
        assert texts["same"] == texts["trammel-tiny"] != texts["one"]

        for chosen, text in (
            ({"id": 0, "scale": 1}, "one"),
            ({"id": "one", "scale": 1.0}, "one"),
            ({"id": 1, "scale": 0}, "trammel-tiny"),
        ):
            said = ask(server.url, "trammel-tiny", lora=[chosen]).json()["choices"][0]["message"]["content"]
            assert said == texts[text]
        assert ask(server.url, "one", lora=[{"id": 0, "scale": 1}]).status_code == 200
        for model, lora, status, param in (
            ("trammel-tiny", [{"id": 7, "scale": 1}], 404, "lora[0].id"),
            ("trammel-tiny", [{"id": 0, "scale": 0.5}], 400, "lora[0].scale"),
            ("trammel-tiny", [{"id": 0, "scale": 1}, {"id": 1, "scale": 1}], 400, "lora"),
            ("one", [], 400, "lora"),
            ("trammel-tiny", [{"id": 0}], 400, "lora[0].scale"),
        ):
            refused = ask(server.url, model, lora=lora)
            assert (refused.status_code, refused.json()["error"]["param"]) == (status, param), refused.text

        missing = ask(server.url, "two")
        assert missing.status_code == 404
        assert missing.json()["error"]["code"] == "model_not_found"
        assert "`one`" in missing.json()["error"]["message"]

        write_lora(folder / "two.gguf", MODEL, 2)
        end = time.monotonic() + 20
        while "two" not in [m["id"] for m in models(server.url)]:
            assert time.monotonic() < end, "the folder's adapter never appeared"
            time.sleep(0.1)
        assert ask(server.url, "two").status_code == 200
        assert httpx.get(f"{server.url}/v1/models/two").json()["parent"] == "trammel-tiny"


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--adapter", "nameless"), "NAME=PATH"),
        (("--adapter", "a=/nowhere.gguf"), "does not exist"),
        (("--adapter", f"a={MODEL}"), "not a LoRA"),
        (("--adapters", "/nowhere"), "no folder"),
    ],
)
def test_adapters_that_cannot_be_served_are_said_at_once(flags: tuple[str, ...], words: str) -> None:
    result = trammel("serve", "--port", "0", *flags)
    assert result.exit_code != 0
    assert words in result.stderr
