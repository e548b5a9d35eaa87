"""The model's vocabulary: text to tokens, tokens to bytes, and the same vocabulary as the mask engine reads it.

llama.cpp knows three kinds of token that matter here: normal ones, user-defined ones (whole words of text such as
`<tool_call>` that the tokenizer never splits) and control ones (`<|im_end|>`: structure, never text). A grammar is
about text, so it may produce the first two kinds only.
"""

import codecs
import ctypes
from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import takewhile
from typing import Any

import llama_cpp.llama_cpp as llama
import numpy as np
from llguidance import LLTokenizer
from numpy.typing import NDArray

from server.engine.errors import GenerationError, InvalidRequestError

_SPECIAL_MARK = b"\xff"
"""llguidance's mark before the name of a token that no text spells."""
_HIDDEN = llama.LLAMA_TOKEN_ATTR_CONTROL | llama.LLAMA_TOKEN_ATTR_UNKNOWN | llama.LLAMA_TOKEN_ATTR_UNUSED
"""Attributes of tokens that no text spells."""
_TOKENIZE = ctypes.CFUNCTYPE(
    ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int32, ctypes.POINTER(ctypes.c_int32), ctypes.c_int32,
    ctypes.c_bool, ctypes.c_bool,
)  # fmt: skip
"""The type of `llama_tokenize`."""


