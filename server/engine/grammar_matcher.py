"""A grammar at work: which tokens may come next, and which must.

llguidance (https://github.com/guidance-ai/llguidance) walks our grammar token by token. Building its lexer costs
milliseconds, copying a built one microseconds; so one prototype a grammar is kept and every sequence gets a copy.
"""

import threading
from collections import OrderedDict

import numpy as np
from llguidance import LLMatcher, LLParserLimits, LLTokenizer
from llguidance.gbnf_to_lark import gbnf_to_lark

from server.engine.errors import GenerationError, InvalidGrammarError
from server.engine.token_set import TokenSet
from server.engine.types import Constraint

_LIMITS = LLParserLimits(
    max_items_in_row=20_000, step_max_items=500_000, initial_lexer_fuel=5_000_000, step_lexer_fuel=1_000_000
)
"""Five to ten times llguidance's own, which the largest real schemas exceed."""


class GrammarMatcher:
    """The state of one sequence in its grammar."""

    def __init__(self, matcher: LLMatcher, vocabulary_size: int) -> None:
        self._matcher = matcher
        self._size = vocabulary_size
        self._bits = np.zeros((vocabulary_size + 31) // 32, dtype=np.int32)

    def copy(self) -> "GrammarMatcher":
        return GrammarMatcher(self._matcher.deep_copy(), self._size)

    @property
    def is_complete(self) -> bool:
        """The text is whole and nothing can follow it."""
        return bool(self._matcher.is_stopped())

    def allowed(self) -> TokenSet:
        """All tokens that may come next; the end tokens are among them where the text may end."""
        self._matcher.unsafe_compute_mask_ptr(self._bits.ctypes.data, self._bits.nbytes)
        self._raise_on_error()
        return TokenSet.of_bits(self._bits, self._size)

    def accept(self, tokens: list[int]) -> None:
        """Move on over tokens that `allowed` or `forced` gave."""
        self._matcher.consume_tokens(tokens)
        self._raise_on_error()

    def can_accept(self, tokens: list[int]) -> bool:
        return bool(self._matcher.validate_tokens(tokens) == len(tokens))

    def take_forced(self) -> list[int]:
        """Tokens the grammar leaves no choice about, tokenized as the model would have; already accepted."""
        if self._matcher.is_stopped():
            return []
        tokens: list[int] = self._matcher.compute_ff_tokens()
        if tokens:
            self.accept(tokens)
        return tokens

    def _raise_on_error(self) -> None:
        if self._matcher.is_error():
            raise GenerationError(f"The grammar can't be followed: {_first_line(self._matcher.get_error())}")


class GrammarCache:
    """Compiles grammars, each once while it is among the last `capacity` used. Thread-safe."""

    def __init__(self, tokenizer: LLTokenizer, vocabulary_size: int, capacity: int = 128) -> None:
        self._tokenizer = tokenizer
        self._vocabulary_size = vocabulary_size
        self._capacity = capacity
        self._prototypes: OrderedDict[str, LLMatcher] = OrderedDict()
        self._lock = threading.Lock()

    def matcher(self, constraint: Constraint) -> GrammarMatcher:
        """A fresh matcher. Raises: InvalidGrammarError, with the reader's own words."""
        text = constraint.lark if constraint.lark is not None else constraint.gbnf
        with self._lock:
            prototype = self._prototypes.get(text)
            if prototype is not None:
                self._prototypes.move_to_end(text)
        if prototype is None:
            prototype = self._compile(constraint)
            with self._lock:
                self._prototypes[text] = prototype
                while len(self._prototypes) > self._capacity:
                    self._prototypes.popitem(last=False)
        return GrammarMatcher(prototype.deep_copy(), self._vocabulary_size)

    def _compile(self, constraint: Constraint) -> LLMatcher:
        try:
            lark = constraint.lark if constraint.lark is not None else gbnf_to_lark(constraint.gbnf)
        except Exception as error:  # for a rule that is used but not defined it raises a plain one
            raise InvalidGrammarError(f"The grammar can't be read as GBNF: {_first_line(str(error))}") from error
        matcher = LLMatcher(self._tokenizer, lark, log_level=0, limits=_LIMITS)
        if matcher.is_error():
            raise InvalidGrammarError(f"The grammar can't be compiled: {_first_line(matcher.get_error())}")
        return matcher


def _first_line(text: str) -> str:
    return text.strip().split("\n", 1)[0]
