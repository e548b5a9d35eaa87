"""What the model itself says where the validation file has an answer: whether it calls, which tool, with what.

Generated greedily and without a grammar, by torch: cheap enough to be repeated while training goes on. Under the
grammar more calls are right.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from server.chat.dialect import Dialect
from server.chat.free_parser import FreeParser
from server.chat.messages import Message, Tool, ToolCall
from server.chat.parser import CallDelta, CallStart
from training.data.record import Record
from training.train.rows import Renderer

_BATCH = 8
_MARGIN = 32
"""Tokens an answer may be longer than the longest right one."""


@dataclass(frozen=True, slots=True)
class Question:
    """A place where an answer is wanted."""

    prompt: tuple[int, ...]
    tools: tuple[Tool, ...]
    answer: Message
    """The right one."""
    length: int
    """Of the right one, in tokens."""


def choose_questions(
    records: Sequence[tuple[int, Record]], renderer: Renderer, most: int, longest: int
) -> list[Question]:
    """Answers that are learnt of conversations with tools, spread evenly over the file."""
    places = [
        (record, place)
        for _, record in records
        if record.tools
        for place, message in enumerate(record.messages)
        if message.role == "assistant" and message.weight != 0
    ]
    step = max(1.0, len(places) / max(1, most))
    chosen = [places[int(number * step)] for number in range(min(most, len(places)))]
    questions = (_question(record, place, renderer) for record, place in chosen)
    return [question for question in questions if len(question.prompt) + question.length < longest]


def measure_answers(model: Any, questions: Sequence[Question], renderer: Renderer) -> dict[str, float]:
    """Shares: `choice` of all questions; `name`, `arguments` and `exact` of those where a call is right; `accuracy` of
    all: the whole call the same, or talk where talk is right."""
    scores = Counter[str]()
    totals = Counter[str]()
    for question, calls in zip(questions, _calls(model, questions, renderer), strict=True):
        for name, (score, total) in judge(question.answer.tool_calls, calls).items():
            scores[name] += score
            totals[name] += total
    return {name: scores[name] / total for name, total in totals.items() if total}


def judge(right: Sequence[ToolCall], said: Sequence[ToolCall]) -> dict[str, tuple[int, int]]:
    """Points and how many there are to be had."""
    same_choice = bool(right) == bool(said)
    result = {"choice": (int(same_choice), 1)}
    if not right:
        return {**result, "accuracy": (int(same_choice), 1)}
    names = Counter(call.name for call in right) == Counter(call.name for call in said)
    exact = Counter(map(_key, right)) == Counter(map(_key, said))
    wanted, given = _arguments(right), _arguments(said)
    return {
        **result,
        "name": (int(names), 1),
        "arguments": (sum((wanted & given).values()), sum(wanted.values())),
        "exact": (int(exact), 1),
        "accuracy": (int(exact), 1),
    }


def read_calls(text: str, dialect: Dialect, tools: Sequence[Tool]) -> list[ToolCall]:
    """The calls in what a model wrote."""
    parser = FreeParser(dialect, {tool.name: tool.parameters for tool in tools})
    deltas = [*parser.feed(text), *parser.finish()]
    return [
        ToolCall(
            start.name, "".join(d.arguments for d in deltas if isinstance(d, CallDelta) and d.index == start.index)
        )
        for start in deltas
        if isinstance(start, CallStart)
    ]


def _question(record: Record, place: int, renderer: Renderer) -> Question:
    conversation = record.conversation()
    before, answer = conversation.messages[:place], conversation.messages[place]
    prompt = renderer.prompt(before, conversation.tools)
    written = renderer.conversations.dialect.write(
        answer.tool_calls, {t.name: t.parameters for t in conversation.tools}
    )
    length = len(renderer.tokenizer.encode((answer.content or "") + written, add_special_tokens=False))
    return Question(tuple(prompt), conversation.tools, answer, length)


def _calls(model: Any, questions: Sequence[Question], renderer: Renderer) -> list[list[ToolCall]]:
    """In the questions' order; those of like length are asked together."""
    order = sorted(range(len(questions)), key=lambda number: len(questions[number].prompt))
    answers: dict[int, list[ToolCall]] = {}
    for start in range(0, len(order), _BATCH):
        numbers = order[start : start + _BATCH]
        texts = _generate(model, [questions[number] for number in numbers], renderer)
        for number, text in zip(numbers, texts, strict=True):
            answers[number] = read_calls(text, renderer.conversations.dialect, questions[number].tools)
    return [answers[number] for number in range(len(questions))]


def _generate(model: Any, questions: Sequence[Question], renderer: Renderer) -> list[str]:
    tokenizer, stops = renderer.tokenizer, renderer.stop_tokens
    width = max(len(question.prompt) for question in questions)
    ids = torch.full((len(questions), width), tokenizer.pad_token_id)
    mask = torch.zeros_like(ids)
    for number, question in enumerate(questions):
        ids[number, width - len(question.prompt) :] = torch.tensor(question.prompt)
        mask[number, width - len(question.prompt) :] = 1
    written = model.generate(
        input_ids=ids.to(model.device),
        attention_mask=mask.to(model.device),
        max_new_tokens=max(question.length for question in questions) + _MARGIN,
        do_sample=False,
        temperature=None,
        top_p=None,
        top_k=None,
        eos_token_id=sorted(stops),
        pad_token_id=tokenizer.pad_token_id,
    )
    return [tokenizer.decode(_until(row[width:].tolist(), stops), skip_special_tokens=False) for row in written]


def _until(ids: list[int], stops: frozenset[int]) -> list[int]:
    end = next((place for place, token in enumerate(ids) if token in stops), len(ids))
    return ids[:end]


def _key(call: ToolCall) -> tuple[str, str]:
    return call.name, json.dumps(_object(call.arguments), sort_keys=True)


def _arguments(calls: Sequence[ToolCall]) -> Counter[tuple[str, str, str]]:
    return Counter(
        (call.name, key, json.dumps(value, sort_keys=True))
        for call in calls
        if isinstance(arguments := _object(call.arguments), Mapping)
        for key, value in arguments.items()
    )


def _object(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
