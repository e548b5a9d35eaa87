"""Whether a grammar admits a text, and if not, where it stops.

llguidance does the walking, byte by byte; it is imported only here and only when asked, so that compiling schemas
needs nothing but Python. A recogniser of our own would be a second reading of the grammar, and the question is what
the engine will do.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

from grammars.emit import CompiledGrammar

ENGINE_LIMITS = {
    "max_items_in_row": 20_000,
    "step_max_items": 500_000,
    "initial_lexer_fuel": 5_000_000,
    "step_lexer_fuel": 1_000_000,
}
"""For llguidance's `LLParserLimits`: five to ten times its own, which the largest real schemas exceed."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a text."""

    admitted: bool
    stopped_at: int | None
    """Characters that were taken before the first that may not stand there; the text's length if it ends too early.
    None if the text is admitted."""
    expected: str
    """What may stand there, as a character set; empty if the text is admitted."""


def check(grammar: CompiledGrammar, text: str) -> Verdict:
    """Whether the grammar admits exactly this text. Raises: ValueError if the grammar can't be run."""
    from llguidance import LLMatcher, LLParserLimits

    tokenizer = _bytes()
    matcher = LLMatcher(tokenizer, grammar.lark, log_level=0, limits=LLParserLimits(**ENGINE_LIMITS))
    if matcher.is_error():
        raise ValueError(matcher.get_error().strip().split("\n", 1)[0])
    data = text.encode()
    taken = 0
    for token in tokenizer.tokenize_bytes(data):
        if matcher.is_stopped() or matcher.try_consume_tokens([token]) == 0:
            break
        taken += 1
    if taken == len(data) and matcher.is_accepting():
        return Verdict(True, None, "")
    stopped_at = len(data[:taken].decode(errors="ignore"))
    return Verdict(False, stopped_at, _expected(matcher))


def _expected(matcher: Any) -> str:
    if matcher.is_stopped():
        return "the end"
    mask = matcher.compute_bitmask()
    allowed = [chr(b) for b in range(0x20, 0x7F) if mask[b >> 3] >> (b & 7) & 1]
    end = ["the end"] if matcher.is_accepting() else []
    return " or ".join(["one of " + "".join(allowed)] * bool(allowed) + end) or "a character beyond ASCII"


@cache
def _bytes() -> Any:
    from llguidance import LLTokenizer

    return LLTokenizer("byte")
