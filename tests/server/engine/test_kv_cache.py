"""Which KV is reused, and which is given up."""

from hypothesis import given
from hypothesis import strategies as st

from server.engine.kv_cache import KvCache
from server.engine.kv_shelf import KvShelf
from server.engine.shared_prefix import common_prefix


class Cells:
    """Remembers which tokens' KV each sequence holds, as llama.cpp would."""

    def __init__(self, slots: int) -> None:
        self.lengths = [0] * slots
        self.copies: list[tuple[int, int, int]] = []
        self.room = 10_000

    def copy_prefix(self, source: int, target: int, length: int) -> None:
        assert length <= self.lengths[source]
        self.lengths[target] = length
        self.copies.append((source, target, length))

    def truncate(self, sequence: int, length: int) -> None:
        self.lengths[sequence] = min(self.lengths[sequence], length)

    def save(self, sequence: int) -> bytes:
        assert self.lengths[sequence]
        return bytes(self.lengths[sequence])

    def restore(self, sequence: int, state: bytes) -> bool:
        assert not self.lengths[sequence]
        if sum(self.lengths) + len(state) > self.room:
            return False
        self.lengths[sequence] = len(state)
        return True


def cache_of(slots: int) -> tuple[KvCache, Cells]:
    cells = Cells(slots)
    return KvCache(cells, slots), cells


def shelving(slots: int = 6, most_bytes: int = 1000, idle_tokens: int | None = 10) -> tuple[KvCache, Cells]:
    cells = Cells(slots)
    return KvCache(cells, slots, shelf=KvShelf(most_bytes), idle_tokens=idle_tokens), cells


def run(cache: KvCache, cells: Cells, tokens: list[int], namespace: object = None) -> int:
    """A whole generation; tells how many tokens it did not have to decode."""
    slot = cache.take(list(tokens), namespace)
    assert slot.length == cells.lengths[slot.id] < len(tokens)
    known = slot.length
    decode(cells, slot)
    cache.release(slot)
    return known


def talk(number: int, length: int = 100) -> list[int]:
    return [number * 1000 + n for n in range(length)]


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


def test_finished_requests_leave_the_cells_to_those_that_run_and_come_back() -> None:
    cache, cells = shelving()
    for number in range(4):
        assert run(cache, cells, talk(number)) == 0
    assert sum(cells.lengths) == 100
    assert cache.shelved_bytes == 300
    assert cache.shared_length([*talk(1), 5]) == 100
    assert run(cache, cells, [*talk(1), 5]) == 100
    assert sum(cells.lengths) == 101  # number 3 has made room in turn


def test_what_is_continued_stays_where_it_is() -> None:
    cache, cells = shelving()
    for length in (100, 120, 140):
        run(cache, cells, talk(1, length))
    assert cache.shelved_bytes == 0
    assert len(cells.copies) == 2


def test_a_small_rest_is_given_up_and_not_copied_with_all_that_others_have_too() -> None:
    cache, cells = shelving(slots=12)
    for number in range(6):
        run(cache, cells, [*talk(0, 400), *talk(number + 1, 9)])
    assert cache.shelved_bytes == 0
    assert sum(length > 0 for length in cells.lengths) <= 3
    assert cache.shared_length([*talk(0, 400), 7]) == 400


def test_the_shelf_keeps_the_last_used_and_only_the_longer_of_two() -> None:
    cache, cells = shelving(most_bytes=250)
    for number in range(4):
        run(cache, cells, talk(number))
    assert [cache.shared_length([*talk(number), 5]) for number in range(4)] == [0, 100, 100, 100]
    run(cache, cells, talk(2, 120))
    run(cache, cells, talk(5))
    assert cache.shelved_bytes <= 250
    assert cache.shared_length(talk(2, 121)) == 120


def test_what_an_adapter_computed_is_its_own_and_is_forgotten_with_it() -> None:
    cache, cells = shelving()
    adapter, other = object(), object()
    run(cache, cells, talk(1), adapter)
    run(cache, cells, talk(2))
    assert cache.shared_length([*talk(1), 5], adapter) == 100
    assert cache.shared_length([*talk(1), 5], other) == cache.shared_length([*talk(1), 5]) == 0
    cache.forget(adapter)
    assert cache.shared_length([*talk(1), 5], adapter) == cache.shelved_bytes == 0


def test_where_there_is_no_room_for_it_what_was_shelved_is_computed_again() -> None:
    cache, cells = shelving()
    run(cache, cells, talk(1))
    running = cache.take(talk(2))
    decode(cells, running)
    cells.room = 150
    assert cache.take([*talk(1), 5]).length == 0
    assert running.length == 100


def test_slots_that_run_out_go_to_the_shelf_too() -> None:
    cache, cells = shelving(slots=2, idle_tokens=None)
    for number in range(3):
        run(cache, cells, talk(number))
    assert [cache.shared_length([*talk(number), 5]) for number in range(3)] == [100, 100, 100]
    assert cache.evict()
    assert cache.shelved_bytes == 200


def test_wiping_takes_the_shelf_with_it() -> None:
    cache, cells = shelving()
    cells.clear_memory = lambda: None  # type: ignore[attr-defined]
    run(cache, cells, talk(1))
    run(cache, cells, talk(2))
    cache.clear()
    assert cache.shared_length([*talk(1), 5]) == cache.shelved_bytes == 0


def test_a_beginning_can_be_taken_out_of_what_is_on_the_shelf() -> None:
    cache, cells = shelving()
    run(cache, cells, talk(1))
    run(cache, cells, talk(2))
    assert cache.extract(talk(1, 60), None) == bytes(60)
    assert cache.extract(talk(2, 60), None) == bytes(60)
    assert cache.extract(talk(3, 60), None) is None
    assert cache.insert(talk(3, 60), None, bytes(60))
    assert cache.shared_length(talk(3)) == 60


@given(
    prompts=st.lists(
        st.tuples(st.lists(st.integers(0, 1), max_size=3), st.integers(30, 90), st.booleans()), max_size=20
    )
)
def test_the_book_keeping_agrees_with_the_cells_whatever_is_shelved(
    prompts: list[tuple[list[int], int, bool]],
) -> None:
    cache, cells = shelving(slots=4, most_bytes=200, idle_tokens=40)
    running = []
    for branches, length, stays in prompts:
        tokens = [7] * 20 + [branch for branch in branches for _ in range(20)] + [3] * length
        slot = cache.take(tokens)
        assert slot.length == cells.lengths[slot.id] < len(tokens)
        decode(cells, slot)
        running.append(slot)
        while len(running) > (2 if stays else 0):
            cache.release(running.pop(0))
        assert cache.cells_used == sum(cells.lengths)
        assert cache.shelved_bytes <= 200
