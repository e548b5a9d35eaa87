"""The model: transformers' own Llama, because its checkpoints are what exporters and other tools read."""

import torch
from torch.nn import functional
from transformers import LlamaConfig, LlamaForCausalLM

from training.pretrain import attention
from training.pretrain.settings import ModelSettings


def build_model(settings: ModelSettings, *, end: int, pad: int, seed: int) -> LlamaForCausalLM:
    """A fresh model with tied embeddings, its weights drawn from `seed`."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=settings.vocabulary,
        hidden_size=settings.hidden,
        intermediate_size=settings.feed_forward,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        num_key_value_heads=settings.kv_heads,
        max_position_embeddings=settings.context,
        rope_parameters={"rope_type": "default", "rope_theta": settings.rope_base},
        rms_norm_eps=1e-5,
        tie_word_embeddings=True,
        bos_token_id=end,
        eos_token_id=end,
        pad_token_id=pad,
        attn_implementation=attention.register(),
    )
    return LlamaForCausalLM(config)


def weighted_loss(model: LlamaForCausalLM, ids: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy (nats a token) of predicting each token from those before it, weighted.

    `ids`, `weights`: shape (conversations, tokens). Padding stands at the end, so causal attention never sees it.
    """
    hidden = model.model(input_ids=ids[:, :-1]).last_hidden_state
    wanted = weights[:, 1:] > 0
    logits = model.lm_head(hidden[wanted])
    losses = functional.cross_entropy(logits.float(), ids[:, 1:][wanted], reduction="none")
    scale = weights[:, 1:][wanted]
    return (losses * scale).sum() / scale.sum()
