"""Writes a llama-architecture checkpoint with its tokenizer and chat template as a GGUF file.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. llama.cpp rotates neighbouring pairs of a head's
dimensions where transformers rotates halves, so the rows of q and k are interleaved on the way.
"""

import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from training.export.card import ExportError, ModelCard, Precision
from training.tokenizer import CONTROL_TOKENS, END, PAD, PRE_TOKENIZER, WORD_TOKENS

GGML_TYPES = {
    "f32": (gguf.GGMLQuantizationType.F32, gguf.LlamaFileType.ALL_F32),
    "f16": (gguf.GGMLQuantizationType.F16, gguf.LlamaFileType.MOSTLY_F16),
    "q8_0": (gguf.GGMLQuantizationType.Q8_0, gguf.LlamaFileType.MOSTLY_Q8_0),
    "q4_0": (gguf.GGMLQuantizationType.Q4_0, gguf.LlamaFileType.MOSTLY_Q4_0),
}


def write_gguf(
    checkpoint: Path, tokenizer: Path, template: str, output: Path, card: ModelCard, precision: Precision
) -> None:
    """`checkpoint`: a folder with config.json and model.safetensors. Raises: ExportError, FileNotFoundError."""
    config = _read_config(checkpoint)
    writer = gguf.GGUFWriter(str(output), "llama")
    _add_shape(writer, config)
    add_card(writer, card, precision)
    _add_tokenizer(writer, Tokenizer.from_file(str(tokenizer)), config["vocab_size"])
    writer.add_chat_template(template)
    _add_tensors(writer, checkpoint, config, precision)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def interleave_heads(rows: NDArray[Any], heads: int) -> NDArray[Any]:
    """Reorder the rows of a q or k projection, shape (heads × size, …), from rotated halves to rotated pairs."""
    size = rows.shape[0] // heads
    return rows.reshape(heads, 2, size // 2, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)


def separate_pairs(rows: NDArray[Any], heads: int) -> NDArray[Any]:
    """The reverse of `interleave_heads`."""
    size = rows.shape[0] // heads
    return rows.reshape(heads, size // 2, 2, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)


def _read_config(checkpoint: Path) -> dict[str, Any]:
    path = checkpoint / "config.json"
    if not path.is_file():
        raise FileNotFoundError(f"{checkpoint} is not a checkpoint: it has no config.json")
    config: dict[str, Any] = json.loads(path.read_text())
    if config.get("model_type") != "llama":
        raise ExportError(f"can't export model_type {config.get('model_type')!r}; known: llama")
    return config


def _add_shape(writer: gguf.GGUFWriter, config: dict[str, Any]) -> None:
    heads = config["num_attention_heads"]
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    rope = config.get("rope_parameters") or config
    writer.add_rope_freq_base(rope["rope_theta"])
    writer.add_rope_dimension_count(config["hidden_size"] // heads)
    writer.add_vocab_size(config["vocab_size"])


def add_card(writer: gguf.GGUFWriter, card: ModelCard, precision: Precision) -> None:
    """What the file says about itself."""
    writer.add_name(card.name)
    if card.description:
        writer.add_description(card.description)
    if card.license:
        writer.add_license(card.license)
    if card.temperature is not None:
        writer.add_float32("general.sampling.temp", card.temperature)
    writer.add_file_type(GGML_TYPES[precision][1])


def _add_tokenizer(writer: gguf.GGUFWriter, tokenizer: Tokenizer, size: int) -> None:
    model = json.loads(tokenizer.to_str())["model"]
    tokens = [tokenizer.id_to_token(i) or f"[unused{i}]" for i in range(size)]
    kinds = dict.fromkeys(CONTROL_TOKENS, gguf.TokenType.CONTROL) | dict.fromkeys(
        WORD_TOKENS, gguf.TokenType.USER_DEFINED
    )
    known = tokenizer.get_vocab_size()
    types = [
        kinds.get(token, gguf.TokenType.NORMAL) if i < known else gguf.TokenType.UNUSED
        for i, token in enumerate(tokens)
    ]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(PRE_TOKENIZER)
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in model["merges"]])
    writer.add_eos_token_id(tokenizer.token_to_id(END))
    writer.add_eot_token_id(tokenizer.token_to_id(END))
    writer.add_pad_token_id(tokenizer.token_to_id(PAD))
    writer.add_add_bos_token(False)


def _add_tensors(writer: gguf.GGUFWriter, checkpoint: Path, config: dict[str, Any], precision: Precision) -> None:
    from safetensors.numpy import load_file

    kind = GGML_TYPES[precision][0]
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config["num_hidden_layers"])
    heads = {"q_proj": config["num_attention_heads"], "k_proj": config["num_key_value_heads"]}
    for name, tensor in load_file(checkpoint / "model.safetensors").items():
        target = names.get_name(name, try_suffixes=(".weight", ".bias"))
        if target is None:
            raise ExportError(f"llama.cpp has no place for the tensor {name}")
        values = tensor.astype(np.float32)
        for projection, count in heads.items():
            if f"{projection}.weight" in name:
                values = interleave_heads(values, count)
        if values.ndim == 1 or precision == "f32":  # norms stay exact
            writer.add_tensor(target, values)
        else:
            writer.add_tensor(target, gguf.quants.quantize(values, kind), raw_dtype=kind)
