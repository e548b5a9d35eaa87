"""Which KV is reused, and which is given up."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from server.engine.kv_cache import KvCache, Slot
from server.engine.kv_shelf import KvShelf
from server.engine.shared_prefix import Activated, common_prefix, reach


@dataclass(eq=False)
class Cell:
    """The KV of one token, as its namespace computed it."""

    token: int
    namespace: object


class Cells:
    """Remembers whose KV each sequence holds, as llama.cpp would; cells may belong to several."""

    def __init__(self, slots: int) -> None:
        self.held: list[list[Cell]] = [[] for _ in range(slots)]
        self.copies: list[tuple[int, int, int]] = []
        self.saved: list[list[Cell]] = []
        self.room = 10_000

    @property
    def lengths(self) -> list[int]:
        return [len(cells) for cells in self.held]

    @property
    def used(self) -> int:
        return len({id(cell) for cells in self.held for cell in cells})

    def copy_prefix(self, source: int, target: int, length: int) -> None:
        assert length <= len(self.held[source])
        assert not self.held[target]
        self.held[target] = self.held[source][:length]
        self.copies.append((source, target, length))

    def share_prefix(self, source: int, target: int, length: int) -> None:
        assert length <= min(len(self.held[source]), len(self.held[target]))
        assert source != target
        self.held[target][:length] = self.held[source][:length]

    def truncate(self, sequence: int, length: int) -> None:
        del self.held[sequence][length:]

    def saved_bytes(self, sequence: int) -> int:
        return len(self.held[sequence])

    def save(self, sequence: int) -> bytes:
        """As many bytes as cells; the first ones tell which."""
        assert self.held[sequence]
        self.saved.append(list(self.held[sequence]))
        return (len(self.saved) - 1).to_bytes(4, "big") + bytes(len(self.held[sequence]) - 4)

    def restore(self, sequence: int, state: bytes) -> bool:
        assert not self.held[sequence]
        if self.used + len(state) > self.room:
            return False
        cells = self.saved[int.from_bytes(state[:4], "big")]
        self.held[sequence] = [Cell(cell.token, cell.namespace) for cell in cells]
        return True

    def clear_memory(self) -> None:
        for cells in self.held:
            cells.clear()


def cache_of(slots: int) -> tuple[KvCache, Cells]:
    cells = Cells(slots)
    return KvCache(cells, slots), cells


def decode(cells: Cells, slot: Slot) -> None:
    """Pretend that all tokens of the slot have been decoded; what it has of them must be theirs."""
    held = cells.held[slot.id]
    assert [cell.token for cell in held] == slot.tokens[: slot.length]
    for place, cell in enumerate(held):
        assert place < reach(cell.namespace, slot.namespace)
    held += [Cell(token, slot.namespace) for token in slot.tokens[slot.length :]]
    slot.length = len(slot.tokens)


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


def test_what_is_not_worth_bringing_back_does_not_count_and_hides_nothing() -> None:
    cache, cells = shelving(most_bytes=20_000)
    run(cache, cells, [*talk(0), *talk(1, 3000)])
    run(cache, cells, talk(2))
    assert cache.shared_length([*talk(0), 5]) == 0  # 3,100 tokens would be copied for 100
    assert run(cache, cells, [*talk(0), 5]) == 0
    run(cache, cells, talk(3))
    assert cache.shared_length([*talk(0), 6]) == 100  # of the shorter one, whichever was used last
    run(cache, cells, [*talk(0), *talk(1, 3000), 7])
    run(cache, cells, talk(4))
    assert run(cache, cells, [*talk(0), 8]) == 100


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
    run(cache, cells, talk(1))
    run(cache, cells, talk(2))
    cache.clear()
    assert cache.shared_length([*talk(1), 5]) == cache.shelved_bytes == 0


def test_a_beginning_can_be_taken_out_of_what_is_on_the_shelf() -> None:
    cache, cells = shelving()
    run(cache, cells, talk(1))
    run(cache, cells, talk(2))
    states = [cache.extract(talk(number, 60), None) for number in (1, 2, 3)]
    assert [state and len(state) for state in states] == [60, 60, None]
    assert states[0]
    cache.clear()
    assert cache.insert(talk(1, 60), None, states[0])
    assert run(cache, cells, talk(1)) == 60


def test_what_comes_back_shares_the_cells_of_what_others_have_of_it() -> None:
    cache, cells = shelving(slots=12, most_bytes=5000)
    for number in range(4):
        run(cache, cells, [*talk(0, 400), *talk(number + 1)])
    running = [cache.take([*talk(0, 400), *talk(number + 1), 5]) for number in range(4)]
    for slot in running:
        assert slot.length == 500
        decode(cells, slot)
    assert cells.used == 400 + 4 * 101


def test_a_prompt_that_is_judged_takes_nothing_and_nothing_from_others() -> None:
    cache, cells = shelving()
    run(cache, cells, talk(1))
    slot = cache.take(talk(1), is_fresh=True)
    assert slot.length == 0
    cache.release(slot)
    assert cache.shared_length([*talk(1), 5]) == 100


def test_a_generation_that_is_parked_goes_on_where_it_was() -> None:
    cache, cells = shelving()
    slot = cache.take(talk(1))
    decode(cells, slot)
    cache.park(slot)
    assert cells.used == 0
    assert cache.take([*talk(1), 5]).length == 100


def test_what_finishes_beside_others_makes_room_for_them_at_once() -> None:
    cache, cells = shelving()
    lasting, brief = cache.take(talk(1)), cache.take(talk(2))
    for slot in (lasting, brief):
        decode(cells, slot)
    cache.release(brief)
    assert cells.used == 100


NAMESPACES = (None, "a", "b", Activated("a", 25), Activated("b", 60))


@given(
    steps=st.lists(
        st.tuples(
            st.lists(st.integers(0, 1), max_size=3),
            st.integers(30, 90),
            st.sampled_from(NAMESPACES),
            st.sampled_from(["run", "run", "stay", "fresh", "evict", "park", "extract", "forget"]),
        ),
        max_size=25,
    ),
    room=st.integers(300, 700),
)
def test_whatever_is_done_no_token_gets_the_kv_of_another(
    steps: list[tuple[list[int], int, object, str]], room: int
) -> None:
    cache, cells = shelving(slots=4, most_bytes=200, idle_tokens=40)
    cells.room = room
    running: list[Slot] = []
    for branches, length, namespace, act in steps:
        tokens = [7] * 20 + [branch for branch in branches for _ in range(20)] + [3] * length
        if act == "evict":
            cache.evict()
        elif act == "forget":
            cache.forget("a")
        elif act == "extract":
            state = cache.extract(tokens[:40], namespace)
            if state is not None:
                assert [cell.token for cell in cells.saved[int.from_bytes(state[:4], "big")]] == tokens[:40]
                cache.insert(tokens[:40], namespace, state)
        elif act == "park" and running:
            cache.park(running.pop())
        else:
            slot = cache.take(list(tokens), namespace, is_fresh=act == "fresh")
            assert slot.length == cells.lengths[slot.id] < len(tokens)
            decode(cells, slot)
            running.append(slot)
            while len(running) > (2 if act == "stay" else 0):
                cache.release(running.pop(0))
        assert cache.cells_used == sum(cells.lengths)
        assert cache.shelved_bytes <= 200
