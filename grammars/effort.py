"""How much work one compilation may do: counted in steps, so that the answer is the same on every machine.

A step is about a microsecond. The budget belongs to the compilation that runs (a context variable), because automata
know no compiler. What comes from a cache costs as much as when it was made, so no refusal depends on what ran before.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache, wraps
from typing import Any, TypeVar

from grammars.errors import LimitExceeded

MOST_STEPS = 1_500_000

_T = TypeVar("_T")


class _Made:
    """A result of a cached function, the steps it took by itself, and the other cached results it was made of."""

    __slots__ = ("parts", "steps", "value")

    def __init__(self, value: Any, steps: int, parts: "tuple[_Made, ...]") -> None:
        self.value = value
        self.steps = steps
        self.parts = parts


class _Account:
    __slots__ = ("paid", "spent", "spent_here")

    def __init__(self, spent: int = 0) -> None:
        self.spent = spent
        self.spent_here = 0
        """Without what cached results cost."""
        self.paid: dict[int, _Made] = {}
        """Cached results by identity; each is paid for once."""

    def pay(self, made: _Made) -> None:
        if id(made) not in self.paid:
            for part in (made, *made.parts):
                if id(part) not in self.paid:
                    self.paid[id(part)] = part
                    self.spent += part.steps


_account: ContextVar[_Account | None] = ContextVar("account", default=None)


@contextmanager
def limited() -> Iterator[None]:
    """Everything inside shares one budget."""
    token = _account.set(_Account())
    try:
        yield
    finally:
        _account.reset(token)


def spend(steps: int) -> None:
    """Count steps. Raises: LimitExceeded."""
    account = _account.get()
    if account is not None:
        account.spent += steps
        account.spent_here += steps
        _check(account)


def _check(account: _Account) -> None:
    if account.spent > MOST_STEPS:
        raise LimitExceeded(
            f"the schema takes more than {MOST_STEPS:,} steps to compile: its parts combine to too many cases"
        )


def remembered(size: int) -> Callable[[Callable[..., _T]], Callable[..., _T]]:
    """Cache a function of hashable arguments. A compilation pays for each result once, whoever had it made."""

    def decorate(function: Callable[..., _T]) -> Callable[..., _T]:
        @lru_cache(maxsize=size)
        def make(*args: Any) -> _Made:
            # an account of its own, so that the cost doesn't depend on what the present compilation has paid already
            outer = _account.get()
            account = _Account(outer.spent if outer is not None else 0)
            token = _account.set(account)
            try:
                value = function(*args)
            finally:
                _account.reset(token)
            return _Made(value, account.spent_here, tuple(account.paid.values()))

        @wraps(function)
        def remembering(*args: Any) -> _T:
            made = make(*args)
            account = _account.get()
            if account is not None:
                account.pay(made)
                _check(account)
            value: _T = made.value
            return value

        return remembering

    return decorate
