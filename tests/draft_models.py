"""Writes relatives of a model: deeper or exacter ones that say the same, noisy ones that don't, others with another
vocabulary."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np

Row = tuple[Any, gguf.GGUFValueType, gguf.GGUFValueType | None]


def write_deeper(path: Path, model: Path, times: int) -> Path:
    """The same function with `times` as many layers: the added ones change nothing, but take their time."""
    reader = gguf.GGUFReader(model)
    prefix = f"{reader.fields['general.architecture'].contents()}.block_count"
    layers = int(reader.fields[prefix].contents())
    tensors = {tensor.name: tensor for tensor in reader.tensors}
    blocks = {name: tensor for name, tensor in tensors.items() if name.startswith("blk.0.")}
    writer = _begin(path, reader, {prefix: layers * times})
    for name, tensor in tensors.items():
        writer.add_tensor(name, np.asarray(tensor.data), raw_dtype=tensor.tensor_type)
    for layer in range(layers, layers * times):
        for name, tensor in blocks.items():
            adds = name.endswith(("attn_output.weight", "ffn_down.weight"))
            data = np.zeros_like(tensor.data) if adds else np.asarray(tensor.data)
            writer.add_tensor(name.replace("blk.0.", f"blk.{layer}."), data, raw_dtype=tensor.tensor_type)
    return _end(path, writer)


def write_exact(path: Path, model: Path) -> Path:
    """The same model in 32-bit floats: sums in another order, as in another batch, change the seventh digit only."""
    reader = gguf.GGUFReader(model)
    writer = _begin(path, reader, {"general.file_type": int(gguf.LlamaFileType.ALL_F32)})
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, gguf.dequantize(np.asarray(tensor.data), tensor.tensor_type))
    return _end(path, writer)


def write_noisy(path: Path, model: Path, strength: float, seed: int = 0) -> Path:
    """The same model with noise of `strength` times their spread on its attention weights."""
    reader = gguf.GGUFReader(model)
    random = np.random.default_rng(seed)
    writer = _begin(path, reader, {})
    for tensor in reader.tensors:
        data = np.asarray(tensor.data)
        if ".attn_" in tensor.name and "norm" not in tensor.name:
            values = gguf.dequantize(data, tensor.tensor_type)
            values += random.standard_normal(values.shape, dtype=np.float32) * np.float32(strength * values.std())
            data = gguf.quantize(values.astype(np.float32), tensor.tensor_type)
        writer.add_tensor(tensor.name, data, raw_dtype=tensor.tensor_type)
    return _end(path, writer)


def write_vocabulary(
    path: Path, model: Path, pieces: Mapping[int, str], *, padding: int = 0, is_unused: bool = True, **fields: int
) -> Path:
    """The same model with other spellings, or `padding` more tokens, and other fields (`eos_token_id=5`)."""
    reader = gguf.GGUFReader(model)
    tokens = [str(piece) for piece in reader.fields["tokenizer.ggml.tokens"].contents()]
    kinds = [int(kind) for kind in reader.fields["tokenizer.ggml.token_type"].contents()]
    for token, piece in pieces.items():
        tokens[token] = piece
    tokens += [f"[PAD{number}]" for number in range(padding)]
    kinds += [int(gguf.TokenType.UNUSED if is_unused else gguf.TokenType.NORMAL)] * padding
    changes: dict[str, Any] = {"tokenizer.ggml.tokens": tokens, "tokenizer.ggml.token_type": kinds}
    changes |= {f"tokenizer.ggml.{name}": value for name, value in fields.items()}
    changes["llama.vocab_size"] = len(tokens)
    writer = _begin(path, reader, changes)
    for tensor in reader.tensors:
        data = np.asarray(tensor.data)
        if padding and tensor.name in ("token_embd.weight", "output.weight"):
            data = np.concatenate([data, np.zeros((padding, *data.shape[1:]), dtype=data.dtype)])
        writer.add_tensor(tensor.name, data, raw_dtype=tensor.tensor_type)
    return _end(path, writer)


def _begin(path: Path, reader: gguf.GGUFReader, changes: Mapping[str, Any]) -> gguf.GGUFWriter:
    writer = gguf.GGUFWriter(path, str(reader.fields["general.architecture"].contents()))
    for name, field in reader.fields.items():
        if name.startswith("GGUF.") or name == "general.architecture":
            continue
        kind = field.types[0]
        inner = field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(name, changes.get(name, field.contents()), kind, sub_type=inner)
    return writer


def _end(path: Path, writer: gguf.GGUFWriter) -> Path:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
