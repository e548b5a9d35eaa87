"""KV of finished requests in ordinary memory, where nobody has to look past it.

In a unified cache every token attends over all used cells, and llama.cpp's attention on a CPU passes over those of
other sequences one by one: with 8,000 of them in use a step of the model that ships took 1.6 times as long, and a
prompt of 300 tokens three times. What that does to conversations: `make bench ARGS="--only idle-kv"`.
"""

from collections.abc import Sequence as Tokens
from dataclasses import dataclass

from server.engine.shared_prefix import adapter_of, common_prefix, reach

KvState = bytes | bytearray
"""What `Context.save` gave."""
LARGEST_TO_WANTED = 16
"""Tokens copied for each that is wanted; where there are more, it is computed again."""
_MOST = 512
"""Entries: each is looked at for each prompt."""


@dataclass(frozen=True, slots=True)
class ShelvedKv:
    """The KV of `tokens`."""

    tokens: list[int]
    namespace: object
    state: KvState


class KvShelf:
    """The least recently used go when there are more than `most_bytes`.

    One thread writes; others may read, since what they see is never changed, only replaced.
    """

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        self._kept: tuple[ShelvedKv, ...] = ()
        """The least recently used first."""
        self.bytes_used = 0

    def put(self, tokens: list[int], namespace: object, state: KvState) -> None:
        """Keep it, in the place of what is a beginning of it."""
        kept = [one for one in self._kept if not self._is_part(one, tokens, namespace)]
        self._replace([*kept, ShelvedKv(tokens, namespace, state)])

    def longest(self, tokens: Tokens[int], namespace: object) -> tuple[ShelvedKv | None, int]:
        """What has the longest beginning in common with `tokens`, and how long that is; the last token is left out.

        Of several the one with the fewest tokens, and none with too many for what is wanted of it.
        """
        best: ShelvedKv | None = None
        best_length = 0
        for one in self._kept:
            limit = min(reach(one.namespace, namespace), len(one.tokens), len(tokens) - 1)
            if limit < max(best_length, 1) or one.tokens[max(best_length, 1) - 1] != tokens[max(best_length, 1) - 1]:
                continue
            length = min(common_prefix(one.tokens, tokens), limit)
            is_better = best is None or (length, -len(one.tokens)) > (best_length, -len(best.tokens))
            if is_better and len(one.tokens) <= LARGEST_TO_WANTED * length:
                best, best_length = one, length
        return best, best_length

    def note_use(self, used: ShelvedKv) -> None:
        """It goes last, if it is here."""
        others = [one for one in self._kept if one is not used]
        if len(others) < len(self._kept):
            self._replace([*others, used])

    def remove(self, entry: ShelvedKv) -> None:
        self._replace([one for one in self._kept if one is not entry])

    def forget(self, adapter: object) -> None:
        """Drop what an adapter has computed."""
        self._replace([one for one in self._kept if adapter_of(one.namespace) is not adapter])

    def clear(self) -> None:
        self._replace([])

    def _replace(self, kept: list[ShelvedKv]) -> None:
        used = sum(len(one.state) for one in kept)
        first = max(0, len(kept) - _MOST)
        used -= sum(len(one.state) for one in kept[:first])
        while used > self.most_bytes:
            used -= len(kept[first].state)
            first += 1
        self._kept, self.bytes_used = tuple(kept[first:]), used

    @staticmethod
    def _is_part(one: ShelvedKv, tokens: list[int], namespace: object) -> bool:
        length = len(one.tokens)
        return length <= min(len(tokens), reach(one.namespace, namespace)) and one.tokens == tokens[:length]
