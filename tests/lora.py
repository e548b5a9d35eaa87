"""Writes small LoRA files with random weights for a given model: strong enough to change what it says."""

from pathlib import Path

import gguf
import numpy as np


def write_lora(
    path: Path,
    model: Path,
    seed: int = 0,
    *,
    strength: float = 1.0,
    architecture: str = "",
    width: int = 0,
    trigger: tuple[int, ...] = (),
) -> Path:
    """`architecture` and `width`: for files that don't fit the model. `trigger`: tokens of an aLoRA."""
    reader = gguf.GGUFReader(model)
    own = str(reader.fields["general.architecture"].contents())
    writer = gguf.GGUFWriter(path, architecture or own)
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, 4.0)
    if trigger:
        key = gguf.Keys.Adapter.ALORA_INVOCATION_TOKENS
        writer.add_key_value(key, trigger, gguf.GGUFValueType.ARRAY, sub_type=gguf.GGUFValueType.UINT32)
    random = np.random.default_rng(seed)
    for tensor in reader.tensors:
        if tensor.name.endswith(("attn_q.weight", "attn_output.weight", "ffn_down.weight")):
            inside, outside = (width or int(tensor.shape[0])), int(tensor.shape[1])
            down = random.standard_normal((4, inside), dtype=np.float32) / np.float32(np.sqrt(inside))
            up = random.standard_normal((outside, 4), dtype=np.float32) * np.float32(strength)
            writer.add_tensor(f"{tensor.name}.lora_a", down)
            writer.add_tensor(f"{tensor.name}.lora_b", up)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
