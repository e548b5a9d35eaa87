"""A byte-level BPE tokenizer that Hugging Face's `tokenizers` and llama.cpp split alike.

The pre-tokenizer is Qwen2's, which llama.cpp knows by the name `qwen2`
(https://huggingface.co/Qwen/Qwen2-0.5B/blob/main/tokenizer.json). No normalizer: llama.cpp has none for it.
"""

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


def train_tokenizer(texts: Iterable[str], size: int) -> Tokenizer:
    """Learn `size` tokens, special ones and the 256 bytes included."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PATTERN), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=[
            *(AddedToken(text, special=True, normalized=False) for text in CONTROL_TOKENS),
            *(AddedToken(text, special=False, normalized=False) for text in WORD_TOKENS),
        ],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


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
