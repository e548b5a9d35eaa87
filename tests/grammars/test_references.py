"""What references point to."""

from typing import Any

import pytest

import grammars


@pytest.mark.parametrize(
    "schema",
    [
        {"patternProperties": {"^#": {"$ref": "#/$defs/x"}}},
        {"properties": {"C#": {"$ref": "#/$defs/x"}}},
        {"properties": {"C#": {"items": {"$ref": "#number"}}}},
    ],
    ids=str,
)
def test_a_key_with_a_number_sign_is_no_published_schema(schema: dict[str, Any]) -> None:
    schema = {"type": "object", **schema, "$defs": {"x": {"$anchor": "number", "type": "integer"}}}
    grammar = grammars.compile(schema)
    key = "#" if "patternProperties" in schema else "C#"
    is_list = "#number" in str(schema)
    assert grammars.check(grammar, f'{{"{key}":{"[1]" if is_list else 1}}}').admitted
    assert not grammars.check(grammar, f'{{"{key}":{"[null]" if is_list else "null"}}}').admitted


def test_a_superscript_is_no_place_in_a_list() -> None:
    with pytest.raises(grammars.InvalidSchema, match="points to nothing"):
        grammars.compile({"$ref": "#/anyOf/\u00b2", "anyOf": [True, True, True]})
