"""Whom to draft for: by what it costs, all of it."""

from dataclasses import dataclass, field

import pytest

from server.engine.draft_plan import Batch, DraftCost, DraftPlan
from server.engine.speculation import BatchCost, HitRate


@dataclass
class Stream:
    rate: HitRate = field(default_factory=HitRate)
    behind: int = 1
    left: int = 100
    last_tried: int = 0


def guessing(share: float, **options: int) -> Stream:
    return Stream(HitRate(share), **options)


def target(base: float = 0.040, slope: float = 0.001) -> BatchCost:
    cost = BatchCost()
    for tokens in range(1, 129):
        cost.observe(tokens, base + slope * tokens)
    return cost


def draft(seconds: float, per_token: float = 0.0) -> DraftCost:
    cost = DraftCost()
    for tokens in range(1, 129):
        cost.observe(tokens, seconds + per_token * tokens)
    return cost


def batch(streams: int) -> Batch:
    return Batch(tokens=streams, streams=streams, room=2000)


@pytest.mark.parametrize("streams", [1, 4, 100])
def test_a_model_that_costs_as_much_as_its_target_never_pays(streams: int) -> None:
    plan = DraftPlan(target(), draft(0.041), 15)
    assert plan.best([guessing(0.99)] * streams, batch(streams)) == (0, 0)


def test_the_width_grows_with_the_hit_rate_and_shrinks_with_the_price_of_a_guess() -> None:
    widths = [
        DraftPlan(target(), draft(price), 15).best([guessing(share)], batch(1))[1]
        for share, price in ((0.99, 0.001), (0.7, 0.001), (0.7, 0.010), (0.1, 0.010))
    ]
    assert widths == sorted(widths, reverse=True)
    assert widths[0] == 15
    assert widths[-1] == 0


def test_those_who_are_guessed_right_are_drafted_for_and_the_others_not() -> None:
    plan = DraftPlan(target(0.010, 0.004), draft(0.001), 15)
    streams = [guessing(0.05) for _ in range(4)] + [guessing(0.95) for _ in range(4)]
    chosen, width = plan.choose(streams, batch(8))
    assert width > 0
    assert set(map(id, chosen)) == set(map(id, streams[4:]))


def test_a_long_prompt_that_is_yet_to_be_read_must_pay_within_the_answer() -> None:
    plan = DraftPlan(target(), draft(0.001, 0.001), 15)
    assert plan.best([guessing(0.8)], batch(1))[0] == 1
    assert plan.best([guessing(0.8, behind=200, left=100)], batch(1))[0] == 1
    assert plan.best([guessing(0.8, behind=20_000, left=100)], batch(1))[0] == 0
    assert plan.best([guessing(0.8, behind=200, left=4)], batch(1))[0] == 0


def test_guesses_that_a_grammar_forces_anyway_are_not_worth_a_draft() -> None:
    plan = DraftPlan(target(), draft(0.008), 15)
    stream = guessing(0.9)
    assert plan.best([stream], batch(1))[0] == 1
    for _ in range(30):
        stream.rate.learn(5, 5, 1)
    assert plan.best([stream], batch(1))[0] == 0


def test_tries_take_a_fiftieth_of_the_time_at_most_and_go_round() -> None:
    plan = DraftPlan(target(), draft(0.004), 15)
    streams = [guessing(0.0) for _ in range(4)]
    tries = []
    for step in range(1, 2001):
        chosen, width = plan.choose(streams, batch(4))
        tries += [(one, width) for one in chosen]
        for one in chosen:
            one.last_tried = step
    spent = sum(width * 0.005 for _, width in tries)
    assert 0 < spent <= 0.02 * 2000 * 0.044
    assert {id(one) for one, _ in tries} == {id(one) for one in streams}


def test_a_stream_that_is_guessed_right_again_is_drafted_for_again() -> None:
    plan = DraftPlan(target(), draft(0.002), 7)
    stream = guessing(0.5)
    for _ in range(20):
        stream.rate.learn(7, 0, 0)
    widths = []
    for _ in range(500):
        chosen, width = plan.choose([stream], batch(1))
        widths.append(width if chosen else 0)
        if chosen:
            stream.rate.learn(width, width, width)
    assert widths[0] == 0
    assert widths[-1] == 7


def test_nothing_is_guessed_before_the_target_has_been_measured() -> None:
    assert DraftPlan(BatchCost(), draft(0.001), 7).choose([guessing(0.9)], batch(1)) == ([], 0)
