"""llama.cpp's own grammar sampler as the second constraint engine: it needs nothing beside llama.cpp, and is slower.

It marks the tokens of a candidate list that the grammar forbids, so a mask is one pass over the whole vocabulary
(about 25 ms for 150,000 tokens, where llguidance takes 0.05). It says nothing of what is forced; a token is, where it
is the only one. And it aborts the process on a token that it does not allow: only what `allowed` or `can_accept`
admitted may be accepted.
"""

import ctypes
import threading
from collections import OrderedDict
from typing import Any

import llama_cpp.llama_cpp as llama
import numpy as np

from server.engine import llama_log
from server.engine.errors import InvalidGrammarError
from server.engine.token_set import TokenIds, TokenSet
from server.engine.types import Constraint
from server.engine.vocabulary import Vocabulary

_CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])
"""llama_token_data."""


class NativeMatcher:
    """The state of one sequence in its grammar."""

    def __init__(self, sampler: Any, vocabulary: Vocabulary) -> None:
        """Takes the sampler over, and frees it."""
        self._sampler = sampler
        self._vocabulary = vocabulary
        self._allowed: TokenSet | None = None
        """The mask here, once it has been asked for."""

    def __del__(self) -> None:
        llama.llama_sampler_free(self._sampler)

    def copy(self) -> "NativeMatcher":
        other = NativeMatcher(llama.llama_sampler_clone(self._sampler), self._vocabulary)
        other._allowed = self._allowed
        return other

    @property
    def is_complete(self) -> bool:
        """The text is whole and nothing can follow it."""
        return all(token in self._vocabulary.end_tokens for token in self.allowed().ids.tolist())

    def allowed(self) -> TokenSet:
        """All tokens that may come next; the end tokens are among them where the text may end."""
        if self._allowed is None:
            self._allowed = TokenSet(self._filter(self._vocabulary.speakable), self._vocabulary.size)
        return self._allowed

    def accept(self, tokens: list[int]) -> None:
        """Move on over tokens that `allowed` or `can_accept` admitted."""
        for token in tokens:
            llama.llama_sampler_accept(self._sampler, token)
        self._allowed = None

    def can_accept(self, tokens: list[int]) -> bool:
        probe = self.copy()
        for token in tokens:
            if not probe._filter(np.array([token], dtype=np.int64)).size:  # noqa: SLF001 - one of its own kind
                return False
            probe.accept([token])
        return True

    def take_forced(self) -> list[int]:
        """Tokens without an alternative; already accepted."""
        forced: list[int] = []
        while len(allowed := self.allowed()) == 1 and allowed.token(0) not in self._vocabulary.end_tokens:
            forced.append(allowed.token(0))
            self.accept(forced[-1:])
        return forced

    def _filter(self, tokens: TokenIds) -> TokenIds:
        candidates = np.zeros(tokens.size, dtype=_CANDIDATE)
        candidates["id"] = tokens
        array = llama.llama_token_data_array(
            data=candidates.ctypes.data_as(llama.llama_token_data_p),
            size=tokens.size,
            selected=-1,
            sorted=False,
        )
        llama.llama_sampler_apply(self._sampler, ctypes.byref(array))
        kept: TokenIds = tokens[np.isfinite(candidates["logit"])]
        return kept


class NativeGrammars:
    """Reads grammars, each once while it is among the last `capacity` used. Thread-safe."""

    def __init__(self, vocabulary: Vocabulary, capacity: int = 128) -> None:
        self._vocabulary = vocabulary
        self._capacity = capacity
        self._prototypes: OrderedDict[str, NativeMatcher] = OrderedDict()
        self._lock = threading.Lock()

    def matcher(self, constraint: Constraint) -> NativeMatcher:
        """A fresh matcher. Raises: InvalidGrammarError, with the reader's own words."""
        with self._lock:
            prototype = self._prototypes.pop(constraint.gbnf, None) or self._read(constraint.gbnf)
            self._prototypes[constraint.gbnf] = prototype
            while len(self._prototypes) > self._capacity:
                self._prototypes.popitem(last=False)
            return prototype.copy()

    def _read(self, gbnf: str) -> NativeMatcher:
        with llama_log.captured() as log:
            sampler = llama.llama_sampler_init_grammar(self._vocabulary.handle, gbnf.encode(), b"root")
        if not sampler:
            reason = log[0] if log else "llama.cpp gave no reason"
            raise InvalidGrammarError(f"The grammar can't be read by llama.cpp: {reason}")
        return NativeMatcher(sampler, self._vocabulary)
