"""Conversations as token arrays, cut into batches of about equal size whose order a seed decides."""

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from server.chat.template import ChatTemplate
from training.conversation import Conversation
from training.tokenizer import END, token_id

TEMPLATE_PATH = Path(__file__).parents[1] / "chat_template.jinja"
_WINDOW = 512
"""Conversations sorted by length together: batches are nearly free of padding, yet random."""


@dataclass(frozen=True, slots=True)
class TokenSet:
    """Conversations end to end."""

    ids: NDArray[np.int32]
    is_answer: NDArray[np.bool_]
    """Tokens the assistant writes, the closing one included: what the loss is about."""
    offsets: NDArray[np.int64]
    """Conversation i is [offsets[i], offsets[i + 1])."""

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def save(self, path: Path) -> None:
        np.savez(path, ids=self.ids, is_answer=self.is_answer, offsets=self.offsets)

    @staticmethod
    def load(path: Path) -> "TokenSet":
        with np.load(path) as arrays:
            return TokenSet(arrays["ids"], arrays["is_answer"], arrays["offsets"])


@dataclass(frozen=True, slots=True)
class Batch:
    """Shapes (conversations, tokens); rows are padded at their end, where `weights` is 0."""

    ids: NDArray[np.int64]
    weights: NDArray[np.float32]
    """Of the loss on predicting this very token."""


def read_template() -> ChatTemplate:
    return ChatTemplate(TEMPLATE_PATH.read_text(encoding="utf-8"))


def render(conversation: Conversation, template: ChatTemplate) -> str:
    """The whole conversation as text, as the server would have built it turn by turn."""
    return template.render(conversation.messages, conversation.tools, add_generation_prompt=False)


def tokenize(conversations: Iterable[Conversation], tokenizer: Tokenizer, longest: int) -> TokenSet:
    """Conversations of more than `longest` tokens are cut after a message; without room for an answer they go."""
    template = read_template()
    end, assistant = token_id(tokenizer, END), token_id(tokenizer, "<|assistant|>")
    ids: list[NDArray[np.int32]] = []
    answers: list[NDArray[np.bool_]] = []
    for conversation in conversations:
        row = np.array(tokenizer.encode(render(conversation, template)).ids, dtype=np.int32)
        if len(row) > longest:
            ends = np.flatnonzero(row[:longest] == end)
            row = row[: ends[-1] + 1] if ends.size else row[:0]
        answer = answer_mask(row, assistant, end)
        if answer.any():
            ids.append(row)
            answers.append(answer)
    lengths = [len(row) for row in ids]
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return TokenSet(np.concatenate(ids), np.concatenate(answers), offsets)


def answer_mask(ids: NDArray[np.int32], assistant: int, end: int) -> NDArray[np.bool_]:
    """True from after each `<|assistant|>` up to and including the `<|end|>` that closes it."""
    mask = np.zeros(len(ids), dtype=np.bool_)
    start: int | None = None
    for position, token in enumerate(ids):
        if token == assistant:
            start = position + 1
        elif token == end and start is not None:
            mask[start : position + 1] = True
            start = None
    return mask


def batches(tokens: TokenSet, batch_tokens: int, context_weight: float, pad: int, seed: int) -> Iterator[Batch]:
    """Endless, epoch after epoch. The same seed gives the same batches, so a run resumes by skipping."""
    epoch = 0
    while True:
        for rows in _plan(tokens, batch_tokens, random.Random(f"{seed}/{epoch}")):
            yield make_batch(tokens, rows, context_weight, pad)
        epoch += 1


def make_batch(tokens: TokenSet, rows: list[int], context_weight: float, pad: int) -> Batch:
    width = max(int(tokens.offsets[row + 1] - tokens.offsets[row]) for row in rows)
    ids = np.full((len(rows), width), pad, dtype=np.int64)
    weights = np.zeros((len(rows), width), dtype=np.float32)
    for line, row in enumerate(rows):
        begin, end = tokens.offsets[row], tokens.offsets[row + 1]
        ids[line, : end - begin] = tokens.ids[begin:end]
        weights[line, : end - begin] = np.where(tokens.is_answer[begin:end], 1.0, context_weight)
    return Batch(ids, weights)


def _plan(tokens: TokenSet, batch_tokens: int, rng: random.Random) -> list[list[int]]:
    lengths = np.diff(tokens.offsets)
    order = list(range(len(tokens)))
    rng.shuffle(order)
    plan: list[list[int]] = []
    for start in range(0, len(order), _WINDOW):
        rows: list[int] = []
        for row in sorted(order[start : start + _WINDOW], key=lambda r: int(lengths[r])):
            if rows and int(lengths[row]) * (len(rows) + 1) > batch_tokens:
                plan.append(rows)
                rows = []
            rows.append(row)
        if rows:
            plan.append(rows)
    rng.shuffle(plan)
    return plan
