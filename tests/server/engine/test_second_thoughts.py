"""Words under a grammar that are taken back while a real model says them: nothing of it shows but a better word."""

import asyncio
import json
from dataclasses import replace

import pytest

from server.api.services import Services, conversations_of
from server.chat.messages import Message, Tool
from server.chat.request import ChatRequest, ToolChoice
from server.engine.engine import Engine, GrammarEngine, _grammars
from server.engine.model import Model
from server.engine.types import (
    Constraint,
    Finished,
    GenerationRequest,
    PromptLogprobs,
    Sampling,
    TextDelta,
    TokenLogprob,
)

from .conftest import read, running_engine

GREEDY = Sampling(temperature=0)
ABOUT = {
    "SearchHotel": "Look for a hotel", "SearchFlights": "Look for flights", "FindMovies": "Look for films by genre",
    "FindAttractions": "Look for sights of a city", "GetWeather": "Weather of a day", "ReserveCar": "Rent a car",
    "PlayMedia": "Play a song",
}  # fmt: skip
WORDS = tuple(ABOUT)
WISHES = (
    "Which museums and parks are there to see?", "I want to watch a film tonight.", "Put on some music please.",
    "I need a place to sleep in Rome.", "Will it rain tomorrow?", "I want to go to Boston by plane.",
    "I'd like to rent something to drive.", "What sights would you recommend?", "A room for two nights, please.",
)  # fmt: skip
ONE_OF = Constraint("root ::= " + " | ".join(f'"{word}"' for word in WORDS))


def tool(name: str, about: str | None = None, **properties: object) -> Tool:
    return Tool(name, {"type": "object", "properties": properties, "required": list(properties)}, about)


def prompt(engine: Engine, wish: str) -> tuple[int, ...]:
    """Up to where one of the words has to be said."""
    tools = tuple(tool(name, about, place={"type": "string"}) for name, about in ABOUT.items())
    services = Services(engine, "m", conversations_of(engine.model))
    pieces = services.conversations.prepare(ChatRequest((Message("user", wish),), tools)).prompt.pieces
    return engine.tokenize(*pieces, '<tool_call>{"name":"')


async def likelihood(engine: Engine, before: tuple[int, ...], text: str) -> float:
    """Logarithm of the probability that the model says `text` there, with no grammar."""
    tokens = engine.model.vocabulary.tokenize(text, parse_special=False)
    request = GenerationRequest((*before, *tokens), GREEDY, max_tokens=0, top_logprobs=0, judges_prompt=True)
    async for event in await engine.submit(request):
        if isinstance(event, PromptLogprobs):
            return sum(token.logprob for token in event.tokens[-len(tokens) :])
    raise AssertionError("nothing was judged")


async def behind_the_best(engine: Engine) -> list[float]:
    """For each wish, by how much the likeliest word is likelier than the one that is said (in logarithms)."""
    gaps = []
    for wish in WISHES:
        before = prompt(engine, wish)
        said, _ = await read(await engine.submit(GenerationRequest(before, GREEDY, ONE_OF)))
        likelihoods = {word: await likelihood(engine, before, word) for word in WORDS}
        gaps.append(max(likelihoods.values()) - likelihoods[said])
    return gaps


async def test_the_word_that_is_said_is_the_likeliest(model: Model) -> None:
    async with running_engine(model, aligns=True) as engine:
        gaps = await behind_the_best(engine)
        assert max(gaps) < 0.1  # rounding: a prompt is decoded in a wider batch
        assert engine.stats.taken_back > 0
    async with running_engine(model, aligns=False) as engine:
        plain = await behind_the_best(engine)
        assert engine.stats.taken_back == 0
    assert sum(plain) > sum(gaps) + 1


TEXT = {"type": "string", "maxLength": 16}
TOOLS = (
    tool("search_hotel", city=TEXT, stars={"enum": ["one", "two", "three", "four"]}),
    tool("search_house", city=TEXT, kind={"enum": ["flat", "flatlet", "farm"]}),
    tool("find_movies", genre={"enum": ["drama", "dramedy", "horror"]}, year={"type": "integer", "minimum": 1900}),
    tool("find_attractions", city=TEXT, is_free={"type": "boolean"}),
)


async def tell(engine: Engine, request: GenerationRequest) -> tuple[str, list[TokenLogprob], Finished, list[int]]:
    generation = await engine.submit(request)
    text, judged = "", []
    async for event in generation:
        match event:
            case TextDelta(part):
                text += part
            case TokenLogprob():
                judged.append(event)
            case Finished():
                return text, judged, event, list(generation.output)
    raise AssertionError("it ended without Finished")


