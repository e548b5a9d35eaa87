"""A tool call can't be malformed, whatever form the template gives it: random answers of a real model, form by form."""

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from server.chat.constraint import AnswerGrammars
from server.chat.conversation import Conversations
from server.chat.messages import Message, Tool, ToolCall
from server.chat.parser import AnswerParser, CallDelta, CallEnd, CallStart, ContentDelta, Delta
from server.chat.request import ChatRequest, ToolChoice
from server.chat.thinking import ThinksAt
from server.engine.engine import Engine
from server.engine.model import Model
from server.engine.native_matcher import NativeGrammars
from server.engine.types import Finished, GenerationRequest, Sampling, TextDelta
from tests.server.engine.conftest import MODEL, running_engine

from .templates import SAMPLES

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "enum": ["Oslo", "Rome </p>"]},
        "days": {"type": "integer", "minimum": 1, "maximum": 99},
        "notes": {"type": "array", "items": {"type": "boolean"}, "maxItems": 2},
        "unit": {"anyOf": [{"type": "string", "enum": ["C", "F"]}, {"type": "null"}]},
        "place": {"type": "object", "properties": {"x": {"type": "number"}}, "required": ["x"]},
    },
    "required": ["city", "place"],
    "additionalProperties": False,
}
TOOLS = (Tool("get_weather", SCHEMA, "The weather."), Tool("stop", {"type": "object", "properties": {}}, "Stops."))
SCHEMAS = {tool.name: tool.parameters for tool in TOOLS}
USER = Message("user", "How is the weather in Oslo?")


@pytest.fixture(scope="module")
def model() -> Iterator[Model]:
    model = Model(MODEL)
    yield model
    model.close()


@pytest.fixture
async def engine(model: Model) -> AsyncIterator[Engine]:
    async with running_engine(model) as engine:
        yield engine


async def answer(engine: Engine, name: str, request: ChatRequest) -> tuple[list[Delta], Finished]:
    conversations = Conversations(SAMPLES[name])
    prepared = conversations.prepare(request)
    parser = conversations.parser(prepared)
    assert isinstance(parser, AnswerParser)
    tokens = engine.tokenize(*prepared.prompt.pieces)
    generation = await engine.submit(
        GenerationRequest(tokens, request.sampling, prepared.grammar.constraint, max_tokens=300)
    )
    deltas: list[Delta] = []
    async for event in generation:
        match event:
            case TextDelta(text):
                deltas += parser.feed(text)
            case Finished():
                return [*deltas, *parser.finish()], event
    raise AssertionError("the generation ended without Finished")


def calls_of(deltas: list[Delta]) -> list[tuple[str, Any]]:
    """The calls that are whole."""
    names = [delta.name for delta in deltas if isinstance(delta, CallStart)]
    whole = {delta.index for delta in deltas if isinstance(delta, CallEnd)}
    texts = [""] * len(names)
    for delta in deltas:
        if isinstance(delta, CallDelta):
            texts[delta.index] += delta.arguments
    return [(name, json.loads(texts[index])) for index, name in enumerate(names) if index in whole]


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("seed", range(2))
async def test_required_calls_are_whole_and_valid(engine: Engine, name: str, seed: int) -> None:
    sampling = Sampling(temperature=1.5, seed=seed)
    request = ChatRequest((USER,), TOOLS, ToolChoice("required"), parallel_tool_calls=seed > 0, sampling=sampling)
    deltas, finished = await answer(engine, name, request)
    calls = calls_of(deltas)
    for called, arguments in calls:
        Draft202012Validator(SCHEMAS[called]).validate(arguments)
    assert not [delta for delta in deltas if isinstance(delta, ContentDelta)]
    if finished.reason == "stop":
        assert calls


@pytest.mark.parametrize("name", SAMPLES)
async def test_free_answers_have_valid_calls_or_none(engine: Engine, name: str) -> None:
    request = ChatRequest((USER,), TOOLS, sampling=Sampling(temperature=1.0, seed=1))
    deltas, _ = await answer(engine, name, request)
    for called, arguments in calls_of(deltas):
        Draft202012Validator(SCHEMAS[called]).validate(arguments)


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize(("mode", "thinks"), [("required", "never"), ("auto", "open"), ("auto", "perhaps")])
def test_llama_cpps_own_reader_takes_the_same_grammars(model: Model, name: str, mode: Any, thinks: ThinksAt) -> None:
    conversations = Conversations(SAMPLES[name])
    dialect = conversations.dialect
    request = ChatRequest((USER,), TOOLS, ToolChoice(mode))
    constraint = AnswerGrammars(dialect).build(request, thinks if dialect.reasoning else "never").constraint
    assert constraint is not None
    matcher = NativeGrammars(model.vocabulary).matcher(constraint)
    calls = (ToolCall("get_weather", '{"city": "Oslo", "place": {"x": 1.5}}', "callid001"),)
    thought = dialect.reasoning.end if dialect.reasoning and thinks == "open" and mode == "auto" else ""
    text = thought + dialect.write(calls, SCHEMAS)
    assert matcher.can_accept(list(model.vocabulary.tokenize(text, parse_special=False)))
