"""Which tokens are drawn, and how often."""

import numpy as np
import pytest
from numpy.typing import NDArray

from server.engine.errors import GenerationError
from server.engine.sampler import Sampler
from server.engine.token_set import TokenSet
from server.engine.types import Sampling

LOGITS = np.log(np.array([0.5, 0.25, 0.15, 0.1], dtype=np.float32))


def frequencies(sampling: Sampling, logits: NDArray[np.float32] = LOGITS, draws: int = 4000) -> NDArray[np.float64]:
    sampler = Sampler(sampling, [])
    counts = np.zeros(len(logits))
    for _ in range(draws):
        counts[sampler.draw(logits, None)] += 1
    return counts / draws


def test_temperature_one_draws_from_the_models_distribution() -> None:
    assert frequencies(Sampling(seed=1)) == pytest.approx([0.5, 0.25, 0.15, 0.1], abs=0.03)


def test_temperature_sharpens() -> None:
    weights = np.exp(LOGITS / 0.5)
    assert frequencies(Sampling(seed=1, temperature=0.5)) == pytest.approx(weights / weights.sum(), abs=0.03)


def test_temperature_zero_takes_the_likeliest() -> None:
    assert frequencies(Sampling(temperature=0), draws=20)[0] == 1


@pytest.mark.parametrize("temperature", [5e-324, 2.5e-88, 1e-38, 1e-6])
def test_a_temperature_too_small_to_divide_by_takes_the_likeliest(temperature: float) -> None:
    for rest in ({}, {"top_p": 0.9}, {"top_k": 2}, {"min_p": 0.1}):
        assert frequencies(Sampling(temperature=temperature, **rest), draws=5)[0] == 1  # type: ignore[arg-type]


def test_top_k_keeps_the_k_likeliest() -> None:
    assert frequencies(Sampling(seed=1, top_k=2)) == pytest.approx([2 / 3, 1 / 3, 0, 0], abs=0.03)


def test_top_p_keeps_the_smallest_set_that_reaches_p() -> None:
    assert frequencies(Sampling(seed=1, top_p=0.7)) == pytest.approx([2 / 3, 1 / 3, 0, 0], abs=0.03)
    assert frequencies(Sampling(seed=1, top_p=0.01))[0] == 1


@pytest.mark.parametrize("extra", [{}, {"top_p": 0.999}])
def test_min_p_drops_what_is_unlikely_beside_the_likeliest(extra: dict[str, float]) -> None:
    assert frequencies(Sampling(seed=1, min_p=0.4, **extra)) == pytest.approx([2 / 3, 1 / 3, 0, 0], abs=0.03)


def test_only_allowed_tokens_are_drawn() -> None:
    sampler = Sampler(Sampling(seed=1), [])
    for allowed in (TokenSet(np.array([1, 3]), 4), TokenSet(np.array([0, 2]), 4, are_excluded=True)):
        assert {sampler.draw(LOGITS, allowed) for _ in range(200)} == {1, 3}
        assert sampler.draw(LOGITS, allowed) in allowed.ids


def test_logit_bias_forbids_and_forces() -> None:
    assert frequencies(Sampling(seed=1, logit_bias={0: -100}), draws=200)[0] == 0
    assert frequencies(Sampling(seed=1, logit_bias={3: 100}), draws=20)[3] == 1


def test_frequency_and_presence_penalties_follow_openais_formula() -> None:
    sampler = Sampler(Sampling(temperature=0, frequency_penalty=0.5, presence_penalty=0.25), [])
    sampler.observe([0])  # log 0.5 - 0.75 < log 0.25
    assert sampler.draw(LOGITS, None) == 1


def test_the_repetition_penalty_counts_the_prompt() -> None:
    logits = np.array([2.0, 1.9, -1.0], dtype=np.float32)
    assert Sampler(Sampling(temperature=0, repetition_penalty=1.2), [0]).draw(logits, None) == 1


def test_the_same_seed_draws_the_same() -> None:
    draws = [[Sampler(Sampling(seed=7), []).draw(LOGITS, None) for _ in range(1)] for _ in range(5)]
    assert all(draw == draws[0] for draw in draws)


def test_logits_are_left_as_they_were() -> None:
    logits = LOGITS.copy()
    Sampler(Sampling(logit_bias={1: 5.0}, repetition_penalty=2.0), [0, 1]).draw(logits, None)
    assert np.array_equal(logits, LOGITS)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_logits_that_are_no_numbers_are_an_error(bad: float) -> None:
    with pytest.raises(GenerationError, match="no numbers"):
        Sampler(Sampling(), []).draw(np.array([0.0, bad], dtype=np.float32), None)


def test_nothing_allowed_is_an_error() -> None:
    with pytest.raises(GenerationError, match="allows no token"):
        Sampler(Sampling(), []).draw(LOGITS, TokenSet(np.array([], dtype=np.int64), 4))


@pytest.mark.parametrize("spread", [0.01, 0.5, 5.0])
def test_top_p_keeps_the_same_set_of_a_large_vocabulary_as_sorting_it_would(spread: float) -> None:
    logits = np.random.default_rng(1).normal(0, spread, 20_000).astype(np.float32)
    weights = np.sort(np.exp(logits.astype(np.float64)))[::-1]
    kept = int(np.searchsorted(np.cumsum(weights), 0.3 * weights.sum())) + 1
    least = np.log(weights[kept - 1])
    sampler = Sampler(Sampling(top_p=0.3, seed=2), ())
    drawn = {sampler.draw(logits, None) for _ in range(300)}
    assert all(logits[token] >= least - 1e-3 for token in drawn)
    assert len(drawn) > min(kept, 300) / 3
