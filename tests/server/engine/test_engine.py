"""The engine at work on a real model: batches, limits, constraints, cancellation."""

import asyncio
import json

import pytest

from server.engine.engine import Engine, Generation
from server.engine.errors import (
    ContextLengthExceededError,
    EngineStoppedError,
    InvalidGrammarError,
    InvalidRequestError,
    QueueFullError,
)
from server.engine.model import Model
from server.engine.speculation import BatchCost
from server.engine.types import Constraint, Finished, GenerationRequest, Sampling, TextDelta

from .conftest import read, running_engine

CALL = Constraint(
    'root ::= "<tool_call>{\\"name\\":\\"get\\",\\"arguments\\":{\\"city\\":\\"" [a-z]{1,8} "\\"}}</tool_call>"'
)
LAZY_CALL = Constraint(CALL.gbnf, trigger="<tool_call>")


def ask(engine: Engine, text: str = "Hello, how are you?", **options: object) -> GenerationRequest:
    options.setdefault("max_tokens", 24)
    options.setdefault("sampling", Sampling(seed=1))
    return GenerationRequest(engine.tokenize(f"<|user|>{text}<|end|><|assistant|>"), **options)  # type: ignore[arg-type]


async def test_eight_streams_are_decoded_in_shared_batches(model: Model) -> None:
    async with running_engine(model) as engine:
        bias = dict.fromkeys(model.vocabulary.end_tokens, -100.0)
        sampling = Sampling(logit_bias=bias)
        generations = [
            await engine.submit(ask(engine, f"Question {n}", max_tokens=40, sampling=sampling)) for n in range(8)
        ]
        results = await asyncio.gather(*map(read, generations))
        tokens = sum(finished.usage.completion_tokens for _, finished in results)
        assert tokens == 8 * 40
        assert engine.stats.steps < tokens / 5


async def test_the_same_seed_gives_the_same_text_whoever_else_is_in_the_batch(model: Model) -> None:
    async with running_engine(model) as engine:
        request = ask(engine, sampling=Sampling(seed=5, temperature=0.8))
        alone = await read(await engine.submit(request))
        crowd = [await engine.submit(ask(engine, f"Other {n}", sampling=Sampling(seed=n))) for n in range(4)]
        together = await read(await engine.submit(request))
        await asyncio.gather(*map(read, crowd))
        assert together[0] == alone[0]


async def test_temperature_zero_is_greedy(model: Model) -> None:
    async with running_engine(model) as engine:
        texts = {(await read(await engine.submit(ask(engine, sampling=Sampling(temperature=0)))))[0] for _ in range(3)}
        assert len(texts) == 1


async def test_a_constraint_holds_at_any_temperature(model: Model) -> None:
    async with running_engine(model) as engine:
        for seed in range(10):
            request = ask(engine, constraint=CALL, sampling=Sampling(seed=seed, temperature=2.0))
            text, finished = await read(await engine.submit(request))
            call = json.loads(text.removeprefix("<tool_call>").removesuffix("</tool_call>"))
            assert call["name"] == "get"
            assert finished.reason == "stop"


async def test_forced_tokens_need_no_step_of_their_own(model: Model) -> None:
    async with running_engine(model) as engine:
        text = "a text that leaves no choice at all, however long it gets to be in the end"
        before = engine.stats.steps
        request = ask(engine, constraint=Constraint(f'root ::= "{text}"'), max_tokens=200)
        said, finished = await read(await engine.submit(request))
        assert said == text
        assert finished.usage.forced_tokens == finished.usage.completion_tokens > 10
        assert engine.stats.steps - before <= 1


async def test_a_lazy_grammar_begins_with_its_trigger(model: Model) -> None:
    async with running_engine(model) as engine:
        trigger = engine.tokenize("<tool_call>")
        assert len(trigger) == 1
        sampling = Sampling(temperature=0, logit_bias={trigger[0]: 100.0})
        text, _ = await read(await engine.submit(ask(engine, constraint=LAZY_CALL, sampling=sampling, max_tokens=40)))
        assert json.loads(text.removeprefix("<tool_call>").removesuffix("</tool_call>"))["name"] == "get"


async def test_a_lazy_grammar_leaves_other_text_alone(model: Model) -> None:
    async with running_engine(model) as engine:
        sampling = Sampling(temperature=0, logit_bias={engine.tokenize("<tool_call>")[0]: -100.0})
        free = await read(await engine.submit(ask(engine, sampling=sampling)))
        lazy = await read(await engine.submit(ask(engine, sampling=sampling, constraint=LAZY_CALL)))
        assert lazy[0] == free[0] != ""


async def test_cancelling_frees_the_place_within_a_step(model: Model) -> None:
    async with running_engine(model) as engine:
        sampling = Sampling(logit_bias=dict.fromkeys(model.vocabulary.end_tokens, -100.0))
        generation = await engine.submit(ask(engine, sampling=sampling, max_tokens=1500))
        await anext(generation)
        assert engine.stats.running == 1
        await generation.cancel()
        at_cancel = engine.stats.steps
        _, finished = await read(generation)
        assert finished.reason == "cancelled"
        assert engine.stats.steps - at_cancel <= 1
        assert engine.stats.running == 0


async def test_a_repeated_prompt_needs_no_second_prefill(model: Model) -> None:
    async with running_engine(model) as engine:
        request = ask(engine, "This is a somewhat longer question about nothing in particular. " * 4)
        await read(await engine.submit(request))
        _, finished = await read(await engine.submit(request))
        assert finished.usage.cached_tokens == len(request.prompt) - 1


