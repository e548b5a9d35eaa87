"""The index of tools: words by BM25 and meaning by vectors, together, and so that what was asked first is not all.

A turn often asks for several things, and the tools for the first would fill the list. So a tool that is taken covers
the words it was found by: they count half for the next one. Scores are added, not ranks (reciprocal rank fusion), which
finds more (`make bench-retrieval` prints both).
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from server.tools.definition import ToolDefinition
from server.tools.retrieval.lexicon import Lexicon
from server.tools.retrieval.vectors import Matrix, NumpyVectors, Vectors
from server.tools.retrieval.words import Entry, query_terms, sentences

_COVERED = 0.5
"""What a word still counts once a tool with it was taken."""
_MEANING = 0.4
_AT_ONCE = 64
"""Tools whose vectors are made together."""
_LONGEST = 4000
"""Characters of a query that are looked at."""
Embed = Callable[[Sequence[str]], Awaitable[Matrix]]
"""Texts to vectors of length 1. Shape (texts, dimensions)."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A tool that was found, and why."""

    name: str
    score: float
    """1 is the best that words or vectors gave alone."""
    word_rank: int | None
    """Its place by words alone, from 1; None: it has none of them."""
    vector_rank: int | None
    """Its place by vectors alone; None: there are none."""
    words: tuple[str, ...]
    """Of the query, that it has."""


@dataclass(frozen=True, slots=True)
class _Query:
    """A query over all numbers up to the highest."""

    words: dict[str, tuple[NDArray[np.int64], NDArray[np.float64]]]
    weights: dict[str, float]
    cosines: NDArray[np.float64] | None
    meaning: float
    is_allowed: NDArray[np.bool_]

    def word_scores(self) -> NDArray[np.float64]:
        scores = np.zeros(len(self.is_allowed))
        for word, (numbers, values) in self.words.items():
            scores[numbers] += self.weights[word] * values
        return scores


