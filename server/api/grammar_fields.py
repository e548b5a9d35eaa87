"""llama-server's own fields for holding an answer to a grammar: GBNF as it stands, or a JSON Schema."""

from typing import Any, Self

from pydantic import Field, model_validator

import grammars
from grammars import GrammarError
from server.api.errors import invalid
from server.api.sampling_fields import Wire
from server.engine.types import Constraint


class GrammarFields(Wire):
    """One of them at most."""

    grammar: str | None = Field(default=None, min_length=1, max_length=500_000)
    """Ours: GBNF (https://github.com/ggml-org/llama.cpp/blob/master/grammars/README.md)."""
    json_schema: dict[str, Any] | bool | None = None
    """Ours: a schema, held as a response format without `strict`."""

    @model_validator(mode="after")
    def _one_at_most(self) -> Self:
        given = [
            name for name in ("grammar", "json_schema", "response_format") if getattr(self, name, None) is not None
        ]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(map(repr, given))} can't both hold the answer; send one of them")
        return self

    def constraint(self) -> Constraint | None:
        """What the whole answer is held to. Raises: ApiError."""
        if self.grammar is not None:
            return Constraint(self.grammar)
        if self.json_schema is None:
            return None
        try:
            compiled = grammars.compile(self.json_schema, strict=False, closed=True, openapi=True)
            return Constraint(compiled.gbnf, compiled.lark)
        except GrammarError as error:
            raise invalid(f"Invalid schema in json_schema: {error}.", "json_schema", "invalid_schema") from error
