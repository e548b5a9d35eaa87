"""Conversations as token arrays, cut into batches of about equal size whose order a seed decides."""

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from server.chat.template import ChatTemplate
from training.conversation import Conversation
from training.pretrain.settings import LossWeights
from training.tokenizer import END, token_id

TEMPLATE_PATH = Path(__file__).parents[1] / "chat_template.jinja"
_WINDOW = 512
"""Conversations sorted by length together: batches are nearly free of padding, yet random."""


class Part(IntEnum):
    """What a token belongs to."""

    SYSTEM = 0
    WORDS = 1
    """Of users and tools."""
    TALK = 2
    """The assistant's text and its end."""
    CHOICE = 3
    """The first token of an assistant's message: it decides between calling and talking."""
    CALL = 4
    """A call and its end."""


@dataclass(frozen=True, slots=True)
class TokenSet:
    """Conversations end to end."""

    ids: NDArray[np.int32]
    parts: NDArray[np.uint8]
    """A `Part` a token."""
    offsets: NDArray[np.int64]
    """Conversation i is [offsets[i], offsets[i + 1])."""

    @property
    def is_answer(self) -> NDArray[np.bool_]:
        """Tokens the assistant writes, the closing one included."""
        return np.asarray(self.parts >= Part.TALK)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def save(self, path: Path) -> None:
        unfinished = path.with_suffix(".part.npz")
        np.savez(unfinished, ids=self.ids, parts=self.parts, offsets=self.offsets)
        unfinished.rename(path)

    @staticmethod
    def load(path: Path) -> "TokenSet":
        with np.load(path) as arrays:
            return TokenSet(arrays["ids"], arrays["parts"], arrays["offsets"])


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
    marks = Marks.of(tokenizer)
    ids: list[NDArray[np.int32]] = []
    parts: list[NDArray[np.uint8]] = []
    for conversation in conversations:
        row = np.array(tokenizer.encode(render(conversation, template)).ids, dtype=np.int32)
        if len(row) > longest:
            ends = np.flatnonzero(row[:longest] == marks.end)
            row = row[: ends[-1] + 1] if ends.size else row[:0]
        part = parts_of(row, marks)
        if (part >= Part.TALK).any():
            ids.append(row)
            parts.append(part)
    lengths = [len(row) for row in ids]
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return TokenSet(np.concatenate(ids), np.concatenate(parts), offsets)


@dataclass(frozen=True, slots=True)
class Marks:
    """The ids of the tokens that give a conversation its structure."""

    end: int
    system: int
    assistant: int
    call: int

    @staticmethod
    def of(tokenizer: Tokenizer) -> "Marks":
        """Raises: ValueError, if the tokenizer lacks one."""
        names = (END, "<|system|>", "<|assistant|>", "<tool_call>")
        return Marks(*(token_id(tokenizer, name) for name in names))


def parts_of(ids: NDArray[np.int32], marks: Marks) -> NDArray[np.uint8]:
    """A `Part` for each token of one conversation; an answer that is cut off counts as words."""
    parts = np.full(len(ids), Part.WORDS, dtype=np.uint8)
    ends = np.flatnonzero(ids == marks.end)
    for start in np.flatnonzero((ids == marks.assistant) | (ids == marks.system)) + 1:
        stop = ends[np.searchsorted(ends, start)] + 1 if ends.size and ends[-1] >= start else start
        if ids[start - 1] == marks.system:
            parts[start:stop] = Part.SYSTEM
        elif stop > start:
            calls = np.flatnonzero(ids[start:stop] == marks.call)
            parts[start:stop] = Part.TALK
            if calls.size:
                parts[start + calls[0] : stop] = Part.CALL
            parts[start] = Part.CHOICE
    return parts


def batches(tokens: TokenSet, batch_tokens: int, weights: LossWeights, pad: int, seed: int) -> Iterator[Batch]:
    """Endless, epoch after epoch. The same seed gives the same batches, so a run resumes by skipping."""
    epoch = 0
    while True:
        for rows in _plan(tokens, batch_tokens, random.Random(f"{seed}/{epoch}")):
            yield make_batch(tokens, rows, weights, pad, epoch)
        epoch += 1


def make_batch(tokens: TokenSet, rows: list[int], weights: LossWeights, pad: int, epoch: int = 0) -> Batch:
    """Of what others said, `weights.words` is the share of tokens that count: the others cost no logits."""
    width = max(int(tokens.offsets[row + 1] - tokens.offsets[row]) for row in rows)
    ids = np.full((len(rows), width), pad, dtype=np.int64)
    scale = np.zeros((len(rows), width), dtype=np.float32)
    table = np.array([0.0, 1.0, weights.talk, weights.choice, weights.call], dtype=np.float32)
    rng = np.random.default_rng((epoch, *rows))
    for line, row in enumerate(rows):
        begin, end = tokens.offsets[row], tokens.offsets[row + 1]
        parts = tokens.parts[begin:end]
        ids[line, : end - begin] = tokens.ids[begin:end]
        is_left_out = (parts == Part.WORDS) & (rng.random(end - begin) >= weights.words)
        scale[line, : end - begin] = np.where(is_left_out, 0.0, table[parts])
    return Batch(ids, scale)


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
