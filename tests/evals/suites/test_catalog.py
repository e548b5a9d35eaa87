"""Cases drawn from a suite."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from evals.case import Case
from evals.suites.catalog import draw


def case(number: int, group: str) -> Case:
    return Case(str(number), "s", group, [])


@given(st.lists(st.sampled_from(["a/x", "a/y", "b", "c"]), max_size=40), st.integers(1, 45), st.integers(0, 3))
def test_a_draw_takes_from_every_kind_alike(groups: list[str], limit: int, seed: int) -> None:
    cases = [case(number, group) for number, group in enumerate(groups)]
    drawn = draw(cases, limit, seed)
    assert drawn == draw(cases, limit, seed)
    assert len(drawn) == min(limit, len(cases))
    assert [int(one.id) for one in drawn] == sorted(int(one.id) for one in drawn)
    there, taken = (Counter(one.group[0] for one in some) for some in (cases, drawn))
    most = max(taken.values(), default=0)
    assert all(taken[kind] >= min(count, most - 1) for kind, count in there.items())
