"""A Hugging Face tokenizer as GGUF has it: byte-level BPE, or SentencePiece's BPE with byte fallback.

Byte-level: llama.cpp knows how text is cut before merging by a name, told here from the regular expression in
tokenizer.json. SentencePiece: llama.cpp merges by scores, of which only the order counts, and the order of the merges
gives it. Whether both sides cut alike is then tried on texts; the export fails if not.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf

from training.base.gguf_tokenizer import PATTERNS
from training.export.card import ExportError

Json = dict[str, Any]
_IN_ANY_CASE = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_IN_EACH_CASE = "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"
_NAMES = {pattern: name for name, pattern in reversed(PATTERNS.items())}
_SPECIAL = ("bos", "eos", "unk", "pad")


def vocabulary_writer(folder: Path, size: int) -> Callable[[gguf.GGUFWriter], None]:
    """What writes the tokenizer of a model with `size` embeddings into a file. Raises: ExportError."""
    from transformers import AutoTokenizer

    path = folder / "tokenizer.json"
    if not path.is_file():
        raise ExportError(f"{folder} has no tokenizer.json")
    described: Json = json.loads(path.read_text(encoding="utf-8"))
    if described["model"]["type"] != "BPE":
        raise ExportError(f"can't export a tokenizer of type {described['model']['type']!r}; known: BPE")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    if len(tokenizer) > size:
        raise ExportError(f"the tokenizer has {len(tokenizer)} tokens, but the model only {size}")
    is_sentencepiece = bool(described["model"].get("byte_fallback"))
    cut = "" if is_sentencepiece else _cut(described.get("pre_tokenizer") or {})

    def write(writer: gguf.GGUFWriter) -> None:
        tokens, types = _tokens(tokenizer, size)
        writer.add_tokenizer_model("llama" if is_sentencepiece else "gpt2")
        writer.add_tokenizer_pre("default" if is_sentencepiece else cut)
        writer.add_token_list(tokens)
        writer.add_token_types(types)
        merges = _merges(described)
        if is_sentencepiece:
            writer.add_token_scores(_scores(tokens, merges))
            writer.add_add_space_prefix(_has_space_prefix(described))
        else:
            writer.add_token_merges([" ".join(pair) for pair in merges])
        for name in _SPECIAL:
            number = getattr(tokenizer, f"{name}_token_id")
            if number is not None:
                getattr(writer, f"add_{name}_token_id")(number)
        begun = tokenizer.encode("", add_special_tokens=True)
        writer.add_add_bos_token(bool(begun) and begun[0] == tokenizer.bos_token_id)
        if tokenizer.chat_template:
            writer.add_chat_template(tokenizer.chat_template)

    return write


def _tokens(tokenizer: Any, size: int) -> tuple[list[str], list[gguf.TokenType]]:
    """Numbers that no token has are filled up, as embeddings are often padded."""
    added = tokenizer.added_tokens_decoder
    tokens: list[str] = []
    types: list[gguf.TokenType] = []
    for number in range(size):
        token = tokenizer.convert_ids_to_tokens(number) if number < len(tokenizer) else None
        tokens.append(f"[unused{number}]" if token is None else token)
        if token is None:
            types.append(gguf.TokenType.UNUSED)
        elif number == tokenizer.unk_token_id:
            types.append(gguf.TokenType.UNKNOWN)
        elif number in added:
            types.append(gguf.TokenType.CONTROL if added[number].special else gguf.TokenType.USER_DEFINED)
        else:
            is_byte = len(token) == 6 and token.startswith("<0x") and token.endswith(">")
            types.append(gguf.TokenType.BYTE if is_byte else gguf.TokenType.NORMAL)
    return tokens, types


def _merges(described: Json) -> list[tuple[str, str]]:
    pairs = (m.split(" ", 1) if isinstance(m, str) else m for m in described["model"]["merges"])
    return [(left, right) for left, right in pairs]


def _scores(tokens: list[str], merges: list[tuple[str, str]]) -> list[float]:
    """The earlier a token is merged, the higher its score."""
    ranks: dict[str, int] = {}
    for rank, (left, right) in enumerate(merges):
        ranks.setdefault(left + right, rank)
    return [-float(ranks.get(token, len(merges))) for token in tokens]


def _has_space_prefix(described: Json) -> bool:
    parts = [described.get("normalizer") or {}, described.get("pre_tokenizer") or {}]
    parts += [inner for part in parts for inner in part.get("normalizers", part.get("pretokenizers", []))]
    return any(
        (part.get("type") == "Prepend" and part.get("prepend") == "▁")
        or (part.get("type") == "Metaspace" and part.get("prepend_scheme", "always") != "never")
        for part in parts
    )


def _cut(pre_tokenizer: Json) -> str:
    """llama.cpp's name of a way to cut. Raises: ExportError."""
    parts = pre_tokenizer.get("pretokenizers", [pre_tokenizer])
    patterns = [
        part["pattern"]["Regex"] for part in parts if part.get("type") == "Split" and "Regex" in part["pattern"]
    ]
    if not patterns and any(part.get("type") == "ByteLevel" and part.get("use_regex", True) for part in parts):
        return "gpt-2"
    found = [_NAMES.get(pattern.replace(_IN_ANY_CASE, _IN_EACH_CASE)) for pattern in patterns]
    if len(found) != 1 or found[0] is None:
        raise ExportError(f"llama.cpp's name for this way to cut text is not known: {patterns or parts}")
    return found[0]
