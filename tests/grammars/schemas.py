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


_PATTERNED = st.sampled_from(
    [
        {"type": "string", "pattern": "^[a-c]+$", "maxLength": 6},
        {"type": "string", "pattern": "b", "minLength": 2, "maxLength": 5},
        {"pattern": "^(?!ab)[abc]{1,4}$"},
        {"type": "string", "format": "date"},
        {"type": "integer", "multipleOf": 3, "minimum": -20, "maximum": 40},
        {"type": "number", "minimum": 0.125, "exclusiveMaximum": 9.75},
        {"minimum": 3, "maxLength": 2, "maxItems": 1, "maxProperties": 1},
    ]
)


@st.composite
def _conditional_objects(draw: st.DrawFn, inner: st.SearchStrategy[Any]) -> dict[str, Any]:
    names = st.sampled_from(["a", "b", "ab", "c"])
    schema: dict[str, Any] = {"type": "object", "properties": draw(st.dictionaries(names, inner, max_size=3))}
    if draw(st.booleans()):
        schema["required"] = draw(st.lists(names, max_size=2, unique=True))
    if draw(st.booleans()):
        schema["patternProperties"] = draw(st.dictionaries(st.sampled_from(["^a", "b$"]), inner, max_size=2))
    if draw(st.booleans()):
        schema["additionalProperties"] = draw(st.just(False) | inner)
    if draw(st.booleans()):
        schema["dependentRequired"] = {draw(names): [draw(names)]}
    if draw(st.booleans()):
        schema["maxProperties"] = draw(st.integers(0, 3))
    if draw(st.booleans()):
        schema["minProperties"] = draw(st.integers(0, 2))
    return schema


@st.composite
def _counted_arrays(draw: st.DrawFn, inner: st.SearchStrategy[Any]) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "array", "prefixItems": draw(st.lists(inner, min_size=1, max_size=2))}
    schema["maxItems"] = draw(st.integers(1, 4))
    if draw(st.booleans()):
        schema["items"] = draw(inner)
    if draw(st.booleans()):
        schema["contains"] = draw(inner)
        schema["maxContains"] = draw(st.integers(1, 2))
    return schema


def _combined(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    some = st.lists(inner, min_size=1, max_size=3)
    return (
        _conditional_objects(inner)
        | _counted_arrays(inner)
        | some.map(lambda schemas: {"oneOf": schemas})
        | some.map(lambda schemas: {"allOf": schemas})
        | some.map(lambda schemas: {"anyOf": schemas})
        | inner.map(lambda schema: {"not": schema})
        | st.tuples(inner, inner, inner).map(lambda three: {"if": three[0], "then": three[1], "else": three[2]})
        | st.tuples(inner, inner).map(lambda two: {"allOf": [two[0], {"not": two[1]}]})
    )


COMBINED_SCHEMAS: st.SearchStrategy[Any] = st.recursive(_LEAVES | _PATTERNED, _combined, max_leaves=7)
"""Any schema, among them many that contradict themselves or can't be held by a grammar."""
