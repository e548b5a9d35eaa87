"""What a grammar forces is cut into tokens as the model's tokenizer would have cut it.

Forced tokens that no tokenizer would have given are something the model has never read, and what it says after them is
worse for it (token healing: https://guidance.readthedocs.io/en/latest/example_notebooks/tutorials/token_healing.html).
"""

import asyncio
from dataclasses import replace
from itertools import accumulate, pairwise
from typing import Any

import pytest

from server.api.services import Services, conversations_of
from server.chat.messages import Message, Tool
from server.chat.request import ChatRequest, ResponseFormat, ToolChoice
from server.engine.engine import Engine, Generation
from server.engine.grammar_matcher import GrammarCache
from server.engine.guide import Guide, Move
from server.engine.model import Model
from server.engine.sequence import Sequence
from server.engine.shared_prefix import common_prefix
from server.engine.types import GenerationRequest, Sampling
from server.engine.vocabulary import Vocabulary
from tests.server.engine.conftest import model, read, running_engine  # noqa: F401 - `model` is a fixture


def tool(name: str, **properties: Any) -> Tool:
    return Tool(name, {"type": "object", "properties": properties, "required": list(properties)})


TEXT = {"type": "string", "maxLength": 20}
TOOLS = (
    tool("get_weather", city=TEXT, unit={"enum": ["celsius", "fahrenheit"]}),
    tool("book_table", restaurant_name=TEXT, party_size={"type": "integer", "minimum": 1, "maximum": 20}),
    tool("search_flights", origin=TEXT, destination=TEXT, nonstop={"type": "boolean"}),
    tool("send_message", recipients={"type": "array", "items": TEXT, "minItems": 1, "maxItems": 3}, body=TEXT),
    tool("set_price", amount={"type": "number"}, currency={"enum": ["EUR", "USD"]}, note={"type": ["string", "null"]}),
)
QUESTIONS = (
    "What is the weather in Paris?", "Book a table for four at Luigi's", "I need two seats from Berlin to Madrid",
    "Tell Anna and Bob that I am late", "The price is 12.50 euros", "Hello",
)  # fmt: skip


class RecordingGuide(Guide):
    """Remembers which tokens of the output nobody sampled."""

    is_forced: list[bool]

    def copy(self) -> "RecordingGuide":
        other = super().copy()
        assert isinstance(other, RecordingGuide)
        other.is_forced = [*self.is_forced]
        return other

    def begin(self) -> list[int]:
        tokens = super().begin()
        self.is_forced = [True] * len(tokens)
        return tokens

    def follow(self, token: int) -> Move:
        move = super().follow(token)
        if move.rollback:
            del self.is_forced[-move.rollback :]
        sampled = len(move.tokens) - move.forced
        self.is_forced += [False] * sampled + [True] * move.forced
        return move


def chat_requests(mode: str, count: int) -> list[ChatRequest]:
    requests = []
    for number in range(count):
        request = ChatRequest((Message("user", QUESTIONS[number % len(QUESTIONS)]),), TOOLS)
        if mode == "format":
            wanted = ResponseFormat("json_schema", TOOLS[number % len(TOOLS)].parameters, strict=True)
            request = replace(request, tools=(), response_format=wanted)
        requests.append(replace(request, tool_choice=ToolChoice("required")) if mode == "required" else request)
    return requests


def submit(engine: Engine, services: Services, chat: ChatRequest, sampling: Sampling) -> tuple[Generation, Sequence]:
    prepared = services.conversations.prepare(chat)
    constraint = prepared.grammar.constraint
    assert constraint is not None
    vocabulary = engine.model.vocabulary
    matcher = GrammarCache(vocabulary.mask_tokenizer, vocabulary.size).matcher(constraint)
    guide = RecordingGuide(vocabulary, matcher, constraint)
    request = GenerationRequest(engine.tokenize(*prepared.prompt.pieces), sampling, max_tokens=120)
    sequence = Sequence(request, guide, vocabulary, engine.context_length)
    generation = Generation(sequence, engine._worker)
    engine._generations[sequence] = generation
    engine._worker.submit(sequence)
    return generation, sequence


