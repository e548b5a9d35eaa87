"""What two token sequences may share of their KV: as much as begins alike and has been computed by the same weights."""

import sys
from collections.abc import Sequence as Tokens
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Activated:
    """The namespace of KV that the base model has computed up to token `start`, and an adapter from there on."""

    adapter: object
    start: int


def reach(one: object, other: object) -> int:
    """How many first tokens may share their KV between two namespaces, if they are the same tokens."""
    return sys.maxsize if one == other else min(_base_part(one), _base_part(other))


def common_prefix(one: Tokens[int], other: Tokens[int]) -> int:
    """Length of the beginning that two token sequences share, by bisection over slices (which compare in C)."""
    one, other = (tokens if isinstance(tokens, list) else list(tokens) for tokens in (one, other))
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def adapter_of(namespace: object) -> object:
    """The adapter in a namespace; None in the base model's."""
    return namespace.adapter if isinstance(namespace, Activated) else namespace


def _base_part(namespace: object) -> int:
    """Tokens that the base model computes; it is the namespace None."""
    if namespace is None:
        return sys.maxsize
    return namespace.start if isinstance(namespace, Activated) else 0
