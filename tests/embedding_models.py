"""Writes small embedding models with random weights, and computes with numpy what a BERT of them should give."""

from pathlib import Path

import gguf
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Weights = dict[str, Array]

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + [f"▁{w}" for w in ("weather", "paris", "tool", "call", "a")]
WIDTH, HEADS, INNER, LAYERS, CONTEXT = 32, 4, 64, 2, 64
CLS, SEP = 2, 3
POOLING = {"mean": 1, "cls": 2, "last": 3, "rank": 4}


def bert_weights(seed: int = 0) -> Weights:
    """In torch's order: (out, in)."""
    random = np.random.default_rng(seed)

    def matrix(*shape: int) -> Array:
        return random.standard_normal(shape, dtype=np.float32) * np.float32(0.3)

    weights = {
        "token_embd.weight": matrix(len(WORDS), WIDTH),
        "token_types.weight": matrix(2, WIDTH),
        "position_embd.weight": matrix(CONTEXT, WIDTH),
    }
    shapes = {
        "attn_q": (WIDTH, WIDTH), "attn_k": (WIDTH, WIDTH), "attn_v": (WIDTH, WIDTH), "attn_output": (WIDTH, WIDTH),
        "ffn_up": (INNER, WIDTH), "ffn_down": (WIDTH, INNER),
    }  # fmt: skip
    for layer in range(LAYERS):
        for name, shape in shapes.items():
            weights[f"blk.{layer}.{name}.weight"] = matrix(*shape)
            weights[f"blk.{layer}.{name}.bias"] = matrix(shape[0])
    norms = [f"blk.{layer}.{name}" for layer in range(LAYERS) for name in ("attn_output_norm", "layer_output_norm")]
    for norm in ["token_embd_norm", *norms]:
        weights[f"{norm}.weight"] = 1 + matrix(WIDTH)
        weights[f"{norm}.bias"] = matrix(WIDTH)
    return weights


def write_bert(path: Path, pooling: str = "mean", seed: int = 0) -> Path:
    writer = gguf.GGUFWriter(path, "bert")
    writer.add_block_count(LAYERS)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_layer_norm_eps(1e-12)
    writer.add_causal_attention(False)
    writer.add_uint32("bert.pooling_type", POOLING[pooling])
    writer.add_tokenizer_model("bert")
    writer.add_token_type_count(2)
    writer.add_token_list(WORDS)
    writer.add_token_types([gguf.TokenType.CONTROL] * 5 + [gguf.TokenType.NORMAL] * (len(WORDS) - 5))
    writer.add_unk_token_id(1)
    writer.add_bos_token_id(CLS)
    writer.add_sep_token_id(SEP)
    writer.add_pad_token_id(0)
    for name, weight in bert_weights(seed).items():
        writer.add_tensor(name, weight)
    return _written(writer, path)


def write_pooled(path: Path, model: Path, pooling: str) -> Path:
    """A copy of a model that generates, as an embedding model."""
    reader = gguf.GGUFReader(model)
    architecture = str(reader.fields["general.architecture"].contents())
    writer = gguf.GGUFWriter(path, architecture)
    for key, field in reader.fields.items():
        if not key.startswith("GGUF.") and key != "general.architecture":
            writer.add_key_value(
                key, field.contents(), field.types[0], field.types[1] if len(field.types) > 1 else None
            )
    writer.add_uint32(f"{architecture}.pooling_type", POOLING[pooling])
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    return _written(writer, path)


def bert_vector(weights: Weights, tokens: list[int], pooling: str = "mean") -> Array:
    """https://arxiv.org/abs/1810.04805, normalization after each part; pooled, of length 1."""
    state = weights["token_embd.weight"][tokens] + weights["token_types.weight"][0]
    state = _norm(weights, "token_embd_norm", state + weights["position_embd.weight"][: len(tokens)])
    for layer in range(LAYERS):
        state = _norm(weights, f"blk.{layer}.attn_output_norm", state + _attend(weights, f"blk.{layer}", state))
        inner = _linear(weights, f"blk.{layer}.ffn_up", state)
        inner = 0.5 * inner * (1 + np.tanh(np.sqrt(2 / np.pi) * (inner + 0.044715 * inner**3)))
        state = _norm(
            weights, f"blk.{layer}.layer_output_norm", state + _linear(weights, f"blk.{layer}.ffn_down", inner)
        )
    pooled = {"mean": state.mean(axis=0), "cls": state[0], "last": state[-1]}[pooling]
    vector: Array = pooled / np.linalg.norm(pooled)
    return vector


def _attend(weights: Weights, block: str, state: Array) -> Array:
    def heads(name: str) -> Array:
        return _linear(weights, f"{block}.{name}", state).reshape(len(state), HEADS, -1).transpose(1, 0, 2)

    query, key, value = heads("attn_q"), heads("attn_k"), heads("attn_v")
    scores = query @ key.transpose(0, 2, 1) / np.sqrt(WIDTH // HEADS)
    share = np.exp(scores - scores.max(axis=-1, keepdims=True))
    share /= share.sum(axis=-1, keepdims=True)
    return _linear(weights, f"{block}.attn_output", (share @ value).transpose(1, 0, 2).reshape(len(state), WIDTH))


def _linear(weights: Weights, name: str, state: Array) -> Array:
    result: Array = state @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]
    return result


def _norm(weights: Weights, name: str, state: Array) -> Array:
    centred = state - state.mean(axis=-1, keepdims=True)
    result: Array = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-12)
    return result * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def _written(writer: gguf.GGUFWriter, path: Path) -> Path:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
