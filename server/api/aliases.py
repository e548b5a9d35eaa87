"""Second names of adapters, so that clients keep one `model` while what is behind it changes.

A name is resolved once for a request, when it comes, and pointing it elsewhere is one assignment in the event loop.
So every request is answered by the old adapter or by the new one, and all its choices by the same.
"""

import time
from dataclasses import dataclass, field

_KEPT = 16
"""Targets remembered for rollbacks."""


@dataclass(slots=True)
class Alias:
    """One name and what it has pointed to, the oldest first."""

    name: str
    targets: list[str]
    created: int = field(default_factory=lambda: int(time.time()))

    @property
    def target(self) -> str:
        return self.targets[-1]

    @property
    def previous(self) -> str | None:
        """What a rollback leads to."""
        return self.targets[-2] if len(self.targets) > 1 else None


class Aliases:
    """All second names of one model's adapters. Lives in the event loop."""

    def __init__(self) -> None:
        self._aliases: dict[str, Alias] = {}

    def __contains__(self, name: object) -> bool:
        return name in self._aliases

    @property
    def all(self) -> tuple[Alias, ...]:
        return tuple(self._aliases.values())

    def get(self, name: str) -> Alias | None:
        return self._aliases.get(name)

    def resolve(self, name: str) -> str:
        """What a name points to; itself if it is no alias."""
        alias = self._aliases.get(name)
        return name if alias is None else alias.target

    def of(self, target: str) -> list[str]:
        """The names that point to a target now."""
        return [alias.name for alias in self._aliases.values() if alias.target == target]

    def point(self, name: str, target: str) -> Alias:
        """Let a new or old name mean `target` from now on."""
        alias = self._aliases.get(name)
        if alias is None:
            alias = self._aliases[name] = Alias(name, [target])
        elif alias.target != target:
            alias.targets = [*alias.targets, target][-_KEPT:]
        return alias

    def roll_back(self, name: str) -> Alias:
        """Back to what it meant before. Raises: KeyError; IndexError, if it never meant anything else."""
        alias = self._aliases[name]
        if alias.previous is None:
            raise IndexError(name)
        alias.targets = alias.targets[:-1]
        return alias

    def remove(self, name: str) -> None:
        """Raises: KeyError."""
        del self._aliases[name]
