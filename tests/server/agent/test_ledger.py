"""What counts as the same call again."""

import pytest

from server.agent.ledger import Entry, Ledger, Outcome, find_period
from server.tools.definition import Effect
from tests.server.agent.script import defined


def entry(number: int, key: str, effect: Effect = "read", outcome: Outcome = "ok", touches: str = "") -> Entry:
    return Entry(number, "t", key, effect, outcome, 0.0, frozenset(touches.split()))


def test_a_read_is_repeated_until_a_write_may_have_touched_it() -> None:
    read, named = defined("get"), defined("get", touches=frozenset({"mail"}))
    ledger = Ledger([entry(1, "a")])
    assert ledger.repeated(read, "a")
    assert ledger.repeated(read, "b") is None
    ledger.add(entry(2, "w", "write", "failed"))
    assert ledger.repeated(read, "a"), "a write that did nothing has touched nothing"
    ledger.add(entry(3, "w", "write", touches="files"))
    assert ledger.repeated(named, "a"), "they have no name in common"
    assert ledger.repeated(read, "a") is None, "a read without names may see anything"
    ledger.add(entry(4, "a"))
    assert ledger.repeated(read, "a"), "read anew since"


def test_a_failed_read_may_be_tried_again() -> None:
    assert Ledger([entry(1, "a", "read", "failed")]).repeated(defined("get"), "a") is None


@pytest.mark.parametrize(("outcome", "is_repeated"), [("ok", True), ("unknown", True), ("failed", False)])
def test_a_write_is_made_once(outcome: Outcome, is_repeated: bool) -> None:
    ledger = Ledger([entry(1, "w", "write", outcome), entry(2, "other", "write")])
    assert (ledger.repeated(defined("put", effect="write"), "w") is not None) is is_repeated


def test_polling_is_never_a_repetition() -> None:
    assert Ledger([entry(1, "a")]).repeated(defined("status", polls=True), "a") is None


@pytest.mark.parametrize(
    ("keys", "period"),
    [("", None), ("AA", None), ("AAA", 1), ("ABAB", 2), ("XABAB", 2), ("ABCABC", 3), ("ABCDABCD", 4), ("ABA", None),
     ("ABABC", None), ("ABCDE", None)],
)  # fmt: skip
def test_cycles_are_seen(keys: str, period: int | None) -> None:
    assert find_period(keys) == period
