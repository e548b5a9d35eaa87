"""Marks of tool calls that a model's file calls control tokens are part of what the model says."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import gguf
import pytest
from llguidance import LLMatcher

from server.engine.engine import Engine, EngineSettings
from server.engine.model import Model
from server.engine.types import Constraint, GenerationRequest, Sampling

from .conftest import MODEL, read

MARKS = ("<tool_call>", "</tool_call>")
CALL = Constraint(
    'root ::= "<tool_call>" [a-z] "</tool_call>"',
    'start: T0 T1 T2\nT0: "<tool_call>"\nT1: /[a-z]/\nT2: "</tool_call>"',
)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model that ships, with its marks as control tokens."""
    path = tmp_path_factory.mktemp("marks") / "control.gguf"
    shutil.copy(MODEL, path)
    reader = gguf.GGUFReader(path, "r+")
    names, kinds = (reader.fields[f"tokenizer.ggml.{field}"] for field in ("tokens", "token_type"))
    for name, kind in zip(names.data, kinds.data, strict=True):
        if bytes(names.parts[name]).decode(errors="replace") in MARKS:
            kinds.parts[kind][0] = gguf.TokenType.CONTROL
    reader.data.flush()
    del reader
    return path


@pytest.fixture
def model(path: Path) -> Iterator[Model]:
    model = Model(path)
    yield model
    model.close()


def test_control_tokens_are_silent_unless_they_are_to_be_spoken(model: Model) -> None:
    (mark,) = model.vocabulary.tokenize("<tool_call>")
    assert model.vocabulary.pieces[mark] == b""
    assert mark not in model.vocabulary.speakable


def test_spoken_marks_are_text_and_forced_as_the_tokens_they_are(model: Model) -> None:
    vocabulary = model.vocabulary
    vocabulary.speak(MARKS)
    (mark,) = vocabulary.tokenize("<tool_call>")
    assert vocabulary.pieces[mark] == b"<tool_call>"
    assert mark in vocabulary.speakable
    matcher = LLMatcher(vocabulary.mask_tokenizer, CALL.lark, log_level=0)
    assert matcher.compute_ff_tokens() == [mark]


def test_other_control_tokens_stay_silent_beside_spoken_ones(model: Model) -> None:
    vocabulary = model.vocabulary
    vocabulary.speak(MARKS)
    matcher = LLMatcher(vocabulary.mask_tokenizer, 'start: "<tool_call><|user|>" /[a-z]/', log_level=0)
    forced = matcher.compute_ff_tokens()
    assert not set(forced) & set(vocabulary.tokenize("<|user|>"))
    assert b"".join(vocabulary.pieces[token] for token in forced).startswith(b"<tool_call><|user|")


def test_marks_forced_behind_other_text_keep_their_tokens(model: Model) -> None:
    vocabulary = model.vocabulary
    vocabulary.speak(MARKS)
    (mark,) = vocabulary.tokenize("</tool_call>")
    plain = list(vocabulary.tokenize("</tool_call>", parse_special=True))
    assert vocabulary.recut(list(vocabulary.tokenize("}")), plain) == [mark]


def test_tokens_that_end_an_answer_are_never_spoken(model: Model) -> None:
    model.vocabulary.speak(("<|end|>",))
    (end,) = model.vocabulary.tokenize("<|end|>")
    assert model.vocabulary.pieces[end] == b""


@pytest.mark.parametrize("grammar_engine", ["llguidance", "llama.cpp"])
async def test_an_answer_has_its_marks_in_its_text(model: Model, grammar_engine: str) -> None:
    model.vocabulary.speak(MARKS)
    engine = Engine(model, EngineSettings(threads=1, grammar_engine=grammar_engine))  # type: ignore[arg-type]
    engine.start()
    try:
        prompt = model.vocabulary.tokenize("<|user|>hi<|end|><|assistant|>")
        generation = await engine.submit(GenerationRequest(prompt, Sampling(temperature=0), CALL))
        text, finished = await read(generation)
    finally:
        await engine.close()
    assert text.startswith("<tool_call>")
    assert text.endswith("</tool_call>")
    if grammar_engine == "llguidance":  # llama.cpp's sampler does not force the longest token
        assert finished.usage.completion_tokens == 3
