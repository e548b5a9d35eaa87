"""What fails is one request's error; what dies says so at once."""

import asyncio
from collections.abc import Iterator

import pytest

from server.engine.engine import Engine, EngineSettings, Generation
from server.engine.errors import EngineStoppedError, GenerationError, NotFiniteError, ShuttingDownError
from server.engine.guide import Guide
from server.engine.model import Model
from server.engine.sequence import Sequence
from server.engine.types import Constraint, FlashAttention, GenerationRequest, Sampling
from tests.broken_models import write_with_nan_token

from .conftest import MODEL, read, running_engine

FLASH_ATTENTION: tuple[FlashAttention, ...] = ("on", "off")
FINE = ["One two", "Hello you", "What is the time?", "I want to eat"]
POISON = "Is it Paris or not"


@pytest.fixture(scope="module")
def broken(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    """A model that gives NaN wherever `Paris` is in its context."""
    (_, token) = model.vocabulary.tokenize(" Paris")
    broken = Model(write_with_nan_token(MODEL, tmp_path_factory.mktemp("broken") / "nan.gguf", token))
    yield broken
    broken.close()


def ask(engine: Engine, text: str, **options: object) -> GenerationRequest:
    ends = dict.fromkeys(engine.model.vocabulary.end_tokens, -100.0)
    options.setdefault("sampling", Sampling(temperature=0, logit_bias=ends))
    options.setdefault("max_tokens", 40)
    return GenerationRequest(engine.tokenize(f"<|user|>{text}<|end|><|assistant|>"), **options)  # type: ignore[arg-type]


async def outcome(engine: Engine, text: str, **options: object) -> str | Exception:
    try:
        return (await read(await engine.submit(ask(engine, text, **options))))[0]
    except GenerationError as error:
        return error


async def answers_alone(model: Model, texts: list[str], flash_attention: FlashAttention) -> list[str | Exception]:
    """What a fresh engine says to each."""
    engine = Engine(model, EngineSettings(threads=1, sequences=1, flash_attention=flash_attention))
    engine.start()
    try:
        return [await outcome(engine, text) for text in texts]
    finally:
        await engine.close()


@pytest.mark.parametrize("flash_attention", FLASH_ATTENTION)
async def test_nan_is_the_error_of_the_request_that_brought_it(broken: Model, flash_attention: FlashAttention) -> None:
    engine = Engine(broken, EngineSettings(threads=1, flash_attention=flash_attention))
    engine.start()
    try:
        texts = [*FINE[:2], POISON, *FINE[2:], POISON + "?"]
        outcomes = await asyncio.gather(*(outcome(engine, text) for text in texts))
        failed = [text for text, one in zip(texts, outcomes, strict=True) if isinstance(one, Exception)]
        assert failed == [POISON, POISON + "?"]
        assert all(isinstance(one, NotFiniteError) for one in outcomes if isinstance(one, Exception))
        said = [one for one in outcomes if isinstance(one, str)]
        alone = await answers_alone(broken, FINE, flash_attention)
        assert [one[:20] for one in said] == [str(one)[:20] for one in alone]  # later tokens may round otherwise
        assert (engine.stats.failed, engine.stats.is_alive) == (2, True)
    finally:
        await engine.close()


@pytest.mark.parametrize("flash_attention", FLASH_ATTENTION)
async def test_cells_that_held_nan_harm_nobody_afterwards(broken: Model, flash_attention: FlashAttention) -> None:
    engine = Engine(broken, EngineSettings(threads=1, sequences=1, flash_attention=flash_attention))
    engine.start()
    try:
        assert isinstance(await outcome(engine, POISON), NotFiniteError)
        assert [await outcome(engine, text) for text in FINE] == await answers_alone(broken, FINE, flash_attention)
        assert engine.stats.failed == 1
    finally:
        await engine.close()


async def test_a_constrained_answer_that_turns_to_nan_half_way_is_that_ones_error(broken: Model) -> None:
    async with running_engine(broken) as engine:
        spelled = Constraint('root ::= "one " ("two"|"three") " in Paris " [a-z]{1,20}')
        results = await asyncio.gather(outcome(engine, "go", constraint=spelled), outcome(engine, FINE[0]))
        assert isinstance(results[0], NotFiniteError)
        assert isinstance(results[1], str)


async def test_penalties_that_leave_no_numbers_are_the_requests_own_fault_and_wipe_nothing(model: Model) -> None:
    async with running_engine(model) as engine:
        other = await engine.submit(ask(engine, "Hello", max_tokens=200))
        await anext(other)
        huge = Sampling(temperature=0, repetition_penalty=1e-40)
        with pytest.raises(GenerationError, match="penalties and biases"):
            await read(await engine.submit(ask(engine, "Hello", sampling=huge)))
        _, finished = await read(other)
        assert finished.usage.completion_tokens == 200
        assert engine.stats.decoded_tokens < 2 * 250  # nobody's prompt was decoded again


def smuggle(engine: Engine, sequence: Sequence) -> Generation:
    """Submit past the engine's checks."""
    generation = Generation(sequence, engine._worker)
    engine._generations[sequence] = generation
    engine._worker.submit(sequence)
    return generation


def sequence_of(engine: Engine, kind: type[Sequence], *tokens: int) -> Sequence:
    request = ask(engine, "Hello")
    request = GenerationRequest((*request.prompt, *tokens), request.sampling, max_tokens=8)
    return kind(request, Guide(engine.model.vocabulary), engine.model.vocabulary, engine.context_length)


async def test_a_batch_that_llama_cpp_refuses_is_the_error_of_the_one_it_refuses(model: Model) -> None:
    async with running_engine(model) as engine:
        running = [await engine.submit(ask(engine, text, max_tokens=80)) for text in FINE]
        await asyncio.gather(*map(anext, running))
        bad = smuggle(engine, sequence_of(engine, Sequence, 10**6))  # no such token: llama_decode returns -1
        results = [await read(generation) for generation in running]
        with pytest.raises(GenerationError, match="llama_decode returned"):
            await read(bad)
        assert [finished.usage.completion_tokens for _, finished in results] == [80] * 4
        assert engine.stats.failed == 1
        assert isinstance(await outcome(engine, "And now?"), str)


class Faulty(Sequence):
    """Code of ours that breaks where nothing guards it."""

    @property
    def is_prefilling(self) -> bool:
        raise RuntimeError("a fault of ours")


async def test_a_dead_thread_tells_everyone_and_is_seen_at_once(model: Model) -> None:
    async with running_engine(model) as engine:
        others = [await engine.submit(ask(engine, text, max_tokens=1000)) for text in FINE]
        await asyncio.gather(*map(anext, others))
        errand = engine._worker.between_steps(lambda: 1)
        assert errand.result(timeout=30) == 1
        assert engine.fault is None
        bad = smuggle(engine, sequence_of(engine, Faulty))
        for generation in (bad, *others):
            with pytest.raises(EngineStoppedError) as caught:
                await read(generation)
            assert not isinstance(caught.value, ShuttingDownError)
        assert str(engine.fault) == "a fault of ours"
        assert not engine.stats.is_alive
        with pytest.raises(EngineStoppedError):
            await engine.submit(ask(engine, "Hello"))
        with pytest.raises(EngineStoppedError):
            engine._worker.between_steps(lambda: 1)


async def test_an_errand_that_nobody_waits_for_any_more_harms_nobody(model: Model) -> None:
    async with running_engine(model) as engine:
        long = await engine.submit(ask(engine, "Hello", max_tokens=200))
        await anext(long)
        done: list[int] = []
        errands = [engine._worker.between_steps(lambda: done.append(1)) for _ in range(20)]
        cancelled = [errand for errand in errands if errand.cancel()]
        assert cancelled
        assert engine._worker.between_steps(lambda: 2).result(timeout=30) == 2
        assert len(done) == len(errands) - len(cancelled)
        assert (await read(long))[1]
        assert engine.fault is None


async def test_what_is_not_done_when_it_is_stopped_hears_of_that_and_no_fault(model: Model) -> None:
    async with running_engine(model) as engine:
        generation = await engine.submit(ask(engine, "Hello", max_tokens=1500))
        await anext(generation)
        engine.stop()
        with pytest.raises(ShuttingDownError):
            await read(generation)
        assert engine.fault is None
