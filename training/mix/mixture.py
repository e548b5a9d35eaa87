"""Mixes tool data with general chat, thins categories out to their shares, and holds some back, no word of it twice.

Half chat keeps a model's general abilities while it learns to call (Alopex, https://arxiv.org/abs/2411.05209). Which
split a conversation belongs to is decided by what the user says first, so that no opening stands in both.
"""

import random
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from training.data.category import category_of
from training.data.record import Json, Record
from training.mix.words import conversation_key, fingerprint, opening_key

_LARGE = 2**64


@dataclass(frozen=True, slots=True)
class Item:
    """A record with the line it came from."""

    line: Json
    category: str
    opening: str
    source: str
    """The file, or the corpus."""


@dataclass(frozen=True, slots=True)
class MixSettings:
    """What the mixture is to be like."""

    chat_share: float = 0.5
    """Of all records that are trained on."""
    category_shares: Mapping[str, float] = field(default_factory=dict)
    """Of the tool data; categories not named are left out. Empty: all there is."""
    held_out: float = 0.0
    """Share of openings kept for evaluation."""
    seed: int = 42
    limit: int | None = None
    """Records to train on at most."""


@dataclass(slots=True)
class MixReport:
    """Where everything went."""

    read: Counter[str] = field(default_factory=Counter)
    """By source."""
    repeated: Counter[str] = field(default_factory=Counter)
    """By source: dropped, because another says and calls the same."""
    excluded: int = 0
    """Dropped, because they stand in a file that they must not be like."""
    unused: Counter[str] = field(default_factory=Counter)
    """By category: more than their share."""
    train: Counter[str] = field(default_factory=Counter)
    held_out: Counter[str] = field(default_factory=Counter)
    sources: Counter[str] = field(default_factory=Counter)
    """Of what is trained on."""

    @property
    def chat_share(self) -> float:
        return self.train["chat"] / max(1, self.train.total())

    def as_json(self) -> dict[str, Any]:
        own = {name: getattr(self, name) for name in self.__slots__}
        return {**own, "chat_share": self.chat_share}


class Pool:
    """All records once."""

    def __init__(self, report: MixReport, excluded: frozenset[int] = frozenset()) -> None:
        """`excluded`: keys of conversations that must not come in."""
        self.items: list[Item] = []
        self._report = report
        self._seen: set[int] = set()
        self._excluded = excluded

    def add(self, record: Record, line: Json, source: str) -> None:
        key = conversation_key(record)
        self._report.read[source] += 1
        if key in self._excluded:
            self._report.excluded += 1
        elif key in self._seen:
            self._report.repeated[source] += 1
        else:
            self._seen.add(key)
            self.items.append(Item(line, category_of(record), opening_key(record), source))


def mix(items: Iterable[Item], settings: MixSettings, report: MixReport) -> tuple[list[Item], list[Item]]:
    """What to train on, shuffled, and what to hold back. Raises: ValueError, if a category wanted is not there."""
    train: list[Item] = []
    held_out: list[Item] = []
    for item in items:
        place = fingerprint(f"{settings.seed} {item.opening}") / _LARGE
        (held_out if place < settings.held_out else train).append(item)
    rng = random.Random(settings.seed)
    rng.shuffle(train)
    rng.shuffle(held_out)
    chosen = _balanced(train, settings)
    kept = _balanced(held_out, replace(settings, category_shares={}, limit=None))
    report.unused.update(item.category for item in (*train, *held_out))
    report.unused.subtract(item.category for item in (*chosen, *kept))
    report.unused = +report.unused
    report.train.update(item.category for item in chosen)
    report.held_out.update(item.category for item in kept)
    report.sources.update(item.source for item in chosen)
    rng.shuffle(chosen)
    return chosen, kept


def _balanced(items: list[Item], settings: MixSettings) -> list[Item]:
    """All the tool data that limit and shares leave, and chat beside it, as far as there is enough."""
    chat = [item for item in items if item.category == "chat"]
    tools = [item for item in items if item.category != "chat"]
    share, limit = settings.chat_share, settings.limit
    if share >= 1:
        return chat[:limit]
    most = len(tools) if limit is None else min(len(tools), round(limit * (1 - share)))
    tools = _with_shares(tools, settings.category_shares, most)
    return tools + chat[: round(len(tools) * share / (1 - share))]


def _with_shares(items: list[Item], shares: Mapping[str, float], most: int) -> list[Item]:
    """At most so many items, with these shares, in their order."""
    if not shares:
        return items[:most]
    there = Counter(item.category for item in items)
    absent = [name for name in shares if not there[name]]
    if absent:
        raise ValueError(f"there are no records of the categories {', '.join(absent)}")
    total = min(there[name] / (share / sum(shares.values())) for name, share in shares.items())
    total = min(total, most)
    left = {name: int(total * share / sum(shares.values()) + 1e-9) for name, share in shares.items()}
    chosen = []
    for item in items:
        if left.get(item.category, 0) > 0:
            left[item.category] -= 1
            chosen.append(item)
    return chosen
