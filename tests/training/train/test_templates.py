"""What is learnt under the templates of other models: the answer, its end, and nothing behind it."""

import re
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from tests.server.chat import llama_templates
from training.base.gguf_checkpoint import checkpoint_of
from training.data.record import Record
from training.train.answers import read_calls
from training.train.rows import Renderer

from .conftest import calling

NAMES = (
    "Qwen-Qwen3-0.6B", "Qwen-QwQ-32B", "deepseek-ai-DeepSeek-R1-Distill-Qwen-32B", "Qwen3-Coder", "MiniMax-M2",
    "NousResearch-Hermes-3-Llama-3.1-8B-tool_use", "microsoft-Phi-3.5-mini-instruct", "moonshotai-Kimi-K2",
    "fireworks-ai-llama-3-firefunction-v2", "meta-llama-Llama-3.1-8B-Instruct",
    "google-gemma-2-2b-it", "mistralai-Mistral-Nemo-Instruct-2407",
)  # fmt: skip
CONTROL = re.compile(r"<[|｜][^<>\s{}']+?[|｜]>|\[/?[A-Z_]+\]|<(?:start|end)_of_turn>|<\]minimax\[>|\[e~\[")


def renderer_for(template: str, base: Path, cache: Path) -> Renderer:
    tokenizer = AutoTokenizer.from_pretrained(checkpoint_of(base, cache))
    tokenizer.add_special_tokens({"additional_special_tokens": sorted(set(CONTROL.findall(template)))})
    tokenizer.chat_template = template
    return Renderer(tokenizer)


@pytest.mark.skipif(not llama_templates.NAMES, reason="run scripts/llama_sources.sh .venv")
@pytest.mark.parametrize("name", NAMES)
def test_the_call_and_the_answer_are_learnt_with_one_end(name: str, base: Path, cache: Path) -> None:
    template = (llama_templates.FOLDER / f"{name}.jinja").read_text(encoding="utf-8")
    renderer = renderer_for(template, base, cache)
    record = Record.model_validate(calling("Rome"))
    rows = renderer.rows(record, 1, 100_000)
    learnt = [text for row in rows for text, is_learnt in renderer.parts(row) if is_learnt]
    assert len(learnt) == 2
    conversation = record.conversation()
    dialect = renderer.conversations.dialect
    (call,) = read_calls(_before_end(learnt[0]), dialect, conversation.tools)
    assert (call.name, call.arguments.replace(" ", "")) == ("go", '{"to":"Rome"}')
    assert _before_end(learnt[1]).endswith("You are in Rome.")
    for text in learnt:
        assert CONTROL.search(text), text
        assert [match.end() for match in CONTROL.finditer(text)][-1] == len(text)


def _before_end(text: str) -> str:
    """Without the last control token."""
    ends: list[Any] = list(CONTROL.finditer(text))
    return text[: ends[-1].start()]