@pytest.mark.parametrize(
    ("grammar_engine", "options"),
    [
        ("llama.cpp", {}),
        ("llguidance", {}),
        ("llguidance", {"speculates": True}),
        ("llguidance", {"top_logprobs": 2}),
        ("llguidance", {"streams": False}),
    ],
)
async def test_nothing_of_it_shows(model: Model, grammar_engine: GrammarEngine, options: dict[str, object]) -> None:
    """Many at once, at several temperatures, in a cache too small for all, so that some are parked in mid-word."""
    taken_back = 0
    for temperature in (0.0, 0.8, 1.5):
        settings = {"grammar_engine": grammar_engine, "sequences": 8, "kv_cells": 1200, "context_length": 800}
        async with running_engine(model, **settings) as engine:
            services = Services(engine, "m", conversations_of(model))
            chats = [ChatRequest((Message("user", wish),), TOOLS, ToolChoice("required")) for wish in WISHES]
            prepared = [services.conversations.prepare(chat) for chat in chats]
            requests = [
                GenerationRequest(
                    engine.tokenize(*chat.prompt.pieces),
                    Sampling(temperature=temperature, seed=seed, repetition_penalty=1.1, presence_penalty=0.2),
                    chat.grammar.constraint,
                    max_tokens=70,
                    **options,  # type: ignore[arg-type]
                )
                for seed, chat in enumerate(prepared)
            ]
            told = await asyncio.gather(*(tell(engine, request) for request in requests))
            for (text, judged, end, tokens), request in zip(told, requests, strict=True):
                assert b"".join(model.vocabulary.pieces[token] for token in tokens).decode(errors="replace") == text
                assert end.usage.completion_tokens == len(tokens)
                assert request.constraint is not None
                if "\ufffd" not in text:  # llama.cpp's own sampler lets overlong UTF-8 pass
                    assert _grammars(model, "llguidance").matcher(request.constraint).can_accept(tokens)
                if end.reason == "stop":
                    name = json.loads(text.removeprefix("<tool_call>").partition("</tool_call>")[0])["name"]
                    assert name in {tool.name for tool in TOOLS}
                if "top_logprobs" in options:
                    assert [token.token for token in judged] == tokens
                    assert all(token.logprob <= 0 for token in judged)
            taken_back += engine.stats.taken_back
            assert engine.stats.running == engine.stats.failed == 0
    assert taken_back > 0


async def test_an_answer_that_ends_with_a_choice_is_thought_over_too(model: Model) -> None:
    """The end is forced with the last word: it is looked at before the answer is over."""
    constraint = Constraint('root ::= "{\\"kind\\": \\"" ("SearchHotel" | "FindMovies") "\\"}"')
    async with running_engine(model) as engine:
        before = engine.tokenize("<|user|>I want to watch a film tonight.<|end|><|assistant|>")
        text, _, end, tokens = await tell(engine, GenerationRequest(before, GREEDY, constraint, max_tokens=40))
        assert json.loads(text)["kind"] in ("SearchHotel", "FindMovies")
        assert end.reason == "stop"
        assert end.usage.completion_tokens == len(tokens)


@pytest.mark.parametrize("max_tokens", range(1, 14))
async def test_the_bound_on_tokens_holds_in_mid_word(model: Model, max_tokens: int) -> None:
    async with running_engine(model) as engine:
        request = GenerationRequest(prompt(engine, WISHES[0]), GREEDY, ONE_OF, max_tokens=max_tokens)
        text, _, end, tokens = await tell(engine, request)
        assert end.usage.completion_tokens == len(tokens) <= max_tokens
        assert end.reason == ("stop" if text in WORDS else "length")


async def test_probabilities_come_in_the_order_of_their_tokens(model: Model) -> None:
    """An answer that ends within the word, too."""
    async with running_engine(model) as engine:
        for max_tokens in (2, 3, 40):
            request = GenerationRequest(
                prompt(engine, WISHES[5]), GREEDY, ONE_OF, max_tokens=max_tokens, top_logprobs=0
            )
            _, judged, _, tokens = await tell(engine, request)
            assert [token.token for token in judged] == tokens


async def test_penalties_do_not_count_a_word_against_itself(model: Model) -> None:
    """Each forced token is judged with the penalties that there were before it: one by one it is the same."""
    penalised = Sampling(temperature=0, presence_penalty=2.0, repetition_penalty=1.3)
    async with running_engine(model) as engine:
        for wish in WISHES:
            plain = GenerationRequest(prompt(engine, wish), penalised, ONE_OF)
            at_once, _ = await read(await engine.submit(plain))
            one_by_one, _ = await read(await engine.submit(replace(plain, top_logprobs=0)))
            assert at_once == one_by_one
