"""A GGUF base of a few thousand weights, and conversations that fit its 512 tokens."""

import json
from pathlib import Path
from typing import Any

import pytest

from training.export.card import ModelCard
from training.export.gguf_file import write_gguf
from training.pretrain.dataset import TEMPLATE_PATH
from training.pretrain.model import build_model
from training.pretrain.settings import ModelSettings
from training.tokenizer import END, PAD, token_id, train_tokenizer

SIZE = 320

TOOL: dict[str, Any] = {
    "type": "function",
    "function": {"name": "go", "parameters": {"type": "object", "properties": {"to": {"type": "string"}}}},
}
PLACES = ("Rome", "Oslo", "Bern", "Lima", "Kyiv", "Bonn", "Nice", "Cork", "Graz", "Gent", "Pisa", "Turin")


def calling(place: str) -> dict[str, Any]:
    call = {"id": "c1", "type": "function", "function": {"name": "go", "arguments": json.dumps({"to": place})}}
    return {
        "messages": [
            {"role": "user", "content": f"To {place}!"},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "content": "ok", "tool_call_id": "c1"},
            {"role": "assistant", "content": f"You are in {place}."},
        ],
        "tools": [TOOL],
    }


def talking(place: str) -> dict[str, Any]:
    return {
        "messages": [
            {"role": "user", "content": f"Do you like {place}?"},
            {"role": "assistant", "content": "Yes, it is nice."},
        ]
    }


def write_lines(path: Path, lines: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights as GGUF."""
    folder = tmp_path_factory.mktemp("base")
    tokenizer = train_tokenizer([json.dumps(make(place)) for place in PLACES for make in (calling, talking)], SIZE)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = ModelSettings(vocabulary=SIZE, hidden=64, layers=2, heads=4, kv_heads=2, feed_forward=64, context=512)
    build_model(settings, end=token_id(tokenizer, END), pad=token_id(tokenizer, PAD), seed=1).save_pretrained(folder)
    template = TEMPLATE_PATH.read_text(encoding="utf-8")
    write_gguf(folder, folder / "tokenizer.json", template, folder / "base.gguf", ModelCard("base"), "q8_0")
    return folder / "base.gguf"


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bases")


@pytest.fixture(scope="session")
def lines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lines")
    return write_lines(folder / "train.jsonl", [make(place) for place in PLACES for make in (calling, talking)])