class Vocabulary:
    """All tokens of a model. Built once for a model; reading it is thread-safe."""

    def __init__(self, model: object) -> None:
        """`model`: a llama_model pointer, which must outlive this object."""
        self._vocab = llama.llama_model_get_vocab(model)
        self.size: int = llama.llama_vocab_n_tokens(self._vocab)
        self.add_bos: bool = llama.llama_vocab_get_add_bos(self._vocab)
        self.bos: int = llama.llama_vocab_bos(self._vocab)
        self.eos: int = llama.llama_vocab_eos(self._vocab)
        self.end_tokens = frozenset(t for t in range(self.size) if llama.llama_vocab_is_eog(self._vocab, t))
        """Tokens that end a generation (end of text, end of turn …)."""
        self._spoken: frozenset[int] = frozenset()

    def tokenize(self, text: str, *, parse_special: bool = True, add_special: bool = False) -> tuple[int, ...]:
        """Token ids of a text; `add_special` puts around it what the model wants there (BOS, [CLS], EOS …).

        `parse_special` reads names of control tokens (`<|im_end|>`) as those tokens, not as letters.
        """
        data = text.encode("utf-8", errors="replace")
        return tuple(self._tokens(data, parse_special=parse_special, add_special=add_special))

    def speak(self, texts: Iterable[str]) -> None:
        """Read the control tokens that these texts spell as text: the marks of a model's tool calls (`[TOOL_CALLS]`).

        A grammar can then ask for them and an answer's text has them. Before anything else is asked of the vocabulary.
        """
        spelled = {token for text in texts for token in self.tokenize(text)} - self.end_tokens
        self._spoken = frozenset(t for t in spelled if llama.llama_vocab_get_attr(self._vocab, t) & _HIDDEN)

    def _tokens(self, data: bytes, *, parse_special: bool, add_special: bool = False) -> list[int]:
        room = len(data) + 16
        tokens = (llama.llama_token * room)()
        count = llama.llama_tokenize(self._vocab, data, len(data), tokens, room, add_special, parse_special)
        if count < 0:
            raise InvalidRequestError("messages", f"The text needs {-count} tokens, more than its {room} bytes.")
        return list(tokens[:count])

    def _cut(self, data: bytes) -> list[int]:
        """Tokens of a text that is nobody's message: spoken control tokens are found in it, others are letters."""
        decoded = data.decode("utf-8", errors="replace") if self._spoken else ""
        if any(self.name(token) in decoded for token in self._spoken):
            parse_special = not any(name in decoded for name in self._unspoken_names)
            tokens = self._tokens(data, parse_special=parse_special)
            if b"".join(self.pieces[token] for token in tokens) == data:
                return tokens
        return self._tokens(data, parse_special=False)

    @cached_property
    def _unspoken_names(self) -> frozenset[str]:
        return self.control_names - {self.name(token) for token in self._spoken}

    def recut(self, before: list[int], tokens: list[int]) -> list[int]:
        """`tokens` as `tokenize` cuts their text when it stands behind `before`.

        They are given back as they are where their text is no text (part of a character), where the tokenizer would not
        cut between the two, or where it changes the text; and from the first spoken mark on: that is one token.
        """
        marks = [place for place, token in enumerate(tokens) if token in self._spoken]
        if marks:
            return [*self.recut(before, tokens[: marks[0]]), *tokens[marks[0] :]] if marks[0] else tokens
        spelled = b"".join(self.pieces[token] for token in tokens)
        behind_marks = takewhile(lambda token: token not in self._spoken, reversed(before))
        context = b"".join(reversed([self.pieces[token] for token in behind_marks]))
        try:
            text = context.decode("utf-8", errors="ignore") + spelled.decode("utf-8")
        except UnicodeDecodeError:
            return tokens
        cut = self._cut(text.encode())
        length, place = 0, len(cut)
        while length < len(spelled) and place > 0:
            place -= 1
            length += len(self.pieces[cut[place]])
        recut = list(cut[place:])
        return recut if b"".join(self.pieces[token] for token in recut) == spelled else tokens

    def count_within(self, tokens: Sequence[int], length: int) -> int:
        """How many of the first tokens it takes to spell so many characters."""
        decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        count = 0
        while length > 0 and count < len(tokens):
            length -= len(decoder.decode(self.pieces[tokens[count]]))
            count += 1
        return count

    def spelled(self, data: bytes) -> list[int]:
        """Tokens of exactly these bytes, as the tokenizer cuts them if it keeps them as they are.

        Raises: GenerationError, if no tokens spell them.
        """
        if _is_text(data):
            tokens = self._cut(data)
            if b"".join(self.pieces[token] for token in tokens) == data:
                return tokens
        return self._spelled_greedily(data)

    def _spelled_greedily(self, data: bytes) -> list[int]:
        tokens: list[int] = []
        longest = max(map(len, self._by_piece), default=0)
        while data:
            lengths = range(min(longest, len(data)), 0, -1)
            length = next((length for length in lengths if data[:length] in self._by_piece), None)
            if length is None:
                raise GenerationError(f"This model's vocabulary has no token for the byte {data[0]:#04x}.")
            tokens.append(self._by_piece[data[:length]])
            data = data[length:]
        return tokens

    @cached_property
    def _by_piece(self) -> dict[bytes, int]:
        """Tokens that spell something by what they spell, the first of several."""
        return {piece: token for token, piece in reversed(list(enumerate(self.pieces))) if piece}

    @property
    def handle(self) -> object:
        """The llama_vocab pointer."""
        return self._vocab

    @cached_property
    def speakable(self) -> NDArray[np.int64]:
        """Tokens a grammar may deal with: those that spell text, and those that end it."""
        ends = np.isin(np.arange(self.size), list(self.end_tokens))
        return np.flatnonzero(~self._is_control | ends)

    @cached_property
    def pieces(self) -> list[bytes]:
        """What each token adds to the text, in bytes; control tokens add nothing."""
        return [b"" if control else self._piece(token) for token, control in enumerate(self._is_control)]

    def name(self, token: int) -> str:
        """The token as it is spelled in templates, control tokens included; empty if the model has no such token."""
        return self._piece(token).decode("utf-8", errors="replace") if 0 <= token < self.size else ""

    def marks(self, texts: Iterable[str]) -> list[int]:
        """Those of the texts that are a token of their own, and end no generation."""
        tokens = {cut[0] for text in texts if len(cut := self.tokenize(text)) == 1}
        names = self.control_names | self.word_names
        return sorted(token for token in tokens - self.end_tokens if self.name(token) in names)

    @cached_property
    def control_names(self) -> frozenset[str]:
        """The spellings that `tokenize` reads as control tokens."""
        return self._names_with(llama.LLAMA_TOKEN_ATTR_CONTROL | llama.LLAMA_TOKEN_ATTR_UNKNOWN)

    @cached_property
    def word_names(self) -> frozenset[str]:
        """The user-defined tokens that look like marks (`<tool_call>`), not like words, numbers or white space."""
        names = self._names_with(llama.LLAMA_TOKEN_ATTR_USER_DEFINED)
        return frozenset(name for name in names if any(map(str.isalpha, name)) and not name.replace(" ", "").isalnum())

    def _names_with(self, attributes: int) -> frozenset[str]:
        wanted = (t for t in range(self.size) if llama.llama_vocab_get_attr(self._vocab, t) & attributes)
        return frozenset(name for name in map(self.name, wanted) if name)

    @cached_property
    def mask_tokenizer(self) -> LLTokenizer:
        """The vocabulary as llguidance needs it. Costs about a second for 150,000 tokens, once."""
        names = [
            _SPECIAL_MARK + self._piece(token) if control else self.pieces[token]
            for token, control in enumerate(self._is_control)
        ]
        function = self._tokenize_marks if self._spoken else llama._lib.llama_tokenize  # noqa: SLF001 - llguidance needs it
        tokenize = ctypes.cast(function, ctypes.c_void_p).value
        ends = [self.eos, *sorted(self.end_tokens - {self.eos})] if self.eos >= 0 else sorted(self.end_tokens)
        return LLTokenizer.from_llamacpp(
            tokens=names, vocab_ptr=self._vocab, tokenize_fptr=tokenize, eos_token=ends, slices=None
        )

    @cached_property
    def _tokenize_marks(self) -> Any:
        """`_cut` with the signature of `llama_tokenize`, for llguidance."""

        def tokenize(_: int, text: int, length: int, found: Any, room: int, *__: bool) -> int:
            tokens = self._cut(ctypes.string_at(text, length))
            if len(tokens) > room:
                return -len(tokens)
            for place, token in enumerate(tokens):
                found[place] = token
            return len(tokens)

        return _TOKENIZE(tokenize)

    @cached_property
    def _is_control(self) -> NDArray[np.bool_]:
        attributes = (
            0 if token in self._spoken else llama.llama_vocab_get_attr(self._vocab, token) for token in range(self.size)
        )
        return np.fromiter((bool(a & _HIDDEN) for a in attributes), dtype=np.bool_, count=self.size)

    def _piece(self, token: int) -> bytes:
        room = 64
        while True:
            buffer = ctypes.create_string_buffer(room)
            length = llama.llama_token_to_piece(self._vocab, token, buffer, room, 0, True)
            if length >= 0:
                return buffer.raw[:length]
            room = -length


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
