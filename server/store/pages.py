"""Lists in pages: those that come after a row, by time and, of the same time, by id."""

from typing import Any

import sqlalchemy as sa


def page(
    query: sa.Select[Any], table: sa.Table, after: tuple[float, str] | None, limit: int, *, ascending: bool = False
) -> sa.Select[Any]:
    """`after`: the `created` and `id` of the last row that was seen."""
    created, id_ = table.c.created, table.c.id
    if after is not None:
        place, seen = sa.tuple_(created, id_), sa.tuple_(*map(sa.literal, after))
        query = query.where(place > seen if ascending else place < seen)
    order = (created, id_) if ascending else (created.desc(), id_.desc())
    return query.order_by(*order).limit(limit)
