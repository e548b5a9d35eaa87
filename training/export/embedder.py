"""A BERT embedding model (sentence-transformers' folder) as GGUF, with its WordPiece vocabulary and its pooling.

llama.cpp marks beginnings of words where BERT marks their continuations (`##`), so tokens are turned over; it lowers
case and strips accents always, so a cased model is refused. The pooler on top of [CLS] is no part of an embedding.
"""

import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import gguf
import numpy as np
from tokenizers import Tokenizer

from training.export.card import ExportError, ModelCard, Precision
from training.export.embedder_gate import check_same_vectors
from training.export.gguf_file import GGML_TYPES, add_card
from training.export.weights import read_tensors

Config = dict[str, Any]
_POOLING = {"mean": gguf.PoolingType.MEAN, "cls": gguf.PoolingType.CLS}
_LEFT_OUT = ("embeddings.position_ids", "pooler.", "cls.")
_EXACT = ("position_embd.weight", "token_types.weight")
"""llama.cpp adds them up unread."""
_SPECIAL = {"bos": "[CLS]", "eos": "[SEP]", "sep": "[SEP]", "unk": "[UNK]", "pad": "[PAD]", "mask": "[MASK]"}


def is_embedder(folder: Path) -> bool:
    path = folder / "config.json"
    return path.is_file() and json.loads(path.read_text()).get("model_type") == "bert"


def export_embedder(
    folder: Path, output: Path, card: ModelCard, precision: Precision = "q8_0", say: Callable[[str], None] = print
) -> float:
    """Write `output`, unless llama.cpp's vectors are others than torch's.

    Returns the smallest cosine between them over a few texts, of the exact weights. Raises: ExportError.
    """
    config: Config = json.loads((folder / "config.json").read_text())
    pooling = _pooling(folder)
    tokenizer = _tokenizer(folder)
    with TemporaryDirectory() as temporary:
        exact = Path(temporary) / "exact.gguf"
        _write(folder, config, tokenizer, pooling, exact, card, "f32")
        worst = check_same_vectors(folder, exact, pooling)
        say(f"F32: smallest cosine {worst:.6f}")
    _write(folder, config, tokenizer, pooling, output, card, precision)
    if precision != "f32":
        say(f"{precision}: smallest cosine {check_same_vectors(folder, output, pooling, -1):.6f}")
    say(f"wrote {output}, {output.stat().st_size / 1e6:.1f} MB")
    return worst


def _write(
    folder: Path,
    config: Config,
    tokenizer: Tokenizer,
    pooling: str,
    output: Path,
    card: ModelCard,
    precision: Precision,
) -> None:
    writer = gguf.GGUFWriter(str(output), "bert")
    _add_shape(writer, config)
    writer.add_pooling_type(_POOLING[pooling])
    add_card(writer, card, precision)
    _add_tokens(writer, tokenizer, config)
    kind = GGML_TYPES[precision][0]
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.BERT, config["num_hidden_layers"])
    for stored, values in read_tensors(folder):
        name = stored.removeprefix("bert.").replace(".gamma", ".weight").replace(".beta", ".bias")
        if name.startswith(_LEFT_OUT):
            continue
        place = names.get_name(name, try_suffixes=(".weight", ".bias"))
        if place is None:
            raise ExportError(f"llama.cpp has no place for the tensor {stored}")
        if values.ndim == 1 or place in _EXACT or precision == "f32":
            writer.add_tensor(place, np.ascontiguousarray(values))
        else:
            writer.add_tensor(place, gguf.quants.quantize(values, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_shape(writer: gguf.GGUFWriter, config: Config) -> None:
    if (kind := config.get("position_embedding_type", "absolute")) != "absolute":
        raise ExportError(f"can't export the position embeddings {kind!r}")
    if config.get("hidden_act") != "gelu":
        raise ExportError(f"can't export the activation {config.get('hidden_act')!r}; known: gelu")
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_layer_norm_eps(config["layer_norm_eps"])
    writer.add_causal_attention(False)
    writer.add_token_type_count(config.get("type_vocab_size", 1))


def _add_tokens(writer: gguf.GGUFWriter, tokenizer: Tokenizer, config: Config) -> None:
    names = [tokenizer.id_to_token(number) or f"[unused{number}]" for number in range(config["vocab_size"])]
    special = {token.content for token in tokenizer.get_added_tokens_decoder().values() if token.special}
    writer.add_tokenizer_model("bert")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([name if name in special else _turned(name) for name in names])
    types = (gguf.TokenType.CONTROL if name in special else gguf.TokenType.NORMAL for name in names)
    writer.add_token_types(list(types))
    for key, name in _SPECIAL.items():
        number = tokenizer.token_to_id(name)
        if number is not None:
            getattr(writer, f"add_{key}_token_id")(number)


def _turned(name: str) -> str:
    return name.removeprefix("##") if name.startswith("##") else f"\u2581{name}"


def _tokenizer(folder: Path) -> Tokenizer:
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise ExportError(f"{folder} has no tokenizer.json")
    described = json.loads(path.read_text(encoding="utf-8"))
    if described["model"]["type"] != "WordPiece":
        raise ExportError(f"can't export a tokenizer of type {described['model']['type']!r}; known: WordPiece")
    if not (described.get("normalizer") or {}).get("lowercase"):
        raise ExportError("llama.cpp lowers the case of all text, and this model does not")
    return Tokenizer.from_file(str(path))


def _pooling(folder: Path) -> str:
    """As sentence-transformers' folder says; mean where it says nothing."""
    path = folder / "1_Pooling" / "config.json"
    modes = json.loads(path.read_text()) if path.is_file() else {"pooling_mode_mean_tokens": True}
    for mode, name in (("mean_tokens", "mean"), ("cls_token", "cls")):
        if modes.get(f"pooling_mode_{mode}"):
            return name
    raise ExportError(f"can't export the pooling of {path}; known: mean, cls")
