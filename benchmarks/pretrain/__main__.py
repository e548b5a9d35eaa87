"""Forward and backward pass of one layer's attention, ours over PyTorch's: `python -m benchmarks.pretrain`.

Both take turns over the same tensors, in bfloat16, with the default model's heads; printed is the median of the ratios
of neighbouring turns, with the least and the greatest.
"""

import time
from collections.abc import Callable
from statistics import median
from typing import Annotated

import torch
import typer
from torch import Tensor
from torch.nn import functional

from training.pretrain.attention import causal_attention
from training.pretrain.settings import ModelSettings

_SHAPES = ((40, 100), (13, 300), (6, 650), (4, 1000), (2, 1550))
"""Rows and tokens of steps as they occur, 4,000 tokens each."""

Attention = Callable[[Tensor, Tensor, Tensor], Tensor]


def pytorchs(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """As transformers calls it."""
    shared = query.shape[1] // key.shape[1]
    keys, values = (one.repeat_interleave(shared, 1) for one in (key, value))
    return functional.scaled_dot_product_attention(query, keys, values, is_causal=True)


def seconds(attend: Attention, tensors: list[Tensor]) -> float:
    started = time.perf_counter()
    attend(*tensors).sum().backward()
    return time.perf_counter() - started


def measure(
    rounds: Annotated[int, typer.Option(help="Turns of each.")] = 9,
    threads: Annotated[int, typer.Option(help="CPU threads.")] = 2,
) -> None:
    torch.set_num_threads(threads)
    model = ModelSettings()
    size = model.hidden // model.heads
    typer.echo(f"{'rows x tokens':>14}{'ours/PyTorch':>14}{'least':>8}{'most':>8}")
    for rows, tokens in _SHAPES:
        heads = (model.heads, model.kv_heads, model.kv_heads)
        tensors = [torch.randn(rows, h, tokens, size, dtype=torch.bfloat16, requires_grad=True) for h in heads]
        for attend in (pytorchs, causal_attention):
            seconds(attend, tensors)  # memory is asked for the first time
        ratios = [seconds(causal_attention, tensors) / seconds(pytorchs, tensors) for _ in range(rounds)]
        typer.echo(f"{f'{rows} x {tokens}':>14}{median(ratios):>14.2f}{min(ratios):>8.2f}{max(ratios):>8.2f}")


if __name__ == "__main__":
    typer.run(measure)