class ToolIndex:
    """Tools by name. Searches and changes may come from any thread."""

    def __init__(self, embed: Embed | None = None, vectors: Vectors | None = None, meaning: float = _MEANING) -> None:
        """`embed`: for meaning beside words; without it words alone are looked for. `meaning`: its share of a score."""
        self._embed = embed
        self._meaning = meaning
        self._vectors = vectors or NumpyVectors()
        self._lexicon = Lexicon()
        self._numbers: dict[str, int] = {}
        self._names: list[str | None] = []
        self._held: dict[str, ToolDefinition] = {}
        self._waiting: dict[str, str] = {}
        """Sentences of tools that have no vector yet. Until it is empty, words alone count."""
        self._filling: asyncio.Task[None] | None = None
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._numbers)

    async def sync(self, tools: Mapping[str, ToolDefinition]) -> None:
        """Hold exactly these tools; only what has changed is looked at anew, and its vectors are made meanwhile."""
        await asyncio.to_thread(self._sync, dict(tools))
        if self._embed is not None and self._waiting and (self._filling is None or self._filling.done()):
            self._filling = asyncio.create_task(self._fill(self._embed))

    async def settle(self) -> None:
        """Wait until every tool has its vector. Raises: what `embed` raises."""
        if self._filling is not None:
            await self._filling

    def _sync(self, tools: dict[str, ToolDefinition]) -> None:
        with self._lock:
            gone = [name for name in self._held if name not in tools]
            new = {name: Entry.of(tool) for name, tool in tools.items() if self._is_new(tool)}
            freed = [self._numbers.pop(name) for name in gone]
            for number in freed:
                self._names[number] = None
            numbers = [self._number(name) for name in new]
            if freed or numbers:
                self._lexicon.drop(freed)
                self._vectors.drop([*freed, *numbers])
                self._lexicon.put(zip(numbers, new.values(), strict=True))
            self._held = tools
            for name in gone:
                self._waiting.pop(name, None)
            self._waiting |= {name: entry.sentence for name, entry in new.items()}

    def _is_new(self, tool: ToolDefinition) -> bool:
        held = self._held.get(tool.name)
        return held is not tool and (held is None or held.version != tool.version)

    def _number(self, name: str) -> int:
        if name not in self._numbers:
            self._numbers[name] = len(self._names)
            self._names.append(name)
        return self._numbers[name]

    async def _fill(self, embed: Embed) -> None:
        while self._waiting:
            some = dict(list(self._waiting.items())[:_AT_ONCE])
            vectors = await embed(list(some.values()))
            await asyncio.to_thread(self._take_vectors, some, vectors)

    def _take_vectors(self, sentences: dict[str, str], vectors: Matrix) -> None:
        with self._lock:
            rows = [row for row, (name, said) in enumerate(sentences.items()) if self._waiting.get(name) == said]
            names = list(sentences)
            self._vectors.put([self._numbers[names[row]] for row in rows], vectors[rows])
            for row in rows:
                del self._waiting[names[row]]

    async def search(self, text: str, limit: int = 5, among: Collection[str] | None = None) -> list[Hit]:
        """The tools that the text asks for, best first. `among`: no others. Raises: what `embed` raises."""
        text = text[:_LONGEST]
        has_meaning = self._embed is not None and not self._waiting and bool(text.strip())
        meanings = await self._embed(sentences(text)) if self._embed and has_meaning else None
        return await asyncio.to_thread(self._search, query_terms(text), meanings, limit, among)

    def _search(
        self, weights: dict[str, float], meanings: Matrix | None, limit: int, among: Collection[str] | None
    ) -> list[Hit]:
        with self._lock:
            words = {word: self._lexicon.scores(word) for word in weights}
            cosines = None if meanings is None else self._cosines(meanings)
            names = list(self._names)
        allowed = self._numbers.keys() if among is None else set(among)
        query = _Query(
            {word: found for word, found in words.items() if len(found[0])},
            dict(weights),
            cosines,
            0.0 if cosines is None else self._meaning,
            np.array([name is not None and name in allowed for name in names], bool),
        )
        return _take(query, names, limit)

    def _cosines(self, meanings: Matrix) -> NDArray[np.float64] | None:
        numbers, values = self._vectors.near(meanings)
        if not len(numbers):
            return None
        cosines = np.full(len(self._names), values.min())
        cosines[numbers] = values
        return cosines

    def close(self) -> None:
        self._lexicon.close()


def _take(query: _Query, names: list[str | None], limit: int) -> list[Hit]:
    """One tool after the other, each covering its words."""
    by_words = query.word_scores()
    best = by_words.max(initial=0.0) or 1.0
    word_ranks = _ranks(np.where(query.is_allowed, by_words, 0.0))
    vector_ranks = None if query.cosines is None else _ranks(np.where(query.is_allowed, query.cosines, -1.0))
    is_open = query.is_allowed & ((by_words > 0) if query.cosines is None else True)
    hits: list[Hit] = []
    while len(hits) < limit and is_open.any():
        scores = (1 - query.meaning) * query.word_scores() / best
        if query.cosines is not None:
            scores += query.meaning * query.cosines
        taken = int(np.where(is_open, scores, -np.inf).argmax())
        is_open[taken] = False
        held = [word for word, (numbers, _) in query.words.items() if _has(numbers, taken)]
        rank = int(word_ranks[taken]) if by_words[taken] > 0 else None
        other = None if vector_ranks is None else int(vector_ranks[taken])
        hits.append(Hit(names[taken] or "", float(scores[taken]), rank, other, tuple(held)))
        for word in held:
            query.weights[word] *= _COVERED
    return hits


def _ranks(scores: NDArray[np.float64]) -> NDArray[np.int64]:
    """Places from 1."""
    ranks = np.empty(len(scores), np.int64)
    ranks[np.argsort(-scores, kind="stable")] = np.arange(1, len(scores) + 1)
    return ranks


def _has(numbers: NDArray[np.int64], number: int) -> bool:
    place = int(np.searchsorted(numbers, number))
    return place < len(numbers) and bool(numbers[place] == number)
