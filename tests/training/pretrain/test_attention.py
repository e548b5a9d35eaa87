"""Our attention for training on a CPU computes what PyTorch's does, forwards and backwards."""

import pytest
import torch
from torch.nn import functional

from training.pretrain.attention import NAME, causal_attention
from training.pretrain.model import build_model, weighted_loss
from training.pretrain.settings import ModelSettings


@pytest.mark.parametrize("tokens", [1, 63, 64, 65, 200])
@pytest.mark.parametrize(("heads", "kv_heads"), [(4, 4), (4, 2), (3, 1)])
def test_it_equals_pytorchs(tokens: int, heads: int, kv_heads: int) -> None:
    torch.manual_seed(tokens)
    shapes = ((2, heads, tokens, 8), (2, kv_heads, tokens, 8), (2, kv_heads, tokens, 8))
    ours = [torch.randn(shape, requires_grad=True) for shape in shapes]
    theirs = [one.detach().clone().requires_grad_() for one in ours]
    weights = torch.randn(shapes[0])
    (causal_attention(ours[0], ours[1], ours[2]) * weights).sum().backward()
    wide = [one.repeat_interleave(heads // kv_heads, 1) for one in theirs[1:]]
    (functional.scaled_dot_product_attention(theirs[0], *wide, is_causal=True) * weights).sum().backward()
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-4, atol=1e-5)


def test_a_model_trains_with_it_as_with_pytorchs() -> None:
    settings = ModelSettings(vocabulary=300, hidden=64, layers=2, heads=4, kv_heads=2, feed_forward=64)
    model = build_model(settings, end=1, pad=0, seed=0)
    assert model.config._attn_implementation == NAME
    ids = torch.randint(2, 300, (3, 90))
    losses, slopes = [], []
    for name in (NAME, "sdpa"):
        model.config._attn_implementation = name
        loss = weighted_loss(model, ids, torch.ones(ids.shape))
        model.zero_grad()
        loss.backward()
        losses.append(loss.detach())
        slopes.append(model.model.layers[0].self_attn.k_proj.weight.grad.clone())
    torch.testing.assert_close(losses[0], losses[1])
    torch.testing.assert_close(slopes[0], slopes[1], rtol=1e-3, atol=1e-6)
