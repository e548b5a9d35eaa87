"""Values of keywords, checked for being what the specification allows there. All raise InvalidSchema."""

import math
import re
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

from grammars.errors import InvalidSchema
from grammars.keywords import TYPES


def draft_of(document: Any) -> int:
    """The draft that a document declares: 3 to 7, 2019 or 2020; 2020 if it declares none."""
    declared = document.get("$schema") if isinstance(document, Mapping) else None
    found = re.search(r"json-schema\.org/draft[-/]0?(\d+)", declared) if isinstance(declared, str) else None
    return int(found[1]) if found else 2020


def is_known_dialect(uri: Any) -> bool:
    """A meta-schema of JSON Schema's or OpenAPI's own."""
    return isinstance(uri, str) and re.match(r"https?://(json-schema|spec\.openapis)\.org/", uri) is not None


def types_of(schema: Mapping[str, Any], pointer: str) -> set[str]:
    value = schema.get("type")
    if value is None:
        return set(TYPES)
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InvalidSchema("type is a name or a list of names", pointer)
    for name in names:
        if name not in TYPES and name != "integer":
            raise InvalidSchema(f"type {name!r} is none of {', '.join(TYPES)}, integer", pointer)
    return set(names)


def expect(schema: Mapping[str, Any], keyword: str, kind: Any, pointer: str, default: Any = None) -> Any:
    """The keyword's value, if it is of the kind the specification demands."""
    value = schema.get(keyword, default)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise InvalidSchema(f"{keyword} can't be {str(value)[:60]}", pointer)
    return value


def fraction(value: int | float) -> Fraction:
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidSchema(f"{value} is no JSON number")
    return Fraction(value) if isinstance(value, int) else Fraction(Decimal(repr(value)))


def number(schema: Mapping[str, Any], keyword: str, pointer: str) -> Fraction:
    return fraction(expect(schema, keyword, (int, float), pointer))


def bounds(schema: Mapping[str, Any], low: str, high: str, pointer: str) -> tuple[int, int | None]:
    least = expect(schema, low, (int, float), pointer, default=0)
    most = expect(schema, high, (int, float), pointer) if high in schema else None
    for keyword, value in ((low, least), (high, most)):
        if value is not None and (value < 0 or value != int(value)):
            raise InvalidSchema(f"{keyword} is a whole number of at least 0, not {value}", pointer)
    return int(least), None if most is None else int(most)
