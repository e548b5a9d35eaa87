"""The store of responses, by itself."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from server.store.engine import database_url, migrate, open_database
from server.store.responses import ResponseStore, StoredResponse

EARLIER = """
CREATE TABLE responses (id TEXT PRIMARY KEY, owner TEXT NOT NULL, previous TEXT, created REAL NOT NULL,
    body TEXT NOT NULL, input TEXT NOT NULL);
CREATE INDEX responses_created ON responses (created);
CREATE TABLE items (id TEXT PRIMARY KEY, response TEXT NOT NULL REFERENCES responses (id) ON DELETE CASCADE,
    body TEXT NOT NULL);
CREATE INDEX items_response ON items (response);
"""


def stored(id_: str, previous: str | None = None) -> StoredResponse:
    body: dict[str, Any] = {"id": id_, "output": [{"id": f"out_{id_}"}]}
    return StoredResponse(body, ({"id": f"in_{id_}"},), previous)


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest) -> Iterator[ResponseStore]:
    url = "sqlite://" if request.param == "sqlite" else request.getfixturevalue("postgres")
    engine = open_database(url)
    yield ResponseStore(engine, limit=3)
    with engine.begin() as connection:
        connection.execute(sa.text("DELETE FROM responses"))
    engine.dispose()


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


def test_an_input_may_repeat_items_that_are_stored(store: ResponseStore) -> None:
    store.put(stored("a"))
    store.put(StoredResponse({"id": "b", "output": [{"id": "out_a", "text": "other"}]}, ({"id": "in_a"},)))
    store.put(StoredResponse({"id": "c", "output": []}, ()))
    assert store.items(["out_a"]) == {"out_a": {"id": "out_a"}}


def test_any_text_is_kept(store: ResponseStore) -> None:
    response = StoredResponse({"id": "a", "output": [{"id": "o", "text": "ü \x00 \ud800 🙂"}]}, ())
    store.put(response)
    assert store.get("a") == response


def test_a_file_keeps_them(tmp_path: Path) -> None:
    url = database_url(str(tmp_path / "responses.sqlite"))
    first = open_database(url)
    ResponseStore(first).put(stored("a"))
    first.dispose()
    again = open_database(url)
    assert ResponseStore(again).get("a") == stored("a")
    again.dispose()


@pytest.mark.parametrize("had_runs", [False, True])
def test_a_file_of_an_earlier_server_is_gone_on_with(tmp_path: Path, had_runs: bool) -> None:
    """Servers made these tables by themselves once, in a file of their own or in that of the runs."""
    path = tmp_path / "old.sqlite"
    if had_runs:
        first = sa.create_engine(f"sqlite:///{path}")
        migrate(first, "0001")
        first.dispose()
    old = sqlite3.connect(path)
    old.executescript(EARLIER)
    old.execute("INSERT INTO responses VALUES ('a', '', NULL, 1.5, ?, ?)", ('{"id":"a","output":[]}', '[{"id":"i"}]'))
    old.execute("INSERT INTO items VALUES ('i', 'a', '{\"id\":\"i\"}')")
    old.commit()
    old.close()
    engine = open_database(f"sqlite:///{path}")
    store = ResponseStore(engine)
    assert store.context("a") == [{"id": "i"}]
    store.put(stored("b", "a"))
    assert store.delete("a")
    assert store.items(["i", "in_b"]) == {"in_b": {"id": "in_b"}}
    engine.dispose()
