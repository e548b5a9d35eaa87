"""Models that jobs have made: names and the adapters behind them, which every server of the base serves."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

_metadata = sa.MetaData()
_models = sa.Table(
    "fine_tuned_models",
    _metadata,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("owner", sa.String),
    sa.Column("created", sa.Float),
    sa.Column("base", sa.Text),
    sa.Column("job", sa.String),
    sa.Column("file", sa.Text),
)


@dataclass(frozen=True, slots=True)
class FineTunedModel:
    """A row."""

    name: str
    owner: str
    created: float
    """Seconds since the epoch."""
    base: str
    """The name of the model it is an adapter of."""
    job: str
    file: str
    """The adapter, relative to the home folder."""


class FineTunedStore:
    """Thread-safe; every call is a transaction of its own."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def of(self, base: str) -> list[FineTunedModel]:
        """All adapters of a base, the oldest first."""
        return self._select(_models.c.base == base)

    def get(self, name: str) -> FineTunedModel | None:
        found = self._select(_models.c.name == name)
        return found[0] if found else None

    def delete(self, name: str) -> bool:
        """False: there was none."""
        with self._engine.begin() as connection:
            return connection.execute(_models.delete().where(_models.c.name == name)).rowcount > 0

    def _select(self, condition: sa.ColumnElement[bool]) -> list[FineTunedModel]:
        query = sa.select(_models).where(condition).order_by(_models.c.created, _models.c.name)
        with self._engine.connect() as connection:
            return [FineTunedModel(*row) for row in connection.execute(query)]


def put_model(connection: sa.Connection, model: FineTunedModel) -> None:
    """Add it, or take the place of one of its name."""
    values: dict[str, Any] = {name: getattr(model, name) for name in FineTunedModel.__slots__}
    connection.execute(_models.delete().where(_models.c.name == model.name))
    connection.execute(_models.insert().values(values))


def drop_models(connection: sa.Connection, names: Sequence[str]) -> list[FineTunedModel]:
    """Forget some; those that were there."""
    named = _models.c.name.in_(names)
    rows = [FineTunedModel(*row) for row in connection.execute(sa.select(_models).where(named))]
    connection.execute(_models.delete().where(named))
    return rows
