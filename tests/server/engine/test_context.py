"""What llama.cpp's context keeps and forgets."""

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from server.engine.context import Context, ContextSettings
from server.engine.model import Model

SIZES = ContextSettings(cells=256, sequences=2, batch_tokens=64, threads=1)


@pytest.fixture
def context(model: Model) -> Iterator[Context]:
    made = Context(model, SIZES)
    yield made
    made.close()


def logits_of(context: Context, tokens: list[int]) -> NDArray[np.float32]:
    context.clear_batch()
    row = context.add(tokens, start=0, sequence=0, wants_logits=True)
    context.decode()
    return context.logits(row).copy()


def test_warming_up_leaves_no_trace(context: Context, model: Model) -> None:
    cold = Context(model, SIZES)
    expected = logits_of(cold, [5, 6, 7])
    cold.close()
    context.warm_up()
    assert context.count == 0
    np.testing.assert_array_equal(logits_of(context, [5, 6, 7]), expected)
