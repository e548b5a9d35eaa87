"""Random schemas of the keywords the compiler enforces, for property tests."""

from typing import Any

from hypothesis import strategies as st

_NAMES = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=1, max_size=6)
_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-1000, 1000)
    | st.text(st.characters(exclude_categories=("Cs",)), max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_NAMES, inner, max_size=2),
    max_leaves=3,
)


@st.composite
def _strings(draw: st.DrawFn, longest: int | None) -> dict[str, Any]:
    low = draw(st.integers(0, 4))
    high = draw(st.integers(low, low + 12)) if longest is None else min(low + 12, longest)
    return {"type": "string", "minLength": low, "maxLength": high}


@st.composite
def _numbers(draw: st.DrawFn, kind: str) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": kind}
    low = draw(st.integers(-2000, 2000))
    high = low + draw(st.integers(2, 3000))
    schema[draw(st.sampled_from(["minimum", "exclusiveMinimum"]))] = low
    schema[draw(st.sampled_from(["maximum", "exclusiveMaximum"]))] = high
    return schema


@st.composite
def _objects(draw: st.DrawFn, inner: st.SearchStrategy[Any]) -> dict[str, Any]:
    properties = draw(st.dictionaries(_NAMES, inner, max_size=4))
    required = [name for name in properties if draw(st.booleans())]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


@st.composite
def _arrays(draw: st.DrawFn, inner: st.SearchStrategy[Any]) -> dict[str, Any]:
    low = draw(st.integers(0, 2))
    return {"type": "array", "items": draw(inner), "minItems": low, "maxItems": low + draw(st.integers(0, 2))}


def _grown(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    options = st.lists(inner, min_size=1, max_size=3).map(lambda schemas: {"anyOf": schemas})
    return _objects(inner) | _arrays(inner) | options


_LEAVES = (
    _strings(None)
    | _numbers("integer")
    | _numbers("number")
    | st.just({"type": "boolean"})
    | st.just({"type": ["null", "boolean"]})
    | st.lists(_VALUES, min_size=1, max_size=4).map(lambda values: {"enum": values})
    | _VALUES.map(lambda value: {"const": value})
)

SCHEMAS: st.SearchStrategy[Any] = st.recursive(_LEAVES, _grown, max_leaves=8)
"""Any schema whose texts are of bounded length."""
OBJECT_SCHEMAS: st.SearchStrategy[dict[str, Any]] = _objects(st.recursive(_LEAVES, _grown, max_leaves=4))
"""Parameters of a tool."""
