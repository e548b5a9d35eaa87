"""GGUF files with random weights in a real model's shape: for speed the numbers in them do not matter.

The vocabulary must be real, though: masks, sampling and tokenization cost what the vocabulary's size makes them cost.
"""

from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np

_DEVIATION = 0.02
"""As models are initialised: the logits come out nearly flat, so that hardly ever an end token is drawn."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of a Qwen2 model."""

    layers: int = 24
    width: int = 896
    heads: int = 14
    kv_heads: int = 2
    feed_forward: int = 4864
    context: int = 32_768

    @property
    def kv_width(self) -> int:
        return self.kv_heads * self.width // self.heads


HALF_BILLION = Shape()
"""Qwen2-0.5B (https://huggingface.co/Qwen/Qwen2-0.5B, config.json)."""


def write_random_model(path: Path, vocabulary: Path, template: str, shape: Shape = HALF_BILLION) -> None:
    """Write a Q8_0 model. `vocabulary`: a GGUF whose `tokenizer.*` is taken over; `template`: its chat template."""
    unfinished = path.with_suffix(".unfinished")
    writer = gguf.GGUFWriter(unfinished, "qwen2")
    size = _copy_vocabulary(gguf.GGUFReader(vocabulary), writer)
    writer.add_chat_template(template)
    writer.add_block_count(shape.layers)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_feed_forward_length(shape.feed_forward)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(1e6)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    _add_weights(writer, shape, size)
    _write(writer)
    unfinished.replace(path)


def write_random_adapter(path: Path, seed: int, shape: Shape = HALF_BILLION, rank: int = 8) -> None:
    """Write a LoRA of the attention's query and value projections for a model of `write_random_model`."""
    unfinished = path.with_suffix(".unfinished")
    writer = gguf.GGUFWriter(unfinished, "qwen2")
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, float(rank))
    random = np.random.default_rng(seed)
    for layer in range(shape.layers):
        for name, width in (("attn_q", shape.width), ("attn_v", shape.kv_width)):
            down = random.standard_normal((rank, shape.width), dtype=np.float32) * np.float32(_DEVIATION)
            up = random.standard_normal((width, rank), dtype=np.float32) * np.float32(_DEVIATION)
            writer.add_tensor(f"blk.{layer}.{name}.weight.lora_a", down)
            writer.add_tensor(f"blk.{layer}.{name}.weight.lora_b", up)
    _write(writer)
    unfinished.replace(path)


def _copy_vocabulary(reader: gguf.GGUFReader, writer: gguf.GGUFWriter) -> int:
    """Returns the number of tokens."""
    size = 0
    for key, field in reader.fields.items():
        if not key.startswith("tokenizer.") or key.endswith("chat_template"):
            continue
        value = field.contents()
        if field.types[0] == gguf.GGUFValueType.ARRAY:
            writer.add_array(key, value)
        else:
            writer.add_key_value(key, value, field.types[0])
        if key == gguf.Keys.Tokenizer.LIST:
            size = len(value)
    return size


def _add_weights(writer: gguf.GGUFWriter, shape: Shape, vocabulary: int) -> None:
    random = np.random.default_rng(0)

    def matrix(name: str, rows: int, columns: int) -> None:
        values = random.standard_normal((rows, columns), dtype=np.float32) * np.float32(_DEVIATION)
        kind = gguf.GGMLQuantizationType.Q8_0
        writer.add_tensor(name, gguf.quants.quantize(values, kind), raw_dtype=kind)

    def vector(name: str, size: int, value: float) -> None:
        writer.add_tensor(name, np.full(size, value, dtype=np.float32))

    matrix("token_embd.weight", vocabulary, shape.width)
    vector("output_norm.weight", shape.width, 1.0)
    for layer in range(shape.layers):
        block = f"blk.{layer}."
        vector(block + "attn_norm.weight", shape.width, 1.0)
        vector(block + "ffn_norm.weight", shape.width, 1.0)
        for name, rows in (("q", shape.width), ("k", shape.kv_width), ("v", shape.kv_width)):
            matrix(f"{block}attn_{name}.weight", rows, shape.width)
            vector(f"{block}attn_{name}.bias", rows, 0.0)
        matrix(block + "attn_output.weight", shape.width, shape.width)
        matrix(block + "ffn_gate.weight", shape.feed_forward, shape.width)
        matrix(block + "ffn_up.weight", shape.feed_forward, shape.width)
        matrix(block + "ffn_down.weight", shape.width, shape.feed_forward)


def _write(writer: gguf.GGUFWriter) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
