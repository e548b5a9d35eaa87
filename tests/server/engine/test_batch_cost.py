"""How many rows go together, by what batches have cost."""

import pytest

from server.engine.speculation import BatchCost


def measured(**seconds: float) -> BatchCost:
    cost = BatchCost()
    for width, time in seconds.items():
        for _ in range(4):
            cost.observe(int(width[1:]), time)
    return cost


@pytest.mark.parametrize(
    ("cost", "rows", "group"),
    [
        (measured(w1=1.0, w2=2.5), 2, 1),
        (measured(w1=1.0, w2=1.5), 2, 2),
        (measured(w1=1.0, w2=2.02), 2, 2),  # hardly slower: together is simpler
        (measured(w1=1.0, w2=2.5, w3=2.7), 3, 3),
        (measured(w1=1.0, w2=1.2, w3=4.0, w4=5.0), 4, 2),
        (measured(w1=1.0, w8=100.0), 8, 8),
        (measured(w2=1.0), 2, 1),  # never tried alone
        (measured(w1=1.0), 1, 1),
    ],
)
def test_as_many_rows_go_together_as_promise_the_most_tokens(cost: BatchCost, rows: int, group: int) -> None:
    assert cost.best_group(rows) == group


def test_sizes_that_did_not_pay_are_tried_again() -> None:
    cost = measured(w1=1.0, w2=2.5)
    assert {cost.best_group(2) for _ in range(400)} == {1, 2}
