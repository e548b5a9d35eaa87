"""Who is served first, and until when."""

import asyncio

import pytest

from server.engine.engine import Engine
from server.engine.errors import DeadlineExceededError
from server.engine.guide import Guide
from server.engine.model import Model
from server.engine.sequence import Sequence
from server.engine.types import GenerationRequest, Sampling
from server.engine.waiting_queue import WaitingQueue

from .conftest import read, running_engine


def arrival(model: Model, second: float, *, priority: int = 0, client: str | None = None) -> Sequence:
    request = GenerationRequest((5,), priority=priority, client=client)
    sequence = Sequence(request, Guide(model.vocabulary), model.vocabulary, 64)
    sequence.arrived = second
    return sequence


def ask(engine: Engine, **options: object) -> GenerationRequest:
    """A request that goes on until it is ended."""
    sampling = Sampling(logit_bias=dict.fromkeys(engine.model.vocabulary.end_tokens, -100.0))
    prompt = engine.tokenize("<|user|>Hello<|end|><|assistant|>")
    return GenerationRequest(prompt, sampling, **options)  # type: ignore[arg-type]


def order(*sequences: Sequence) -> list[int]:
    queue = WaitingQueue()
    queue.extend(sequences)
    return [sequences.index(queue.popleft()) for _ in range(len(queue))]


def test_equals_are_served_as_they_came(model: Model) -> None:
    assert order(*(arrival(model, second) for second in (1, 2, 2, 3))) == [0, 1, 2, 3]


def test_a_priority_goes_before_but_not_for_ever(model: Model) -> None:
    early, urgent, later_urgent = (
        arrival(model, 0),
        arrival(model, 5, priority=-1),
        arrival(model, 11, priority=-1),
    )
    assert order(early, urgent, later_urgent) == [1, 0, 2]


def test_a_clients_many_requests_do_not_hold_up_anothers_one(model: Model) -> None:
    flood = [arrival(model, 0, client="a") for _ in range(20)]
    assert order(*flood, arrival(model, 0.5, client="b")).index(20) == 1


def test_a_parked_sequence_comes_first_and_any_may_leave(model: Model) -> None:
    queue = WaitingQueue()
    first, second, parked = arrival(model, 1, client="a"), arrival(model, 2, client="a"), arrival(model, 3)
    queue.extend([first, second])
    queue.appendleft(parked)
    queue.remove(first)
    assert list(queue) == [queue[0], queue[1]] == [parked, second]
    queue.remove(parked)
    assert queue.popleft() is second
    assert not queue


async def test_a_request_that_never_began_fails_at_its_deadline(model: Model) -> None:
    async with running_engine(model, sequences=1) as engine:
        running = await engine.submit(ask(engine, max_tokens=2000))
        await anext(running)
        with pytest.raises(DeadlineExceededError):
            await asyncio.wait_for(read(await engine.submit(ask(engine, timeout=0.05))), 20)
        await running.cancel()
        assert engine.stats.waiting == 0


async def test_what_was_said_until_the_deadline_stands(model: Model) -> None:
    async with running_engine(model, request_timeout=0.3, context_length=8000) as engine:  # type: ignore[arg-type]
        text, finished = await asyncio.wait_for(read(await engine.submit(ask(engine, timeout=60))), 20)
        assert finished.reason == "timeout"
        assert text
        assert finished.usage.completion_tokens > 0
        assert engine.stats.running == 0
