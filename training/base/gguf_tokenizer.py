"""The tokenizer of a GGUF file as Hugging Face's `tokenizers` has it: byte-level BPE, split as llama.cpp splits.

No normalizer: llama.cpp has none for these, and what is trained must be cut as what is served. Patterns: llama.cpp,
`src/llama-vocab.cpp`, by `tokenizer.ggml.pre`.
"""

from typing import Any

import gguf
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from training.export.card import ExportError

Fields = dict[str, Any]
_LLAMA3 = (
    r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
PATTERNS = {
    "qwen2": _LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}"),
    "llama-bpe": _LLAMA3,
    "llama3": _LLAMA3,
    "smaug-bpe": _LLAMA3,
    "gpt-2": r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
}
"""How text is cut before merging, by llama.cpp's names."""
_SPECIAL = {"bos": "bos_token", "eos": "eos_token", "padding": "pad_token", "unknown": "unk_token"}


def read_tokenizer(fields: Fields) -> PreTrainedTokenizerFast:
    """`fields`: the file's metadata. Raises: ExportError, for a tokenizer that is of another kind."""
    kind, cut = fields.get("tokenizer.ggml.model"), fields.get("tokenizer.ggml.pre", "default")
    if kind != "gpt2" or cut not in PATTERNS:
        known = ", ".join(PATTERNS)
        raise ExportError(f"can't make a tokenizer of {kind!r} cut as {cut!r}; known: gpt2 cut as {known}")
    tokens: list[str] = fields["tokenizer.ggml.tokens"]
    tokenizer = _byte_pairs(tokens, fields["tokenizer.ggml.merges"], PATTERNS[cut])
    types = fields.get("tokenizer.ggml.token_type") or []
    tokenizer.add_tokens(
        [_whole(token, type_) for token, type_ in zip(tokens, types, strict=False) if _is_whole(type_)]
    )
    named = {
        name: tokens[number]
        for key, name in _SPECIAL.items()
        if (number := fields.get(f"tokenizer.ggml.{key}_token_id")) is not None
    }
    named.setdefault("pad_token", named["eos_token"])
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **named, clean_up_tokenization_spaces=False)
    fast.chat_template = fields.get("tokenizer.chat_template")
    return fast


def _byte_pairs(tokens: list[str], merges: list[str], pattern: str) -> Tokenizer:
    pairs = [(left, right) for left, _, right in (merge.partition(" ") for merge in merges)]
    tokenizer = Tokenizer(models.BPE({token: number for number, token in enumerate(tokens)}, pairs))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _is_whole(type_: int) -> bool:
    return type_ in (gguf.TokenType.CONTROL, gguf.TokenType.USER_DEFINED)


def _whole(token: str, type_: int) -> AddedToken:
    return AddedToken(token, special=type_ == gguf.TokenType.CONTROL, normalized=False)
