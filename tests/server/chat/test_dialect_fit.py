"""In every dialect a required call is whole and valid within its budget, after thoughts too, in both engines."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from server.chat.constraint import AnswerGrammars
from server.chat.messages import Message, Tool, ToolCall
from server.chat.parser import AnswerParser, CallDelta, CallEnd, CallStart
from server.chat.request import ChatRequest, ToolChoice
from server.chat.thinking import ThinksAt
from server.engine.engine import _grammars
from server.engine.grammar_matcher import GrammarCache
from server.engine.guide import Grammars
from server.engine.model import Model
from server.engine.types import TextDelta
from tests.server.engine.conftest import MODEL
from tests.server.engine.test_ending import events_of, least, sequence_of

from .llama_templates import FOLDER, NAMES
from .test_dialect_laws import CASES, conversations
from .test_prompt import vocabulary_of

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "text": {"type": "string"},
        "unit": {"anyOf": [{"type": "string", "enum": ["C", "F"]}, {"type": "null"}]},
        "days": {"type": "integer", "minimum": 1, "maximum": 99},
        "list": {"type": "array", "items": {"type": "boolean"}, "minItems": 1},
        "place": {"type": "object", "properties": {"x": {"type": "number"}}, "required": ["x"]},
    },
    "required": ["text", "list", "place"],
    "additionalProperties": False,
}
TOOLS = (Tool("get_weather", SCHEMA, "The weather."),)


@pytest.fixture(scope="module")
def model() -> Iterator[Model]:
    model = Model(MODEL)
    yield model
    model.close()


@pytest.fixture(scope="module")
def engines(model: Model) -> list[Grammars]:
    return [_grammars(model, "llguidance"), _grammars(model, "llama.cpp")]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("thinks", ["never", "open"])
def test_a_required_call_is_whole_within_its_budget(
    case: str, thinks: ThinksAt, model: Model, engines: list[Grammars]
) -> None:
    dialect = conversations(case).dialect
    if dialect.reasoning is None and thinks == "open":
        return
    request = ChatRequest((Message("user", "q"),), TOOLS, ToolChoice("required"), fits=True)
    constraint = AnswerGrammars(dialect).build(request, thinks).constraint
    assert constraint is not None
    for engine in engines if case.startswith("sample/") else engines[:1]:
        budget = least(model, engine, constraint)
        for extra in (0, 30):
            sequence = sequence_of(model, engine, constraint, budget + extra)
            parser = AnswerParser(dialect, calls="start", schemas={"get_weather": SCHEMA}, thinks=thinks)
            events = list(events_of(model, sequence, seed=extra))
            text = "".join(event.text for event in events if isinstance(event, TextDelta))
            deltas = [*parser.feed(text), *parser.finish()]
            assert len(sequence.output) <= budget + extra
            assert [delta.name for delta in deltas if isinstance(delta, CallStart)][:1] == ["get_weather"], text
            starts, ends = (sum(isinstance(delta, kind) for delta in deltas) for kind in (CallStart, CallEnd))
            assert starts == ends
            for index in range(starts):
                parts = (delta.arguments for delta in deltas if isinstance(delta, CallDelta) and delta.index == index)
                Draft202012Validator(SCHEMA).validate(json.loads("".join(parts)))


def test_every_dialects_masks_can_be_had_for_a_large_vocabulary() -> None:
    """151,936 tokens. Texts that are rules of single characters, not lexemes, are too much for llguidance then."""
    path = FOLDER.parent / "ggml-vocab-qwen2.gguf"
    if not path.exists():
        pytest.skip(f"no {path}: run scripts/llama_sources.sh .venv")
    arguments = {"text": "a ]< <b> text", "unit": None, "days": 3, "list": [True], "place": {"x": 1.5}}
    call = ToolCall("get_weather", json.dumps(arguments), "callid001")
    with vocabulary_of(path) as vocabulary:
        grammars = GrammarCache(vocabulary.mask_tokenizer, vocabulary.size)
        for name in NAMES:
            dialect = conversations(f"llama.cpp/{name}").dialect
            request = ChatRequest((Message("user", "q"),), TOOLS, ToolChoice("required"))
            constraint = AnswerGrammars(dialect).build(request).constraint
            assert constraint is not None
            matcher = grammars.matcher(constraint)
            for token in vocabulary.tokenize(dialect.write((call,), {"get_weather": SCHEMA}), parse_special=False):
                assert token in matcher.allowed().ids
                matcher.accept([token])