def stretches_cut_otherwise(vocabulary: Vocabulary, tokens: list[int]) -> list[tuple[range, int]]:
    """Where, by places in `tokens`, the tokenizer cuts the same text otherwise, and the first place that differs.

    If that was sampled, it is the model that spelled otherwise: what is forced later in the stretch can only be cut as
    the tokenizer cuts it behind the last sampled token.
    """
    text = b"".join(vocabulary.pieces[token] for token in tokens).decode()
    again = list(vocabulary.tokenize(text, parse_special=False))
    cuts = [0, *accumulate(len(vocabulary.pieces[token]) for token in tokens)]
    common = set(cuts) & {0, *accumulate(len(vocabulary.pieces[token]) for token in again)}
    places = [place for place, cut in enumerate(cuts) if cut in common]
    pieces = [range(one, other) for one, other in pairwise(places)]
    canonical = iter(again)
    found = []
    for piece in pieces:
        mine, theirs, length = tokens[piece.start : piece.stop], [], 0
        while length < cuts[piece.stop] - cuts[piece.start]:
            theirs.append(next(canonical))
            length += len(vocabulary.pieces[theirs[-1]])
        if mine != theirs:
            found.append((piece, piece.start + common_prefix(mine, theirs)))
    return found


def forced_runs(tokens: list[int], is_forced: list[bool], stretch: range) -> list[list[int]]:
    """What is forced in a stretch, each time with the sampled token before it, with which it is cut."""
    runs: list[list[int]] = []
    for place in stretch:
        if not is_forced[place]:
            runs.append([])
        if runs:
            runs[-1].append(tokens[place])
    return [run for run in runs if len(run) > 1] if runs else [[tokens[place] for place in stretch]]


def spelled(model: Model, tokens: list[int]) -> str:  # noqa: F811
    return b"".join(model.vocabulary.pieces[token] for token in tokens).decode()


@pytest.mark.parametrize("mode", ["required", "auto", "format"])
async def test_no_forced_token_is_cut_as_no_tokenizer_would(model: Model, mode: str) -> None:  # noqa: F811
    answers = forced = sampled_otherwise = 0
    wrong: list[list[str]] = []
    async with running_engine(model, sequences=16) as engine:
        services = Services(engine, "m", conversations_of(engine.model))
        for temperature in (0.0, 0.7, 1.3):
            chats = chat_requests(mode, 30)
            started = [
                submit(engine, services, chat, Sampling(temperature=temperature, seed=seed))
                for seed, chat in enumerate(chats)
            ]
            await asyncio.gather(*(read(generation) for generation, _ in started))
            for _, sequence in started:
                guide = sequence._guide
                assert isinstance(guide, RecordingGuide)
                tokens, is_forced = sequence.output, guide.is_forced[: len(sequence.output)]
                try:
                    stretches = stretches_cut_otherwise(model.vocabulary, tokens)
                except UnicodeDecodeError:  # cut short within a character
                    continue
                answers += 1
                forced += sum(is_forced)
                sampled_otherwise += bool(stretches)
                wrong += [
                    [model.vocabulary.name(token) for token in run]
                    for stretch, first in stretches
                    for run in forced_runs(tokens, is_forced, stretch)
                    if is_forced[first]
                    or list(model.vocabulary.tokenize(spelled(model, run), parse_special=False)) != run
                ]
    print(
        f"{mode}: {answers} answers, {forced} forced tokens, {len(wrong)} of them cut otherwise by the tokenizer; "
        f"{sampled_otherwise} answers have tokens that the model itself sampled so"
    )
    assert answers > 80
    assert forced > 500
    assert wrong == []


def test_a_text_is_cut_anew_only_where_the_tokenizer_would_begin_a_token(model: Model) -> None:  # noqa: F811
    vocabulary = model.vocabulary
    whole = list(vocabulary.tokenize('{"city":["Paris', parse_special=False))
    letters = [vocabulary.tokenize(letter, parse_special=False)[0] for letter in '":["']
    before = list(vocabulary.tokenize('{"city', parse_special=False))
    assert before + vocabulary.recut(before, letters) == whole[: len(before) + len(vocabulary.recut(before, letters))]
    assert len(vocabulary.recut(before, letters)) < len(letters)
    half = [token for token in range(vocabulary.size) if vocabulary.pieces[token] == "é".encode()[:1]]
    assert vocabulary.recut(before, half) == half  # no whole character
