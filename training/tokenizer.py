"""A byte-level BPE tokenizer that Hugging Face's `tokenizers` and llama.cpp split alike, made for copying.

The pre-tokenizer is Qwen2's, which llama.cpp knows by the name `qwen2`
(https://huggingface.co/Qwen/Qwen2-0.5B/blob/main/tokenizer.json). No normalizer: llama.cpp has none for it.

A name has the same tokens in a sentence (" Vancouver"), in JSON ("Vancouver") and inside an identifier, because merges
are learnt on words alone, without the blank before them: what a small model has to copy is then a plain repetition.
Only frequent words that are hardly ever values (" the", " would") get a token with their blank, to keep texts short.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

PAD, END = "<|pad|>", "<|end|>"
CONTROL_TOKENS = (PAD, END, "<|system|>", "<|user|>", "<|assistant|>", "<|tool|>")
"""Structure: never part of a text."""
WORD_TOKENS = ("<tool_call>", "</tool_call>", "<tools>", "</tools>")
"""Text, but always one token."""
PRE_TOKENIZER = "qwen2"
"""llama.cpp's name for the pattern below (tokenizer.ggml.pre)."""

_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_LEARNING_PATTERN = r"\p{Lu}?[\p{Ll}\p{Lo}\p{Lm}\p{Lt}]+|\p{Lu}+(?!\p{Ll})|\p{N}|[^\s\p{L}\p{N}]+[\r\n]*|\s"
"""Finer than `_PATTERN`: blanks, words, and the words within a name in camel case apart."""
_BLANK = "Ġ"
"""A space in the byte-level alphabet."""
_ARGUMENTS = re.compile(r'<tool_call>\{"name":"[^"]*","arguments":(.*?)\}</tool_call>', re.DOTALL)
_VALUE = re.compile(r':"([^"]*)"')
_WORD = re.compile(r"[a-z]+")
_WORD_AFTER_BLANK = re.compile(r"(?<= )[a-z]+\b")
_BLANK_SHARE = 8
"""One in this many tokens is a word with its blank."""
_MOST_IN_VALUES = 0.02
"""A word that stands in arguments more often than this share of its uses is a value: it gets no token with a blank."""


def train_tokenizer(texts: Iterable[str], size: int) -> Tokenizer:
    """Learn `size` tokens (fewer from few texts), special ones and the 256 bytes included."""
    texts = list(texts)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = _pre_tokenizer(_LEARNING_PATTERN)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size - size // _BLANK_SHARE,
        special_tokens=[
            *(AddedToken(text, special=True, normalized=False) for text in CONTROL_TOKENS),
            *(AddedToken(text, special=False, normalized=False) for text in WORD_TOKENS),
        ],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return _with_blanks(tokenizer, texts, size)


def load_tokenizer(path: Path) -> Tokenizer:
    """Raises: FileNotFoundError."""
    if not path.is_file():
        raise FileNotFoundError(f"no tokenizer at {path}")
    return Tokenizer.from_file(str(path))


def token_id(tokenizer: Tokenizer, text: str) -> int:
    """The id of a special token. Raises: ValueError, if the tokenizer was made by other means and lacks it."""
    number = tokenizer.token_to_id(text)
    if number is None:
        raise ValueError(f"the tokenizer has no token {text}")
    return int(number)


def _with_blanks(tokenizer: Tokenizer, texts: list[str], size: int) -> Tokenizer:
    """The same with frequent words joined to the blank before them, by merges after all others."""
    document = json.loads(tokenizer.to_str())
    model = document["model"]
    for word in _frequent_words(texts):
        if len(model["vocab"]) >= size:
            break
        if word in model["vocab"] and _BLANK + word not in model["vocab"]:
            model["merges"].append([_BLANK, word])
            model["vocab"][_BLANK + word] = len(model["vocab"])
    widened = Tokenizer.from_str(json.dumps(document))
    widened.pre_tokenizer = _pre_tokenizer(_PATTERN)
    return widened


def _frequent_words(texts: list[str]) -> list[str]:
    """Words after a blank that are hardly ever values, the most frequent first."""
    said: Counter[str] = Counter()
    valued: Counter[str] = Counter()
    for text in texts:
        said.update(_WORD_AFTER_BLANK.findall(text))
        for arguments in _ARGUMENTS.findall(text):
            for value in _VALUE.findall(arguments):
                valued.update(_WORD.findall(value))
    return [word for word, count in said.most_common() if valued[word] <= count * _MOST_IN_VALUES]


def _pre_tokenizer(pattern: str) -> pre_tokenizers.Sequence:
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
