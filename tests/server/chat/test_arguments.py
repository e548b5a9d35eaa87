"""Arguments one by one: what their grammar holds, and what it says of the rest."""

import json
from typing import Any

import pytest

import grammars
from grammars import UnsupportedSchema
from server.chat.argument_reader import reader_of
from server.chat.arguments import Arguments, NestedArguments, Parameters
from server.chat.nested_values import NestedValues

XML = Parameters("<p=", "", ">", "</p>", ">", "</p>", has_bare_text=True)
NEAR_JSON = NestedArguments(NestedValues('<|"|>'))


def admits(arguments: Arguments, schema: dict[str, Any], text: str) -> bool:
    """The text between begin and end."""
    node = grammars.sequence(arguments.compile(schema, strict=False).node, grammars.literal("!"))
    return grammars.check(grammars.emit(node), text + "!").admitted


def read(arguments: Arguments, schema: dict[str, Any], text: str) -> Any:
    reader, rest, found = reader_of(arguments, schema, "!"), text + "!", ""
    while True:
        reading = reader.read(rest)
        found, rest = found + reading.arguments, rest[reading.length :]
        if reading.is_whole or reading.needs_more:
            return json.loads(found)


def properties(**schemas: Any) -> dict[str, Any]:
    return {"type": "object", "properties": schemas}


@pytest.mark.parametrize(
    ("schema", "text", "value"),
    [
        ({"type": "string"}, "plain <b> text", "plain <b> text"),
        ({"type": "string"}, "null", "null"),
        ({"type": ["string", "null"]}, "null", None),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "nullable", "nullable"),
        ({"type": "string", "nullable": True}, "null", None),
        ({"$ref": "#/$defs/name"}, "a name", "a name"),
        ({"type": "integer"}, "12", 12),
        ({"enum": ["a", "b"]}, "b", "b"),
        ({"type": ["string", "integer"]}, '"12"', "12"),
    ],
)
def test_a_value_is_bare_text_where_its_schema_is_text(schema: dict[str, Any], text: str, value: Any) -> None:
    whole = {**properties(a=schema), "$defs": {"name": {"type": "string"}}}
    assert admits(XML, whole, f"<p=a>{text}</p>")
    assert read(XML, whole, f"<p=a>{text}</p>") == {"a": value}
    assert read(XML, whole, XML.write({"a": value}, whole)) == {"a": value}


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        (properties(a={"type": "integer"}), "<p=a>one</p>"),
        (properties(a={"enum": ["x"]}), "<p=a>y</p>"),
        (properties(a={"type": "string"}), "<p=b>y</p>"),
        (properties(a={"type": "string"}), "<p=a>y</p><p=a>y</p>"),
        ({**properties(a={"type": "string"}), "required": ["a"]}, ""),
        ({"type": "object", "required": ["b"]}, ""),
        ({"type": "object", "additionalProperties": False}, "<p=a>1</p>"),
    ],
)
def test_what_breaks_the_schema_is_not_admitted(schema: dict[str, Any], text: str) -> None:
    assert not admits(XML, schema, text)


def test_a_tool_without_listed_parameters_takes_any_in_json() -> None:
    assert admits(XML, {"type": "object"}, '<p=a>"x"</p><p=b_2>[1]</p>')
    assert read(XML, {"type": "object"}, '<p=a>"x"</p><p=b_2>[1]</p>') == {"a": "x", "b_2": [1]}


@pytest.mark.parametrize("arguments", [XML, NEAR_JSON], ids=["xml", "near-json"])
@pytest.mark.parametrize(
    ("schema", "keyword", "pointer"),
    [
        (properties(a={"type": "string", "minLength": 3}), "minLength", "/properties/a"),
        (properties(a={"type": "array", "uniqueItems": True}), "uniqueItems", "/properties/a"),
        ({**properties(a={}), "minProperties": 1}, "minProperties", ""),
    ],
)
def test_what_cannot_be_held_is_refused_when_strict_and_else_reported(
    arguments: Arguments, schema: dict[str, Any], keyword: str, pointer: str
) -> None:
    with pytest.raises(UnsupportedSchema) as caught:
        arguments.compile(schema, strict=True)
    assert (caught.value.keyword, caught.value.pointer) == (keyword, pointer)
    assert keyword in {entry.keyword for entry in arguments.compile(schema, strict=False).report.widened}


def test_a_key_that_cannot_be_spelled_is_refused() -> None:
    for arguments, key in ((XML, "a>b"), (NEAR_JSON, "a:b")):
        with pytest.raises(UnsupportedSchema, match="spell"):
            arguments.compile(properties(**{key: {}}), strict=False)


NESTED = properties(
    list={"type": "array", "items": {"anyOf": [{"type": "string"}, {"type": "number"}]}, "minItems": 1, "maxItems": 2},
    object={**properties(a={"type": "string"}, b={"$ref": "#/$defs/flag"}), "required": ["b"]},
    word={"enum": ["x", 1, None]},
)
NESTED["$defs"] = {"flag": {"type": "boolean"}}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('list:[<|"|>a, ]}<|"|>,2.5]', {"list": ["a, ]}", 2.5]}),
        ('object:{a:<|"|>"q"\n<|"|>,b:true}', {"object": {"a": '"q"\n', "b": True}}),
        ("word:1", {"word": 1}),
        ("word:null", {"word": None}),
        ("", {}),
    ],
)
def test_near_json_is_held_and_read_at_every_depth(text: str, value: Any) -> None:
    assert admits(NEAR_JSON, NESTED, text)
    assert NEAR_JSON.write(value, NESTED) == text
    assert read(NEAR_JSON, NESTED, text + "}") == value


@pytest.mark.parametrize("text", ["list:[]", "list:[1,2,3]", "object:{}", "object:{b:1}", "word:2", "list:[true]"])
def test_near_json_that_breaks_the_schema_is_not_admitted(text: str) -> None:
    assert not admits(NEAR_JSON, NESTED, text)


def test_a_schema_without_an_end_is_refused_and_does_not_hang() -> None:
    endless = {**properties(a={"$ref": "#"})}
    with pytest.raises(UnsupportedSchema, match="deep"):
        NEAR_JSON.compile(endless, strict=False)
