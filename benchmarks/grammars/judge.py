"""How one compiler does on one schema: does it compile, does it admit what it should, and how long do masks take.

MaskBench writes instances with json.dumps and takes them token by token; its makers first put the keys of instances
into the order in which llguidance's compiler wants them (maskbench/creation/reorder.py in guidance-ai/jsonschemabench),
where that compiler accepted the schema. We judge the text as it stands first; a valid instance that is refused is then
tried with its keys in an order the grammar likes, and an invalid one in every order, so that none slips in.
"""

import json
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from llguidance import LLMatcher, LLParserLimits, LLTokenizer

from benchmarks.grammars.corpus import Case
from benchmarks.grammars.engines import Compile
from grammars.checking import ENGINE_LIMITS

_MOST_STEPS = 20_000
_LIMITS = LLParserLimits(**ENGINE_LIMITS)
"""The server's; two of the largest schemas exceed llguidance's own. The same for every compiler."""


@dataclass(slots=True)
class Verdict:
    """Times in microseconds."""

    name: str
    error: str = ""
    compile_us: float = 0.0
    refused: list[str] = field(default_factory=list)
    admitted: list[str] = field(default_factory=list)
    reordered: int = 0
    masks_us: list[float] = field(default_factory=list)

    @property
    def passes(self) -> bool:
        return not (self.error or self.refused or self.admitted)


class Judge:
    """Judges with one vocabulary."""

    def __init__(self, tokenizer: LLTokenizer) -> None:
        self._tokenizer = tokenizer
        self._bytes = LLTokenizer("byte")
        self._mask = np.zeros((tokenizer.vocab_size + 31) // 32, dtype=np.int32)

    def judge(self, compile_schema: Compile, case: Case) -> Verdict:
        verdict = Verdict(case.name)
        started = time.perf_counter_ns()
        try:
            grammar = compile_schema(case.schema)
            matcher = LLMatcher(self._tokenizer, grammar, log_level=0, limits=_LIMITS)
            self._compute(matcher)
            if matcher.is_error():
                raise ValueError(matcher.get_error().split("\n")[0])
        except Exception as error:  # any compiler may fail in any way, and that is what is counted
            verdict.error = f"{type(error).__name__}: {error}"[:300]
            return verdict
        verdict.compile_us = (time.perf_counter_ns() - started) / 1000
        bytewise: LLMatcher | None = None
        for value, is_valid in case.instances:
            text = json.dumps(value, ensure_ascii=False)
            admitted = self._admits(matcher.deep_copy(), text, verdict)
            if not admitted and _has_orders(value):
                if bytewise is None:
                    bytewise = LLMatcher(self._bytes, grammar, log_level=0, limits=_LIMITS)
                if _Reordering(bytewise.deep_copy(), self._bytes).admits(value):
                    admitted = True
                    verdict.reordered += 1
            if admitted != is_valid:
                (verdict.refused if is_valid else verdict.admitted).append(text[:400])
        return verdict

    def _compute(self, matcher: LLMatcher) -> None:
        matcher.unsafe_compute_mask_ptr(self._mask.ctypes.data, self._mask.nbytes)

    def _admits(self, matcher: LLMatcher, text: str, verdict: Verdict) -> bool:
        bits = self._mask.view(np.uint8)
        for token in self._tokenizer.tokenize_str(text):
            started = time.perf_counter_ns()
            self._compute(matcher)
            allowed = bool(bits[token >> 3] >> (token & 7) & 1)
            if allowed:
                matcher.consume_token(token)
            verdict.masks_us.append((time.perf_counter_ns() - started) / 1000)
            if not allowed:
                return False
        return bool(matcher.is_accepting())


def _has_orders(value: Any) -> bool:
    if isinstance(value, dict):
        return len(value) > 1 or any(map(_has_orders, value.values()))
    return isinstance(value, list) and any(map(_has_orders, value))


class _Reordering:
    """Looks for an order of keys that a grammar admits: depth first, within a budget."""

    def __init__(self, matcher: LLMatcher, tokenizer: LLTokenizer) -> None:
        self._matcher = matcher
        self._tokenizer = tokenizer
        self._steps = 0

    def admits(self, value: Any) -> bool:
        return self._value(value) and bool(self._matcher.is_accepting())

    def _take(self, text: str) -> int:
        """Bytes consumed, or -1 and nothing consumed."""
        tokens = self._tokenizer.tokenize_str(text)
        self._steps += 1
        if self._matcher.is_stopped() or self._steps > _MOST_STEPS:
            return -1
        count = int(self._matcher.try_consume_tokens(tokens))
        if count == len(tokens):
            return count
        if count:
            self._matcher.rollback(count)
        return -1

    def _value(self, value: Any) -> bool:
        if isinstance(value, dict) and value:
            return self._take("{") >= 0 and self._members(dict(value))
        if isinstance(value, list) and value:
            for index, item in enumerate(value):
                if self._take(", " if index else "[") < 0 or not self._value(item):
                    return False
            return self._take("]") >= 0
        return self._take(json.dumps(value, ensure_ascii=False)) >= 0

    def _could(self, comma: str, key: str) -> bool:
        count = self._take(comma + json.dumps(key, ensure_ascii=False) + ": ")
        if count > 0:
            self._matcher.rollback(count)
        return count >= 0

    def _members(self, left: dict[str, Any], comma: str = "") -> bool:
        """Key by key. First tried: one whose value is admitted and after which the others still may come, as in
        reorder.py; then those after which fewer may."""
        if not left:
            return self._take("}") >= 0
        start = self._matcher
        possible = [key for key in left if self._could(comma, key)]
        taken: list[tuple[int, str, LLMatcher]] = []
        for key in possible:
            self._matcher = start.deep_copy()
            self._take(comma + json.dumps(key, ensure_ascii=False) + ": ")
            if self._value(left[key]):
                lost = sum(not self._could(", ", other) for other in possible if other != key)
                taken.append((lost, key, self._matcher))
            if (taken and taken[-1][0] == 0) or self._steps > _MOST_STEPS:
                break
        for _, key, matcher in sorted(taken, key=lambda one: one[0]):
            self._matcher = matcher
            if self._members({k: v for k, v in left.items() if k != key}, ", "):
                return True
        self._matcher = start
        return False
