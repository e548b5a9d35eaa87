"""From the answers to a case to its scores: metric to (part, whole), so that shares over many cases are sums by sums.

A metric appears only where the case can speak about it. Calls are judged in every case; the choice to call, ask or talk
where the case says which is right; matches where it knows the right calls.
"""

import re
from dataclasses import dataclass

from evals.case import Case, Json, MadeCall, canonical, read_calls, read_json
from evals.conformance import conforms
from evals.endpoint import Answer
from evals.matching import FUNCTIONAL, FUZZY, match_calls
from evals.provenance import SOURCES, trace_values

Score = tuple[float, float]
"""Part and whole."""
Scores = dict[str, Score]

_TORN_CALL = re.compile(r'<\|?tool_call|\[TOOL_CALLS\]|<function=|<\|python_tag\|>|"arguments"\s*:|"parameters"\s*:')
"""What a call that the endpoint could not read looks like in the text."""

_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")
_ELSEWHERE = frozenset(("$ref", "$dynamicRef", "allOf", "anyOf", "oneOf", "if", "patternProperties"))
"""Where a schema's names may stand elsewhere than in its `properties`."""


@dataclass(frozen=True, slots=True)
class Step:
    """One request of an episode."""

    messages: list[Json]
    """What was sent."""
    answer: Answer

    @property
    def calls(self) -> list[MadeCall]:
        return read_calls(self.answer.message)

    @property
    def content(self) -> str:
        content = self.answer.message.get("content")
        return content if isinstance(content, str) else ""


def judge(case: Case, steps: list[Step]) -> Scores:
    """All that can be said without a world to act in. The first answer is matched; the form of all is looked at."""
    first = steps[0]
    if case.text is not None:
        bits = first.answer.message.get("bits")
        return {} if bits is None else {"bits per byte": (bits, len(case.text.encode()))}
    scores: Scores = {"cut off": (sum(step.answer.finish_reason == "length" for step in steps), len(steps))}
    scores |= _form_scores(case, steps)
    scores |= _choice_scores(case, first)
    if case.gold:
        scores |= _match_scores(case, first)
    if case.schema is not None:
        scores |= _schema_scores(case.schema, first)
    if case.accepts:
        scores["short answer"] = claim(_holds_any(first.content, case.accepts))
    return scores


def tool_scores(case: Case, steps: list[Step]) -> Scores:
    """Arguments given rightly of all that should have been, where the endpoint called at all.

    For each tool as a whole, and for each of its arguments as TOOL(ARGUMENT).
    """
    scores: Scores = {}
    calls = steps[0].calls
    for match in match_calls(case.gold, calls) if calls else ():
        name, right = match.gold.name, match.right_arguments
        for key in match.gold.arguments:
            for title in (name, f"{name}({key})"):
                part, whole = scores.get(title, (0, 0))
                scores[title] = (part + (key in right), whole + 1)
    return scores


def claim(is_true: bool) -> Score:
    """The score of a yes or no."""
    return (float(is_true), 1.0)


def _form_scores(case: Case, steps: list[Step]) -> Scores:
    """Form and provenance of every call made."""
    calls = [call for step in steps for call in step.calls]
    torn = sum(not step.calls and bool(_TORN_CALL.search(step.content)) for step in steps) if case.tools else 0
    scores: Scores = {}
    if calls or torn:
        scores["syntax errors"] = (torn + sum(not _is_well_formed(case, call) for call in calls), len(calls) + torn)
    if calls:
        scores["invented names"] = (sum(case.schema_of(call.name) is None for call in calls), len(calls))
        scores["repeated calls"] = (_repeats(case.messages, calls), len(calls))
    keys = [is_known for call in calls for is_known in _known_keys(case, call)]
    if keys:
        scores["invented keys"] = (keys.count(False), len(keys))
    sources = [
        source
        for step in steps
        for call in step.calls
        if call.arguments is not None
        for source in trace_values(call.arguments, case.schema_of(call.name) or {}, step.messages)
    ]
    if sources:
        scores |= {f"values from {source}": (sources.count(source), len(sources)) for source in SOURCES}
    return scores