async def test_simultaneous_equal_prompts_share_one_prefill(model: Model) -> None:
    async with running_engine(model) as engine:
        request = ask(engine, "Something quite new that nobody has asked before today, I think. " * 4, max_tokens=4)
        generations = [await engine.submit(request) for _ in range(4)]
        results = await asyncio.gather(*map(read, generations))
        cached = sorted(finished.usage.cached_tokens for _, finished in results)
        assert cached[1:] == [len(request.prompt) - 1] * 3


async def test_generation_stops_at_max_tokens(model: Model) -> None:
    async with running_engine(model) as engine:
        _, finished = await read(await engine.submit(ask(engine, max_tokens=3)))
        assert (finished.reason, finished.usage.completion_tokens) == ("length", 3)


async def test_a_stop_string_ends_the_text_before_itself(model: Model) -> None:
    async with running_engine(model) as engine:
        constraint = Constraint('root ::= "one two three four five"')
        text, finished = await read(await engine.submit(ask(engine, constraint=constraint, stop=("ee f",))))
        assert (text, finished.reason) == ("one two thr", "stop")


async def test_a_prompt_beyond_the_context_is_refused(model: Model) -> None:
    async with running_engine(model, context_length=64) as engine:
        with pytest.raises(ContextLengthExceededError, match="maximum context length is 64"):
            await engine.submit(ask(engine, "word " * 100))


async def test_a_full_queue_is_refused_with_a_time_to_come_back(model: Model) -> None:
    async with running_engine(model, sequences=1, waiting=1) as engine:
        accepted = [await engine.submit(ask(engine)) for _ in range(2)]
        with pytest.raises(QueueFullError) as caught:
            await engine.submit(ask(engine))
        assert caught.value.retry_after >= 1
        await asyncio.gather(*map(read, accepted))
        assert await read(await engine.submit(ask(engine)))


async def test_a_grammar_that_cannot_be_read_is_refused(model: Model) -> None:
    async with running_engine(model) as engine:
        with pytest.raises(InvalidGrammarError, match="GBNF"):
            await engine.submit(ask(engine, constraint=Constraint("root ::= (")))


async def test_a_token_the_model_lacks_is_refused(model: Model) -> None:
    async with running_engine(model) as engine:
        with pytest.raises(InvalidRequestError, match="no token") as caught:
            await engine.submit(ask(engine, sampling=Sampling(logit_bias={10**6: 1.0})))
        assert caught.value.param == "logit_bias"


async def test_when_the_cache_is_full_the_youngest_waits_and_all_finish(model: Model) -> None:
    async def four_answers(cells: int) -> tuple[list[str], int]:
        async with running_engine(model, context_length=256, kv_cells=cells, sequences=4) as engine:
            sampling = Sampling(temperature=0, logit_bias=dict.fromkeys(model.vocabulary.end_tokens, -100.0))
            requests = [ask(engine, f"Number {n}", sampling=sampling, max_tokens=150) for n in range(4)]
            results = await asyncio.gather(*[read(await engine.submit(request)) for request in requests])
            assert all(finished.usage.completion_tokens == 150 for _, finished in results)
            return [text for text, _ in results], engine.stats.parked

    roomy, never_parked = await four_answers(2048)
    tight, parked = await four_answers(320)
    assert parked > never_parked == 0
    assert [text[:40] for text in tight] == [text[:40] for text in roomy]


async def test_closing_tells_those_who_wait(model: Model) -> None:
    async with running_engine(model) as engine:
        sampling = Sampling(logit_bias=dict.fromkeys(model.vocabulary.end_tokens, -100.0))
        generation = await engine.submit(ask(engine, sampling=sampling, max_tokens=1500))
        await anext(generation)
        await engine.close()
        with pytest.raises(EngineStoppedError):
            await read(generation)
        with pytest.raises(EngineStoppedError):
            await engine.submit(ask(engine))
        assert not engine.stats.is_alive


async def test_without_streaming_the_text_comes_in_one_piece_at_the_end(model: Model) -> None:
    async with running_engine(model) as engine:
        streamed = [event async for event in await engine.submit(ask(engine))]
        whole = [event async for event in await engine.submit(ask(engine, streams=False))]
        assert len(streamed) > 3
        text, finished = whole
        assert text == TextDelta("".join(event.text for event in streamed if isinstance(event, TextDelta)))
        assert isinstance(finished, Finished)


async def test_streams_decoded_one_after_the_other_take_turns(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BatchCost, "best_group", lambda _self, _rows: 1)
    order: list[int] = []

    async def follow(number: int, generation: Generation) -> int:
        async for event in generation:
            order.append(number)
            if isinstance(event, Finished):
                return event.usage.completion_tokens
        return 0

    async with running_engine(model) as engine:
        sampling = Sampling(logit_bias=dict.fromkeys(model.vocabulary.end_tokens, -100.0), seed=1)
        requests = [ask(engine, f"Question {n}", max_tokens=20, sampling=sampling) for n in range(3)]
        generations = [await engine.submit(request) for request in requests]
        assert await asyncio.gather(*(follow(n, one) for n, one in enumerate(generations))) == [20] * 3
        assert engine.stats.steps > 50
    half = order[: len(order) // 2]
    assert max(map(half.count, range(3))) - min(map(half.count, range(3))) < 8
