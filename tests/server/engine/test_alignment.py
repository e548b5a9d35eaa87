"""A choice under a grammar is weighed by what the grammar lets the model say behind it."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.engine.alignment import Alignment
from server.engine.sampler import Floats, Sampler
from server.engine.token_set import TokenSet
from server.engine.types import Sampling

VOCABULARY = 256
PIECES = [b'"', *(chr(1000 + token).encode() for token in range(1, VOCABULARY))]
Name = tuple[int, ...]


class Words:
    """A model that is asked for one of some names, and its probabilities: drawn once for each beginning."""

    def __init__(self, names: Sequence[Name], seed: int, spread: float) -> None:
        self.names = names
        self._seed = seed
        self._spread = spread
        self._rows: dict[Name, Floats] = {}

    def logits(self, said: Name) -> Floats:
        if said not in self._rows:
            random = np.random.default_rng([self._seed, len(said), *said])
            row = random.normal(0, self._spread, VOCABULARY)
            row[[token for name in self.names for token in name]] += 3  # it knows what the names are made of
            self._rows[said] = row.astype(np.float32)
        return self._rows[said]

    def say_behind(self, said: Name, logits: Floats) -> None:
        self._rows[said] = logits

    def allowed(self, said: Name) -> TokenSet:
        following = {name[len(said)] for name in self.names if name[: len(said)] == said and len(name) > len(said)}
        return TokenSet(np.array(sorted(following), dtype=np.int64), VOCABULARY)

    def logprob(self, name: Name) -> float:
        """Of saying it, with no grammar."""
        total = 0.0
        for place, token in enumerate(name):
            row = self.logits(name[:place]).astype(np.float64)
            total += row[token] - np.log(np.exp(row).sum())
        return float(total)

    def likelihoods(self) -> Mapping[Name, float]:
        """Of each name, given that one of them is said."""
        weights = {name: math.exp(self.logprob(name)) for name in self.names}
        return {name: weight / sum(weights.values()) for name, weight in weights.items()}


def spelled(tokens: Sequence[int]) -> bytes:
    return b"".join(PIECES[token] for token in tokens)


def say(words: Words, sampler: Sampler, *, aligns: bool, jumps: bool = True, most_returns: int = 100) -> Name:
    """A name, as a sequence gets one. `jumps`: what is forced is said at once, and looked at afterwards."""
    alignment: Alignment[Name] = Alignment(PIECES, most_returns)
    said: Name = ()
    unseen = 0

    def append(token: int) -> None:
        nonlocal said, unseen
        said, unseen = (*said, token), 0
        while jumps and said not in words.names and len(words.allowed(said)) == 1:
            said, unseen = (*said, words.allowed(said).token(0)), unseen + 1

    for _ in range(500):
        logits = words.logits(said)
        allowed = None if said in words.names else words.allowed(said)
        begin = len(said) - unseen
        forced = said[begin:][: alignment.forced_of(spelled(said[:begin]), said[begin:])]
        rows = [words.logits(said[:place]) for place in range(begin, begin + len(forced))]
        alignment.pass_forced(forced, rows)
        drawn = alignment.think_over(spelled(said), logits, allowed, sampler)
        if drawn is not None:
            state = alignment.state
            if not alignment.say(drawn):
                assert state is not None
                said = state
                for token in drawn[:-1]:
                    append(token)
            append(drawn[-1])
            continue
        if allowed is None:
            return said
        token = sampler.draw(words.logits(said), allowed)
        alignment.end()
        adjusted = sampler.adjusted(logits)
        if aligns and alignment.is_fork(token, adjusted, allowed):
            alignment.begin(token, adjusted, allowed, said)
        append(token)
    raise AssertionError("it goes to and fro")


def paths(count: int, length: int) -> list[Name]:
    """Names that differ from their first token on, so that everything behind it is forced."""
    return [(first, *range(10, 10 + length)) for first in range(count)]


@given(st.integers(2, 6), st.integers(1, 5), st.integers(0, 10_000), st.booleans())
def test_greedy_decoding_takes_the_likeliest_name(count: int, length: int, seed: int, jumps: bool) -> None:
    words = Words(paths(count, length if jumps else min(length, 2)), seed, spread=0.7)
    name = say(words, Sampler(Sampling(temperature=0), ()), aligns=True, jumps=jumps)
    best = max(words.names, key=words.logprob)
    assert words.logprob(name) == pytest.approx(words.logprob(best), abs=1e-4)


def test_one_token_at_a_time_would_not() -> None:
    other = 0
    for seed in range(100):
        words = Words(paths(4, 3), seed, spread=0.7)
        name = say(words, Sampler(Sampling(temperature=0), ()), aligns=False)
        other += name != max(words.names, key=words.logprob)
    assert other > 20


@given(
    st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=4).map(tuple), min_size=1, max_size=12),
    st.integers(0, 1000),
    st.floats(0, 3),
    st.sampled_from([0.0, 0.7, 1.0, 2.0]),
)
def test_any_set_of_names_is_said_in_full(names: list[Name], seed: int, spread: float, temperature: float) -> None:
    whole = sorted({(*name, 9) for name in names})  # 9 ends a name: none begins another
    words = Words(whole, seed, spread)
    for jumps in (True, False):
        assert say(words, Sampler(Sampling(temperature=temperature, seed=seed), ()), aligns=True, jumps=jumps) in whole


def distance(words: Words, *, aligns: bool, draws: int = 4000) -> float:
    """Total variation between what is drawn and what should be."""
    sampler = Sampler(Sampling(seed=5), ())
    drawn = Counter(say(words, sampler, aligns=aligns) for _ in range(draws))
    wanted = words.likelihoods()
    return sum(abs(drawn[name] / draws - wanted[name]) for name in words.names) / 2


def test_sampling_draws_names_as_often_as_the_model_would_say_them() -> None:
    words = Words([*paths(3, 2), (3, 20, 1), (3, 21, 2), (3, 22, 20, 20)], seed=4, spread=1.0)
    assert distance(words, aligns=False) > 0.15
    assert distance(words, aligns=True) < 0.03


def test_what_the_penalties_make_of_the_logits_counts() -> None:
    words = Words(paths(3, 1), seed=0, spread=0.5)
    likeliest = max(words.names, key=words.logprob)
    banned = Sampler(Sampling(temperature=0, logit_bias={likeliest[0]: -100.0}), ())
    assert say(words, banned, aligns=True) != likeliest


def row(values: Mapping[int, float]) -> Floats:
    logits = np.full(VOCABULARY, -20.0, dtype=np.float32)
    for token, probability in values.items():
        logits[token] = math.log(probability)
    return logits


def few(*tokens: int) -> TokenSet:
    return TokenSet(np.array(tokens, dtype=np.int64), VOCABULARY)


GREEDY = Sampler(Sampling(temperature=0), ())


SEARCH, FIND, HOTEL, ATTRACTIONS = 1, 2, 3, 4
MEANT_OTHERWISE = row({ATTRACTIONS: 0.95, HOTEL: 0.05})


def test_a_choice_that_leads_to_what_was_not_meant_is_taken_back() -> None:
    alignment: Alignment[str] = Alignment(PIECES)
    first = row({SEARCH: 0.7, FIND: 0.3})
    assert alignment.is_fork(SEARCH, first, few(SEARCH, FIND))
    alignment.begin(SEARCH, first, few(SEARCH, FIND), "before the name")
    drawn = alignment.think_over(spelled([SEARCH]), MEANT_OTHERWISE, few(HOTEL), GREEDY)
    assert drawn == [FIND]
    assert not alignment.say(drawn)
    assert alignment.state == "before the name"
    # and it stays so: what is behind the other one is no worse than what is known of the first
    drawn = alignment.think_over(spelled([FIND]), MEANT_OTHERWISE, few(ATTRACTIONS), GREEDY)
    assert drawn == [FIND, ATTRACTIONS]
    assert alignment.say(drawn)


def test_it_comes_back_to_the_first_choice_where_the_others_are_worse() -> None:
    alignment: Alignment[str] = Alignment(PIECES)
    alignment.begin(1, row({1: 0.7, 2: 0.3}), few(1, 2), "")
    drawn = alignment.think_over(spelled([1]), row({5: 0.3, 6: 0.7}), few(5), GREEDY)
    assert drawn == [2]
    alignment.say(drawn)
    drawn = alignment.think_over(spelled([2]), row({5: 0.1, 6: 0.9}), few(5), GREEDY)
    assert drawn == [1, 5]  # what it found there is remembered


def test_a_sure_choice_costs_nothing() -> None:
    alignment: Alignment[str] = Alignment(PIECES)
    assert not alignment.is_fork(1, row({1: 0.9995, 2: 0.0005}), few(1, 2))


def test_text_is_never_taken_back() -> None:
    alignment: Alignment[str] = Alignment(PIECES)
    everything = TokenSet(np.array([], dtype=np.int64), VOCABULARY, are_excluded=True)
    assert not alignment.is_fork(1, row({1: 0.5, 2: 0.5}), everything)
    alignment.begin(1, row({1: 0.6, 2: 0.4}), few(1, 2), "a name")
    assert alignment.think_over(spelled([1]), row({5: 1.0}), everything, GREEDY) is None
    assert alignment.end() == "a name"
    assert alignment.state is None


def test_what_comes_after_the_word_does_not_count() -> None:
    alignment: Alignment[str] = Alignment(PIECES)
    alignment.begin(0, row({0: 0.6, 1: 0.4}), few(0, 1), "a mark before it")
    forced = [3, 0, 4]
    assert alignment.forced_of(spelled([0]), forced) == 2
    alignment.pass_forced(forced[:2], [row({3: 1.0}), row({0: 1.0})])
    assert alignment.forced_of(spelled([0]), forced) == 0  # it is known now
    assert alignment.think_over(spelled([0, *forced]), row({9: 1.0}), few(1), GREEDY) is None


def test_where_nothing_is_meant_it_ends_on_the_best_that_was_found() -> None:
    """More words than it looks into, all of them bad."""
    words = Words([(first, 50) for first in range(1, 31)], seed=2, spread=0)
    words.say_behind((), row({first: 0.5 * 0.99**first for first in range(1, 31)}))
    for first in range(1, 31):
        meant_otherwise = row({60: 1.0})
        meant_otherwise[50] = -3.0 * first
        words.say_behind((first,), meant_otherwise)
    assert say(words, Sampler(Sampling(temperature=0), ()), aligns=True, most_returns=16) == (1, 50)


def test_a_dead_end_is_left() -> None:
    alignment: Alignment[str] = Alignment(PIECES)
    alignment.begin(1, row({1: 0.9, 2: 0.1}), few(1, 2), "")
    assert alignment.think_over(spelled([1]), row({5: 1.0}), few(), GREEDY) == [2]


def test_a_word_without_an_end_is_over_some_time() -> None:
    alignment: Alignment[str] = Alignment(PIECES)
    unsure, said = row({1: 0.5, 2: 0.5}), [1]
    alignment.begin(1, unsure, few(1, 2), "")
    for _ in range(100):
        drawn = alignment.think_over(spelled(said), unsure, few(1, 2), GREEDY)
        if drawn is None:
            break
        alignment.say(drawn)
        said = drawn
    assert 8 < len(said) < 64
