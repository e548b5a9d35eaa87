"""How a schema is read and written."""

from dataclasses import dataclass

from grammars.json_text import Spacing


@dataclass(frozen=True, slots=True)
class Options:
    strict: bool = True
    """Refuse what can't be enforced. Otherwise admit more and say so in the report."""
    spacing: Spacing = Spacing.COMPACT
    closed: bool = False
    """Objects that list `properties` and don't mention additional ones get none, unless nothing is left then. A subset
    of what the schema allows, and what the writer of a tool's parameters means."""
    openapi: bool = False
    """Read OpenAPI 3.0's additions: `nullable` beside `type` admits null, `byte` and `base64` are enforced formats.
    To JSON Schema both are annotations. Source: https://spec.openapis.org/oas/v3.0.3#schema-object."""
    formats: bool = True
    """`format` is an assertion. The specification's default is an annotation (validation §7.2.1)."""
