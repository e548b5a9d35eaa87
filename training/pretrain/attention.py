"""Causal attention for training on a CPU, with grouped queries, by blocks of queries.

PyTorch's own kernel for CPUs spends most of its time on heads as narrow as ours (32 numbers) and rows as short (a few
hundred tokens); plain products of matrices over what a block of queries may see take a fifth of that time at 100 tokens
and four fifths at 1,550 (`python -m benchmarks.pretrain`). The probabilities are kept for the backward pass: at these
lengths they cost less than computing them anew.
"""

from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from transformers import AttentionInterface

NAME = "trammel_blocks"
"""What transformers knows it by (`attn_implementation`)."""
_BLOCK = 64
"""Queries a block: the widest that was fast at all lengths."""


def causal_attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """softmax(q kᵀ / √d) v, each query seeing the keys up to its own place.

    Shapes: `query` (batch, heads, tokens, d), `key` and `value` (batch, key heads, tokens, d), where the query heads
    that share a key head stand together; the result is as `query`.
    """
    with torch.autocast(query.device.type, enabled=False):  # it would compute the probabilities in float32
        result: Tensor = _BlockAttention.apply(query, key, value)
    return result


def register() -> str:
    """Makes the attention known to transformers and returns its name."""
    AttentionInterface.register(NAME, _for_transformers)
    return NAME


def _for_transformers(
    _module: torch.nn.Module, query: Tensor, key: Tensor, value: Tensor, _mask: Tensor | None, **_: Any
) -> tuple[Tensor, None]:
    """No mask is asked for: rows are padded at their end, where nothing that counts looks. Turning by position made
    float32 of what a step in bfloat16 computes with."""
    kind = value.dtype
    return causal_attention(query.to(kind), key.to(kind), value).transpose(1, 2), None


class _BlockAttention(torch.autograd.Function):  # type: ignore[misc]
    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        groups, keys, values = _grouped(query, key), key.flatten(0, 1), value.flatten(0, 1)
        rows, shared, tokens, size = groups.shape
        result = torch.empty_like(groups)
        kept = []
        for start in range(0, tokens, _BLOCK):
            stop = min(tokens, start + _BLOCK)
            asked = (groups[:, :, start:stop] * size**-0.5).reshape(rows, -1, size)
            scores = torch.bmm(asked, keys[:, :stop].transpose(1, 2)).view(rows, shared, stop - start, stop)
            scores[..., start:] += _later(stop - start, scores.dtype)
            chances = torch.softmax(scores, -1)
            seen = torch.bmm(chances.view(rows, -1, stop), values[:, :stop])
            result[:, :, start:stop] = seen.view(rows, shared, stop - start, size)
            kept.append(chances)
        ctx.save_for_backward(query, key, value, result, *kept)
        return result.view_as(query)

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        query, key, value, result, *kept = ctx.saved_tensors
        groups, keys, values = _grouped(query, key), key.flatten(0, 1), value.flatten(0, 1)
        above = _grouped(gradient, key)
        rows, shared, tokens, size = groups.shape
        of_query = torch.empty_like(groups)
        of_key = torch.zeros_like(keys, dtype=torch.float32)
        of_value = torch.zeros_like(values, dtype=torch.float32)
        mean = (above.float() * result.float()).sum(-1, keepdim=True).to(query.dtype)
        for start, chances in zip(range(0, tokens, _BLOCK), kept, strict=True):
            stop = min(tokens, start + _BLOCK)
            block = above[:, :, start:stop].reshape(rows, -1, size)
            of_value[:, :stop] += torch.bmm(chances.view(rows, -1, stop).transpose(1, 2), block)
            wanted = torch.bmm(block, values[:, :stop].transpose(1, 2)).view_as(chances)
            of_scores = ((wanted - mean[:, :, start:stop]) * chances).view(rows, -1, stop) * size**-0.5
            of_query[:, :, start:stop] = torch.bmm(of_scores, keys[:, :stop]).view(rows, shared, -1, size)
            of_key[:, :stop] += torch.bmm(of_scores.transpose(1, 2), groups[:, :, start:stop].reshape(rows, -1, size))
        return of_query.view_as(query), of_key.view_as(key).to(key.dtype), of_value.view_as(value).to(value.dtype)


def _grouped(heads: Tensor, key: Tensor) -> Tensor:
    """(batch, heads, tokens, d) as (batch x key heads, heads a key head, tokens, d)."""
    batch, count, tokens, size = heads.shape
    return heads.reshape(batch * key.shape[1], count // key.shape[1], tokens, size)


@cache
def _later(count: int, dtype: torch.dtype) -> Tensor:
    """(queries, keys) of one block: minus infinity where the key comes after the query."""
    return torch.full((count, count), float("-inf"), dtype=dtype).triu(1)
