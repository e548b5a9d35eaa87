"""The store of responses, by itself."""

from pathlib import Path
from typing import Any

import pytest

from server.store.engine import DatabaseError
from server.store.responses import ResponseStore, StoredResponse


def stored(id_: str, previous: str | None = None) -> StoredResponse:
    body: dict[str, Any] = {"id": id_, "output": [{"id": f"out_{id_}"}]}
    return StoredResponse(body, ({"id": f"in_{id_}"},), previous)


@pytest.fixture
def store() -> ResponseStore:
    return ResponseStore(limit=3)


def test_a_conversation_is_found_from_its_last_response(store: ResponseStore) -> None:
    for response in (stored("a"), stored("b", "a"), stored("c", "b")):
        store.put(response)
    context = store.context("c")
    assert context
    assert [item["id"] for item in context] == ["in_a", "out_a", "in_b", "out_b", "in_c", "out_c"]


def test_a_conversation_with_a_gap_is_none(store: ResponseStore) -> None:
    store.put(stored("a"))
    store.put(stored("b", "a"))
    assert store.delete("a")
    assert store.context("b") is None
    assert not store.delete("a")


def test_the_oldest_leave_with_their_items(store: ResponseStore) -> None:
    for name in "abcd":
        store.put(stored(name))
    assert [store.get(name) is not None for name in "abcd"] == [False, True, True, True]
    assert set(store.items(["in_a", "in_b", "out_d"])) == {"in_b", "out_d"}


def test_owners_do_not_see_each_others_responses(store: ResponseStore) -> None:
    store.put(stored("a"), "ann")
    assert store.get("a", "ann") == stored("a")
    assert store.get("a", "bob") is None
    assert store.context("a", "bob") is None
    assert store.items(["in_a"], "bob") == {}
    assert not store.delete("a", "bob")


def test_a_file_keeps_them(tmp_path: Path) -> None:
    path = tmp_path / "responses.sqlite"
    first = ResponseStore(path)
    first.put(stored("a"))
    first.close()
    assert ResponseStore(path).get("a") == stored("a")


def test_a_file_that_is_no_database_is_said(tmp_path: Path) -> None:
    path = tmp_path / "responses.sqlite"
    path.write_text("no database at all, " * 100)
    with pytest.raises(DatabaseError, match="can't be opened"):
        ResponseStore(path)
