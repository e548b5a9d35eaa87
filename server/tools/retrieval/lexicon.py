"""BM25 over the tools' words, by SQLite's FTS5 (https://sqlite.org/fts5.html#the_bm25_function), a word at a time.

A query is asked word by word: BM25 is a sum over words, and the index wants to know which tool got what from which.
"""

import sqlite3
from collections.abc import Iterable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from server.tools.retrieval.words import Entry

_WEIGHTS = "4.0, 2.0, 1.0, 0.5"
"""Of name, description, arguments, keywords."""
_KEPT = 4096
"""Words whose scores are kept; they are forgotten with every change."""


class Lexicon:
    """Tools by number. Not for two threads at once."""

    def __init__(self) -> None:
        self._database = sqlite3.connect(":memory:", check_same_thread=False)
        self._database.execute(
            "CREATE VIRTUAL TABLE tools USING fts5("
            "name, description, arguments, keywords, tokenize = 'porter unicode61 remove_diacritics 2')"
        )
        self._scores = lru_cache(_KEPT)(self._look_up)

    def put(self, entries: Iterable[tuple[int, Entry]]) -> None:
        rows = [(number, one.name, one.description, one.arguments, one.keywords) for number, one in entries]
        self.drop([number for number, *_ in rows])
        with self._database:
            self._database.executemany(
                "INSERT INTO tools (rowid, name, description, arguments, keywords) VALUES (?, ?, ?, ?, ?)", rows
            )

    def drop(self, numbers: Iterable[int]) -> None:
        with self._database:
            self._database.executemany("DELETE FROM tools WHERE rowid = ?", [(number,) for number in numbers])
        self._scores.cache_clear()

    def scores(self, word: str) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The tools that have the word, or another form of it, in order of their numbers; and their BM25, above 0."""
        return self._scores(word)

    def close(self) -> None:
        self._database.close()

    def _look_up(self, word: str) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        found = self._database.execute(
            f"SELECT rowid, -bm25(tools, {_WEIGHTS}) FROM tools WHERE tools MATCH ? ORDER BY rowid",  # noqa: S608
            (f'"{word}"',),
        ).fetchall()
        return np.array([number for number, _ in found], np.int64), np.array([score for _, score in found])
