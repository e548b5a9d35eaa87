"""How much memory a model will need, worked out from its header before anything is loaded.

A KV cell holds, for every layer that attends, the key and value vectors of one token. llama.cpp makes all cells at
the start, so this is what it takes, not what it may come to take. Sliding-window layers count in full: that is how
contexts are made here, because a shared prefix must not lose its window. Source: llama_kv_cache in llama.cpp.
"""

from dataclasses import dataclass
from typing import get_args

from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

from server.engine.gguf_header import Header
from server.engine.types import KvType

KV_TYPES: tuple[KvType, ...] = get_args(KvType)
_CELLS_COME_IN = 256
_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """Bytes by what they are for. The compute buffers come on top: tens to hundreds of MiB, by batch and vocabulary."""

    weights: int
    cells: int
    bytes_per_cell: int
    kv_type: KvType

    @property
    def kv(self) -> int:
        return self.cells * self.bytes_per_cell

    @property
    def total(self) -> int:
        return self.weights + self.kv

    def __str__(self) -> str:
        return (
            f"{self.weights / _MIB:,.1f} MiB of weights + {self.kv / _MIB:,.1f} MiB of KV "
            f"({self.cells:,} cells x {self.bytes_per_cell:,} bytes, {self.kv_type}) = "
            f"{self.total / _MIB:,.1f} MiB, and llama.cpp's compute buffers"
        )


def plan_memory(header: Header, cells: int, kv_type: KvType = "f16") -> MemoryPlan:
    """`cells`: tokens the KV cache is to hold; llama.cpp rounds them up to the next 256."""
    whole = -(-cells // _CELLS_COME_IN) * _CELLS_COME_IN
    return MemoryPlan(header.file_bytes, whole, _bytes_per_cell(header, kv_type), kv_type)


def kv_type_number(kv_type: KvType) -> int:
    """ggml's number of the type."""
    return int(GGMLQuantizationType[kv_type.upper()])


def _bytes_per_cell(header: Header, kv_type: KvType) -> int:
    """Over all layers; layers without KV heads (recurrent ones) hold none."""
    layers = header.number("block_count") or 0
    heads = header.by_layer("attention.head_count", layers)
    kv_heads = header.by_layer("attention.head_count_kv", layers) or heads
    width = (header.number("embedding_length") or 0) // max(heads, default=1) if any(heads) else 0
    key = header.number("attention.key_length") or width
    value = header.number("attention.value_length") or width
    if header.number("attention.kv_lora_rank") and header.number("attention.key_length_mla"):
        value = 0  # multi-head latent attention keeps keys only
    block, size = GGML_QUANT_SIZES[GGMLQuantizationType[kv_type.upper()]]
    return sum(count * length // block * size for count in kv_heads for length in (key, value))
