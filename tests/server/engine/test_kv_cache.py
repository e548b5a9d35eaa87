"""Which KV is reused, and which is given up."""

from hypothesis import given
from hypothesis import strategies as st

from server.engine.kv_cache import KvCache, common_prefix


class Cells:
    """Remembers which tokens' KV each sequence holds, as llama.cpp would."""

    def __init__(self, slots: int) -> None:
        self.lengths = [0] * slots
        self.copies: list[tuple[int, int, int]] = []

    def copy_prefix(self, source: int, target: int, length: int) -> None:
        assert length <= self.lengths[source]
        self.lengths[target] = length
        self.copies.append((source, target, length))

    def truncate(self, sequence: int, length: int) -> None:
        self.lengths[sequence] = min(self.lengths[sequence], length)


def cache_of(slots: int) -> tuple[KvCache, Cells]:
    cells = Cells(slots)
    return KvCache(cells, slots), cells


def decode(cells: Cells, slot: object) -> None:
    """Pretend that all tokens of the slot have been decoded."""
    slot.length = len(slot.tokens)  # type: ignore[attr-defined]
    cells.lengths[slot.id] = slot.length  # type: ignore[attr-defined]


def test_a_prompt_takes_over_the_longest_common_prefix() -> None:
    cache, cells = cache_of(3)
    for tokens in ([1, 2, 3, 4], [1, 2, 9]):
        slot = cache.take(tokens)
        decode(cells, slot)
        cache.release(slot)
    slot = cache.take([1, 2, 3, 7])
    assert slot.length == 3
    assert cells.lengths[slot.id] == 3


def test_at_least_one_token_is_left_to_decode() -> None:
    cache, cells = cache_of(2)
    first = cache.take([1, 2, 3])
    decode(cells, first)
    cache.release(first)
    assert cache.take([1, 2, 3]).length == 2


def test_a_running_sequence_lends_its_prefix_too() -> None:
    cache, cells = cache_of(2)
    running = cache.take([1, 2, 3, 4])
    decode(cells, running)
    assert cache.take([1, 2, 3, 5]).length == 3
    assert running.length == 4


def test_without_sharing_nothing_is_kept() -> None:
    cells = Cells(2)
    cache = KvCache(cells, 2, shares_prefixes=False)
    slot = cache.take([1, 2, 3])
    decode(cells, slot)
    cache.release(slot)
    assert cache.take([1, 2, 3]).length == 0


def test_the_least_recently_used_slot_goes_first() -> None:
    cache, cells = cache_of(2)
    for tokens in ([1, 1, 1], [2, 2, 2]):
        slot = cache.take(tokens)
        decode(cells, slot)
        cache.release(slot)
    assert cache.evict()
    assert cache.shared_length([1, 1, 1]) == 0
    assert cache.shared_length([2, 2, 2]) == 2
    assert cache.evict()
    assert not cache.evict()


@given(one=st.lists(st.integers(0, 2), max_size=40), other=st.lists(st.integers(0, 2), max_size=40))
def test_the_common_prefix_is_what_a_loop_would_find(one: list[int], other: list[int]) -> None:
    length = 0
    while length < min(len(one), len(other)) and one[length] == other[length]:
        length += 1
    assert common_prefix(one, other) == length


@given(prompts=st.lists(st.lists(st.integers(0, 1), min_size=1, max_size=12), max_size=20))
def test_the_book_keeping_agrees_with_the_cells(prompts: list[list[int]]) -> None:
    cache, cells = cache_of(3)
    for tokens in prompts:
        slot = cache.take(list(tokens))
        assert slot.length == cells.lengths[slot.id] < len(tokens)
        decode(cells, slot)
        cache.release(slot)
