"""BFCL's functions as tools."""

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from evals.bfcl.tools import tool_of


def offered(language: Any, **properties: Any) -> dict[str, Any]:
    function = {
        "name": "a.b",
        "description": "Does it.",
        "parameters": {"type": "dict", "properties": properties, "required": list(properties)},
    }
    tool: dict[str, Any] = tool_of(function, language)["function"]
    Draft202012Validator.check_schema(tool["parameters"])
    return tool


def test_types_become_those_of_json_schema_all_the_way_down() -> None:
    tool = offered(
        "python",
        n={"type": "float", "description": "A number."},
        where={"type": "tuple", "items": {"type": "float", "description": "x"}},
        rows={"type": "array", "items": {"type": "dict", "properties": {"k": {"type": "any"}}}},
        flag={"type": "boolean", "default": None, "optional": True, "required": False},
    )
    assert tool["name"] == "a_b"
    assert tool["description"] == "Does it. Note that the provided function is in Python 3 syntax."
    properties = tool["parameters"]["properties"]
    assert properties["n"] == {"type": "number", "description": "A number. This is a float type value."}
    assert properties["where"]["type"] == "array"
    assert properties["where"]["items"]["type"] == "number"
    assert properties["rows"]["items"] == {"type": "object", "properties": {"k": {"type": "string"}}}
    assert properties["flag"] == {"type": "boolean", "default": None}
    assert tool["parameters"]["required"] == ["n", "where", "rows", "flag"]


@pytest.mark.parametrize(("language", "named"), [("java", "Java"), ("javascript", "JavaScript")])
def test_other_languages_take_source_text_and_say_so(language: str, named: str) -> None:
    tool = offered(
        language,
        x={"type": "array", "description": "Rows.", "items": {"type": "String"}},
        y={"type": "any", "description": "It."},
    )
    assert tool["parameters"]["properties"] == {
        "x": {
            "type": "string",
            "description": f"Rows. This is {named} array type parameter in string representation. "
            "The list elements are of type String; they are not in string representation.",
        },
        "y": {
            "type": "string",
            "description": f"It. This parameter can be of any type of {named} object in string representation.",
        },
    }
