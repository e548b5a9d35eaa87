"""Second names: what they mean, and what they meant before."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.api.aliases import Aliases


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=10))
def test_rolling_back_goes_through_the_past_in_reverse(targets: list[str]) -> None:
    aliases = Aliases()
    for target in targets:
        aliases.point("prod", target)
    past = [one for one, before in zip(targets, [None, *targets], strict=False) if one != before]
    assert aliases.resolve("prod") == past[-1]
    assert [aliases.roll_back("prod").target for _ in past[1:]] == past[-2::-1]
    with pytest.raises(IndexError):
        aliases.roll_back("prod")


def test_what_is_no_alias_means_itself() -> None:
    aliases = Aliases()
    aliases.point("prod", "one")
    assert (aliases.resolve("two"), aliases.of("one"), "prod" in aliases) == ("two", ["prod"], True)
    aliases.remove("prod")
    assert (aliases.resolve("prod"), aliases.of("one")) == ("prod", [])


def test_the_past_is_bounded() -> None:
    aliases = Aliases()
    for number in range(100):
        aliases.point("prod", str(number))
    found = aliases.get("prod")
    assert found is not None
    assert found.targets == [str(number) for number in range(84, 100)]
