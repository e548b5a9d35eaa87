"""Weights and shape of any checkpoint of the architectures we know, written as GGUF.

llama.cpp rotates neighbouring pairs of a head's dimensions for llama and mistral, so their q and k are interleaved;
those of qwen and gemma are not. Gemma's norms multiply by one more than their weight, which llama.cpp wants added.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from numpy.typing import NDArray

from training.export.card import ExportError, Precision
from training.export.gate import F32_TOLERANCE, GELU_TOLERANCE
from training.export.gguf_file import GGML_TYPES, interleave_heads, separate_pairs

ARCHITECTURES = {
    "llama": gguf.MODEL_ARCH.LLAMA,
    "mistral": gguf.MODEL_ARCH.LLAMA,
    "qwen2": gguf.MODEL_ARCH.QWEN2,
    "qwen3": gguf.MODEL_ARCH.QWEN3,
    "gemma": gguf.MODEL_ARCH.GEMMA,
}
_INTERLEAVED = ("llama", "mistral")
_ROPE_BASE = 10_000.0
"""Of configurations that name none."""


@dataclass(frozen=True, slots=True)
class BaseModel:
    """What the conversion must know of a checkpoint."""

    folder: Path
    config: dict[str, Any]

    @property
    def kind(self) -> str:
        return str(self.config["model_type"])

    @property
    def architecture(self) -> str:
        """As GGUF calls it."""
        return gguf.MODEL_ARCH_NAMES[ARCHITECTURES[self.kind]]  # type: ignore[no-any-return]

    @property
    def head_size(self) -> int:
        heads = self.config["num_attention_heads"]
        return int(self.config.get("head_dim") or self.config["hidden_size"] // heads)

    def place_of(self, name: str) -> str:
        """Where llama.cpp has a tensor, with its suffix. Raises: ExportError."""
        names = gguf.get_tensor_name_map(ARCHITECTURES[self.kind], self.config["num_hidden_layers"])
        place = names.get_name(name, try_suffixes=(".weight", ".bias"))
        if place is None:
            raise ExportError(f"llama.cpp has no place for the tensor {name}")
        return str(place)

    def arranged(self, name: str, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """The output rows of a projection in llama.cpp's order. `name`: the checkpoint's, of weight, bias or module."""
        heads = self._turned_heads(name)
        return rows if heads is None else interleave_heads(rows, heads)

    def restored(self, name: str, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """The reverse of `arranged`."""
        heads = self._turned_heads(name)
        return rows if heads is None else separate_pairs(rows, heads)

    @property
    def tolerance(self) -> float:
        """Of a logit, in F32."""
        return GELU_TOLERANCE if self.kind == "gemma" else F32_TOLERANCE

    def is_shifted(self, name: str) -> bool:
        """Whether llama.cpp wants one added to a weight."""
        return self.kind == "gemma" and name.endswith("norm.weight")

    def _turned_heads(self, name: str) -> int | None:
        """Number of heads whose rows have another order in llama.cpp."""
        heads = {"q_proj": "num_attention_heads", "k_proj": "num_key_value_heads"}
        for projection, count in heads.items():
            if self.kind in _INTERLEAVED and f".{projection}" in name:
                return int(self.config.get(count) or self.config["num_attention_heads"])
        return None


def read_base(folder: Path) -> BaseModel:
    """Raises: ExportError, FileNotFoundError."""
    path = folder / "config.json"
    if not path.is_file():
        raise FileNotFoundError(f"{folder} is not a checkpoint: it has no config.json")
    config: dict[str, Any] = json.loads(path.read_text())
    if config.get("model_type") not in ARCHITECTURES:
        raise ExportError(f"can't export model_type {config.get('model_type')!r}; known: {', '.join(ARCHITECTURES)}")
    scaling = config.get("rope_parameters") or config.get("rope_scaling") or {}
    kind = scaling.get("rope_type") or scaling.get("type") or "default"  # the latter is transformers' older name
    if kind != "default":
        raise ExportError(f"can't export the scaled rotations {kind!r}")
    window = config.get("sliding_window") if config.get("use_sliding_window", True) else None
    if window and window < config["max_position_embeddings"]:
        raise ExportError(
            f"can't export attention to the last {window} tokens only: llama.cpp would attend to all "
            f"{config['max_position_embeddings']}; set max_position_embeddings to {window} in config.json"
        )
    return BaseModel(folder, config)


def write_weights(base: BaseModel, output: Path) -> None:
    """All in F32 and without a vocabulary: for gates, not for serving. Raises: ExportError."""
    write_model(base, output, lambda writer: writer.add_tokenizer_model("no_vocab"), "f32")


def write_model(
    base: BaseModel, output: Path, describe: Callable[[gguf.GGUFWriter], None], precision: Precision
) -> None:
    """`describe` adds the vocabulary and what else the file says. Raises: ExportError."""
    kind = GGML_TYPES[precision][0]
    writer = gguf.GGUFWriter(str(output), base.architecture)
    _add_shape(writer, base)
    describe(writer)
    for name, tensor in read_tensors(base.folder):
        if base.config.get("tie_word_embeddings", base.kind == "gemma") and name == "lm_head.weight":
            continue
        place, values = base.place_of(name), np.ascontiguousarray(base.arranged(name, tensor))
        if base.is_shifted(name):
            values = values + 1
        if values.ndim == 1 or precision == "f32":  # norms and biases stay exact
            writer.add_tensor(place, values)
        elif values.shape[-1] % 32:
            raise ExportError(f"{name} has rows of {values.shape[-1]}, no multiple of 32: take f16")
        else:
            writer.add_tensor(place, gguf.quants.quantize(values, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_shape(writer: gguf.GGUFWriter, base: BaseModel) -> None:
    config = base.config
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config.get("num_key_value_heads") or config["num_attention_heads"])
    writer.add_key_length(base.head_size)
    writer.add_value_length(base.head_size)
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    rope = config.get("rope_parameters") or {}
    writer.add_rope_freq_base(rope.get("rope_theta") or config.get("rope_theta") or _ROPE_BASE)
    writer.add_rope_dimension_count(base.head_size)
    writer.add_vocab_size(config["vocab_size"])


def read_tensors(folder: Path) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """By name, in F32: bfloat16 included, which numpy does not know. Raises: ExportError."""
    import torch
    from safetensors import safe_open

    paths = sorted(folder.glob("*.safetensors"))
    if not paths:
        raise ExportError(f"{folder} has no safetensors")
    for path in paths:
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118 - no mapping
                yield name, file.get_tensor(name).to(torch.float32).numpy()
