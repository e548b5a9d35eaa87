"""Any checkpoint of the architectures we know as an exact GGUF file, weights and shape only.

It has no vocabulary: it is what the gate measures adapters against, not what one serves. llama.cpp rotates neighbouring
pairs of a head's dimensions for llama and mistral, so their q and k are interleaved; qwen's are not.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from numpy.typing import NDArray

from training.export.card import ExportError
from training.export.gguf_file import interleave_heads, separate_pairs

_ARCHITECTURES = {
    "llama": gguf.MODEL_ARCH.LLAMA,
    "mistral": gguf.MODEL_ARCH.LLAMA,
    "qwen2": gguf.MODEL_ARCH.QWEN2,
    "qwen3": gguf.MODEL_ARCH.QWEN3,
}
_INTERLEAVED = ("llama", "mistral")


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
        return gguf.MODEL_ARCH_NAMES[_ARCHITECTURES[self.kind]]  # type: ignore[no-any-return]

    @property
    def head_size(self) -> int:
        heads = self.config["num_attention_heads"]
        return int(self.config.get("head_dim") or self.config["hidden_size"] // heads)

    def place_of(self, name: str) -> str:
        """Where llama.cpp has a tensor, with its suffix. Raises: ExportError."""
        names = gguf.get_tensor_name_map(_ARCHITECTURES[self.kind], self.config["num_hidden_layers"])
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
    if config.get("model_type") not in _ARCHITECTURES:
        raise ExportError(f"can't export model_type {config.get('model_type')!r}; known: {', '.join(_ARCHITECTURES)}")
    kind = (config.get("rope_parameters") or config.get("rope_scaling") or {}).get("rope_type", "default")
    if kind != "default":
        raise ExportError(f"can't export the scaled rotations {kind!r}")
    return BaseModel(folder, config)


def write_weights(base: BaseModel, output: Path) -> None:
    """All in F32. Raises: ExportError."""
    writer = gguf.GGUFWriter(str(output), base.architecture)
    _add_shape(writer, base)
    writer.add_tokenizer_model("no_vocab")
    for name, tensor in read_tensors(base.folder):
        if base.config.get("tie_word_embeddings") and name == "lm_head.weight":
            continue
        writer.add_tensor(base.place_of(name), np.ascontiguousarray(base.arranged(name, tensor)))
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
    rope = config.get("rope_parameters") or config
    writer.add_rope_freq_base(rope["rope_theta"])
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