def _choice_scores(case: Case, step: Step) -> Scores:
    """A question is text with a question mark and no call."""
    called = bool(step.calls)
    asked = not called and "?" in step.content
    match case.expects:
        case "call":
            return {"choice": claim(called), "called when due": claim(called), "asked needlessly": claim(asked)}
        case "ask":
            scores = {"asked when missing": claim(asked)}
        case "talk":
            scores = {}
        case "any":
            return {}
    return {"choice": claim(not called), "talked when due": claim(not called), **scores}


def _match_scores(case: Case, step: Step) -> Scores:
    calls = step.calls
    matches = match_calls(case.gold, calls)
    is_as_many = len(calls) == len(case.gold)
    scores = {
        "exact match": claim(is_as_many and all(match.is_exact for match in matches)),
        "fuzzy match": claim(is_as_many and all(match.similarity > FUZZY for match in matches)),
        "functional match": claim(is_as_many and all(match.similarity > FUNCTIONAL for match in matches)),
    }
    if len(case.gold) > 1:
        scores["as many calls"] = claim(is_as_many)
    if calls:
        scores["tool names"] = (sum(match.name_right for match in matches), len(matches))
        whole = sum(len(gold.arguments) for gold in case.gold)
        if whole:
            scores["arguments"] = (sum(len(match.right_arguments) for match in matches), whole)
            scores["arguments to the letter"] = (sum(match.arguments_to_the_letter for match in matches), whole)
    return scores


def _schema_scores(schema: Json | bool, step: Step) -> Scores:
    """None where the schema can't be judged by, whatever was answered."""
    if conforms(None, schema) is None:
        return {}
    try:
        verdict = conforms(read_json(step.content), schema)
    except ValueError:
        verdict = False
    if verdict is None:
        return {}
    scores = {"schema conformance": claim(verdict)}
    if step.answer.finish_reason != "length":
        scores["conformance where finished"] = claim(verdict)
    return scores


def _is_well_formed(case: Case, call: MadeCall) -> bool:
    """JSON of an object, and valid by the schema of its tool, if there is one."""
    if call.arguments is None:
        return False
    schema = case.schema_of(call.name)
    return schema is None or conforms(call.arguments, schema) is not False


def _known_keys(case: Case, call: MadeCall) -> list[bool]:
    """For each argument whether its schema names it; nothing is said where the schema lets others in or refers on."""
    schema = case.schema_of(call.name)
    if (
        schema is None
        or call.arguments is None
        or schema.get("additionalProperties")
        or not _ELSEWHERE.isdisjoint(schema)
    ):
        return []
    return [key in schema.get("properties", {}) for key in call.arguments]


def _repeats(history: list[Json], calls: list[MadeCall]) -> int:
    """Calls made before with the same arguments, here or in the history."""
    seen = {_identity(call) for message in history for call in read_calls(message)}
    repeats = 0
    for call in calls:
        repeats += _identity(call) in seen
        seen.add(_identity(call))
    return repeats


def _identity(call: MadeCall) -> tuple[str, str]:
    return call.name, call.text if call.arguments is None else canonical(call.arguments)


def _holds_any(text: str, accepted: tuple[str, ...]) -> bool:
    """Whole words, letter case aside; a number is the last one that is said."""
    return any(
        _last_number(text) == _last_number(answer)
        if _NUMBER.fullmatch(answer)
        else re.search(rf"(?<!\w){re.escape(answer)}(?!\w)", text, re.IGNORECASE) is not None
        for answer in accepted
    )


def _last_number(text: str) -> float | None:
    numbers = _NUMBER.findall(text)
    return float(numbers[-1].replace(",", "")) if numbers else None
