"""A GGUF model as a checkpoint that torch can train: the export, backwards.

Quantized weights become F32, which is what llama.cpp takes them for too, so an adapter trained on the checkpoint fits
the file it came from. Made once for a file's contents and kept in the cache.
"""

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from numpy.typing import NDArray

from training.base.gguf_tokenizer import read_tokenizer
from training.export.card import ExportError
from training.export.weights import BaseModel

Fields = dict[str, Any]
_KINDS = {"llama": "llama", "qwen2": "qwen2", "qwen3": "qwen3"}
"""GGUF's name of an architecture to transformers' (mistral's files call themselves llama)."""
_FORM = 1
"""Part of the cache's key: another number when what is written changes."""


def checkpoint_of(model: Path, cache: Path | None = None) -> Path:
    """The folder of a model that may be a GGUF file. Raises: ExportError, FileNotFoundError."""
    if model.is_dir():
        return model
    if not model.is_file():
        raise FileNotFoundError(f"{model} is neither a GGUF file nor a folder with a model")
    folder = (cache or _cache_folder()) / _key(model)
    if not folder.exists():
        unfinished = folder.with_name(f"{folder.name}.{os.getpid()}")
        write_checkpoint(model, unfinished)
        try:
            unfinished.rename(folder)
        except OSError:  # another process was faster
            shutil.rmtree(unfinished)
    return folder


def write_checkpoint(model: Path, folder: Path) -> None:
    """config.json, model.safetensors and the tokenizer. Raises: ExportError."""
    from safetensors.numpy import save_file

    try:
        reader = gguf.GGUFReader(model)
    except (ValueError, IndexError, OSError) as error:
        raise ExportError(f"{model} is not a whole GGUF file ({error})") from error
    fields = {name: field.contents() for name, field in reader.fields.items()}
    config = _config(fields, {tensor.name for tensor in reader.tensors})
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = read_tokenizer(fields)
    base = BaseModel(folder, config)
    stored = {tensor.name: tensor for tensor in reader.tensors}
    weights: dict[str, NDArray[np.float32]] = {}
    for name, shape in _shapes(config).items():
        tensor = stored.pop(base.place_of(name), None)
        if tensor is None:
            raise ExportError(f"{model.name} has no {base.place_of(name)}")
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        weights[name] = np.ascontiguousarray(base.restored(name, values.reshape(shape)))
    if stored:
        raise ExportError(
            f"{model.name} has weights that {config['model_type']} lacks: {', '.join(sorted(stored)[:3])}"
        )
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    (folder / "config.json").write_text(json.dumps(config, indent=1))
    tokenizer.save_pretrained(folder)


def _config(fields: Fields, tensors: set[str]) -> dict[str, Any]:
    architecture = str(fields.get("general.architecture"))
    if (held := fields.get("general.type", "model")) != "model":
        raise ExportError(f"the GGUF file holds no model ({held}); name the model it is for")
    if architecture not in _KINDS:
        raise ExportError(f"can't train a GGUF of architecture {architecture!r}; known: {', '.join(_KINDS)}")

    def number(key: str, default: Any = None) -> Any:
        value = fields.get(f"{architecture}.{key}", default)
        if value is None:
            raise ExportError(f"the file has no {architecture}.{key}")
        return value

    scaling = fields.get(f"{architecture}.rope.scaling.type", "none")
    if scaling != "none" or "rope_freqs.weight" in tensors:
        raise ExportError("can't train a model with scaled rotations")
    heads, width = number("attention.head_count"), number("embedding_length")
    end, pad = fields["tokenizer.ggml.eos_token_id"], fields.get("tokenizer.ggml.padding_token_id")
    kind = _KINDS[architecture]
    return {
        "architectures": [f"{kind.capitalize()}ForCausalLM"],
        "model_type": kind,
        "vocab_size": len(fields["tokenizer.ggml.tokens"]),
        "hidden_size": width,
        "intermediate_size": number("feed_forward_length"),
        "num_hidden_layers": number("block_count"),
        "num_attention_heads": heads,
        "num_key_value_heads": number("attention.head_count_kv", heads),
        "head_dim": number("attention.key_length", width // heads),
        "max_position_embeddings": number("context_length"),
        "rms_norm_eps": number("attention.layer_norm_rms_epsilon"),
        "rope_parameters": {"rope_type": "default", "rope_theta": number("rope.freq_base", 10_000.0)},
        "tie_word_embeddings": "output.weight" not in tensors,
        "attention_bias": kind == "llama" and "blk.0.attn_q.bias" in tensors,
        "hidden_act": "silu",
        "bos_token_id": fields.get("tokenizer.ggml.bos_token_id", end),
        "eos_token_id": end,
        "pad_token_id": end if pad is None else pad,
        "dtype": "float32",
    }


def _shapes(config: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """Of all weights that are stored, by name, from a model that has none."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**config))
    names = {name: tuple(weight.shape) for name, weight in model.state_dict().items()}
    return {name: shape for name, shape in names.items() if not (config["tie_word_embeddings"] and "lm_head" in name)}


def _key(model: Path) -> str:
    with model.open("rb") as file:
        return f"{model.stem}-{_FORM}-{hashlib.file_digest(file, 'sha256').hexdigest()[:16]}"


def _cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "trammel" / "bases"
