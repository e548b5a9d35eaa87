"""Responses that clients may come back to: by id, as the start of the next one, or item by item.

A row holds a response as it was sent and the items that were new in its input. What came before them is found by
following `previous` from response to response, so a long conversation is stored once, not once a turn. Beyond a number
of responses the oldest leave.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

Json = dict[str, Any]

_metadata = sa.MetaData()
_responses = sa.Table(
    "responses",
    _metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("owner", sa.String),
    sa.Column("previous", sa.String),
    sa.Column("created", sa.Float),
    sa.Column("body", sa.Text),
    sa.Column("input", sa.Text),
)
_items = sa.Table(
    "items",
    _metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("response", sa.String, sa.ForeignKey("responses.id", ondelete="CASCADE")),
    sa.Column("body", sa.Text),
)


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """A response and the input items that were new with it, each with an id."""

    body: Json
    input: tuple[Json, ...]
    previous: str | None = None

    @property
    def id(self) -> str:
        return str(self.body["id"])


class ResponseStore:
    """Keeps responses of several owners apart. Thread-safe; every call is a transaction of its own."""

    def __init__(self, engine: sa.Engine, limit: int = 10_000) -> None:
        """`engine`: of `open_database`. `limit`: responses."""
        self._engine = engine
        one_too_many = sa.select(_responses.c.created).order_by(_responses.c.created.desc()).offset(limit).limit(1)
        self._let_go = _responses.delete().where(_responses.c.created <= one_too_many.scalar_subquery())
        insert = postgresql.insert if engine.dialect.name == "postgresql" else sqlite.insert
        self._add_items = insert(_items).on_conflict_do_nothing()  # an input may repeat items that are stored

    def put(self, response: StoredResponse, owner: str = "") -> None:
        """Keep a response, and let the oldest go if there are too many."""
        new_items = [*response.input, *response.body["output"]]
        row = {"id": response.id, "owner": owner, "previous": response.previous, "created": time.time()}
        items = [{"id": item["id"], "response": response.id, "body": _text(item)} for item in new_items]
        with self._engine.begin() as connection:
            connection.execute(
                _responses.insert().values(**row, body=_text(response.body), input=_text(response.input))
            )
            if items:
                connection.execute(self._add_items, items)
            connection.execute(self._let_go)

    def get(self, id_: str, owner: str = "") -> StoredResponse | None:
        """A response of that owner's."""
        query = sa.select(_responses.c.body, _responses.c.input, _responses.c.previous)
        with self._engine.connect() as connection:
            row = connection.execute(query.where(_is(id_, owner))).one_or_none()
        return StoredResponse(json.loads(row[0]), tuple(json.loads(row[1])), row[2]) if row else None

    def delete(self, id_: str, owner: str = "") -> bool:
        """Forget a response and its items. False: there was none."""
        with self._engine.begin() as connection:
            return connection.execute(_responses.delete().where(_is(id_, owner))).rowcount > 0

    def context(self, id_: str, owner: str = "") -> list[Json] | None:
        """All items up to and with a response's output, oldest first; None if it or one before it is not there."""
        turns: list[list[Json]] = []
        following: str | None = id_
        while following is not None:
            found = self.get(following, owner)
            if found is None:
                return None
            turns.append([*found.input, *found.body["output"]])
            following = found.previous
        return [item for turn in reversed(turns) for item in turn]

    def items(self, ids: Sequence[str], owner: str = "") -> dict[str, Json]:
        """Stored items by id; those that are not there are left out."""
        query = (
            sa.select(_items.c.id, _items.c.body)
            .join(_responses, _responses.c.id == _items.c.response)
            .where(_items.c.id.in_(ids), _responses.c.owner == owner)
        )
        with self._engine.connect() as connection:
            return {id_: json.loads(body) for id_, body in connection.execute(query)}


def _is(id_: str, owner: str) -> sa.ColumnElement[bool]:
    return sa.and_(_responses.c.id == id_, _responses.c.owner == owner)


def _text(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))  # in ASCII: no database takes a lone surrogate
