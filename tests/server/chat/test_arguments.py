"""Arguments one by one: what their grammar holds, and what it says of the rest."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

import grammars
from grammars import GrammarError, LimitExceeded, UnsatisfiableSchema, UnsupportedSchema
from server.chat.argument_reader import reader_of
from server.chat.arguments import Arguments, NestedArguments, Parameters
from server.chat.element_values import ElementArguments
from server.chat.nested_values import NestedValues
from tests.grammars.conftest import RandomWalk
from tests.grammars.schemas import COMBINED_SCHEMAS, OBJECT_SCHEMAS

XML = Parameters("<p=", "", ">", "</p>", ">", "</p>", has_bare_text=True)
TYPED = Parameters("<p=", "", "|{}>", "</p>", "|string>", "</p>", has_bare_text=True, tells_types=True)
ELEMENTS = ElementArguments("]<[")
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


def without_lengths(schema: Any) -> Any:
    """Of bare texts they are not held."""
    if isinstance(schema, list):
        return [without_lengths(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    return {key: without_lengths(one) for key, one in schema.items() if key not in ("minLength", "maxLength")}


@settings(suppress_health_check=list(HealthCheck), max_examples=150)
@given(
    schema=OBJECT_SCHEMAS | COMBINED_SCHEMAS.map(lambda inner: properties(a=inner)),
    seed=st.integers(0, 2**32),
    size=st.integers(1, 9),
)
def test_whatever_elements_a_strict_schema_admits_are_read_as_valid_arguments(
    schema: dict[str, Any], seed: int, size: int
) -> None:
    schema = without_lengths(schema)
    try:
        node = ELEMENTS.compile(schema, strict=True).node
        text = RandomWalk(seed).write(node)
    except (GrammarError, RecursionError):
        return  # refused, with a reason
    value = read(ELEMENTS, schema, text + "]<[</invoke>")
    # to Python's re, `$` also stands before a newline at the end
    validator = Draft202012Validator(json.loads(json.dumps(schema).replace('b$"', 'b\\\\Z"')))
    validator.validate(value)
    reader, parts, rest = reader_of(ELEMENTS, schema, ""), "", ""
    for start in range(0, len(text) + 12, size):
        rest += (text + "]<[</invoke>")[start : start + size]
        while not (reading := reader.read(rest)).needs_more and not reading.is_whole:
            parts, rest = parts + reading.arguments, rest[reading.length :]
        parts, rest = parts + reading.arguments, rest[reading.length :]
        if reading.is_whole:
            break
    assert json.loads(parts) == value


@pytest.mark.parametrize(
    ("schema", "text", "value"),
    [
        ({"type": "string"}, "null", "null"),
        ({"type": ["string", "null"]}, "null", None),
        ({"type": ["string", "null"]}, "<![CDATA[null]]>", "null"),
        ({"type": "string"}, "a ]< [ b", "a ]< [ b"),
        ({"type": "string"}, "<![CDATA[a ]]]><![CDATA[<[ b]]>", "a ]<[ b"),
        ({"type": "array", "items": {"type": "integer"}}, "", []),
        ({"type": "array", "items": {"type": "integer"}}, "]<[<item>1]<[</item>]<[<item>2]<[</item>", [1, 2]),
        ({"type": "object", "properties": {"b": {"type": "boolean"}}}, "]<[<b>true]<[</b>", {"b": True}),
        ({"type": "object", "properties": {}}, "", {}),
        ({"anyOf": [{"type": "null"}, {"type": "array", "items": {"type": "string"}}]}, "null", None),
        ({"enum": ["a", "b"]}, "b", "b"),
        ({"type": ["null"]}, "null", None),
    ],
)
def test_an_element_holds_what_its_schema_says(schema: dict[str, Any], text: str, value: Any) -> None:
    whole = properties(a=schema)
    written = f"]<[<a>{text}]<[</a>"
    assert admits(ELEMENTS, whole, written)
    assert read(ELEMENTS, whole, written + "]<[</invoke>") == {"a": value}
    assert ELEMENTS.write({"a": value}, whole) == written


@pytest.mark.parametrize(
    ("schema", "keyword"),
    [
        ({"type": "string", "minLength": 2}, "minLength"),
        ({"type": "array", "uniqueItems": True}, "uniqueItems"),
        ({"type": "object", "anyOf": [{"required": ["a"]}]}, "required"),
        ({"minimum": 3, "anyOf": [{"type": "integer"}, {"type": "null"}]}, "minimum"),
        ({"oneOf": [{"type": "string"}, {"type": "integer"}]}, "oneOf"),
    ],
)
def test_what_elements_cannot_hold_is_refused_or_told(schema: dict[str, Any], keyword: str) -> None:
    with pytest.raises(UnsupportedSchema, match=keyword):
        ELEMENTS.compile(properties(a=schema), strict=True)
    widened = ELEMENTS.compile(properties(a=schema), strict=False).report.widened
    assert (keyword, "/properties/a") in [(entry.keyword, entry.pointer) for entry in widened]


ALL = pytest.mark.parametrize(
    "arguments", [XML, TYPED, NEAR_JSON, ELEMENTS], ids=["xml", "typed", "near-json", "elements"]
)


def refused(arguments: Arguments, schema: dict[str, Any]) -> str:
    """The keyword that strict refuses; without it the same one is reported."""
    with pytest.raises(UnsupportedSchema) as caught:
        arguments.compile(schema, strict=True)
    assert caught.value.keyword in {entry.keyword for entry in arguments.compile(schema, strict=False).report.widened}
    return caught.value.keyword


@ALL
def test_limits_beside_a_reference_are_not_dropped(arguments: Arguments) -> None:
    named = {**properties(a={"$ref": "#/$defs/name", "maxLength": 5}), "$defs": {"name": {"type": "string"}}}
    assert refused(arguments, named) == "maxLength"
    clashing = {**properties(a={"$ref": "#/$defs/name", "enum": ["x"]}), "$defs": {"name": {"enum": ["x", "y"]}}}
    assert refused(arguments, clashing) == "allOf"


@ALL
@pytest.mark.parametrize("keyword", ["pattern", "format"])
def test_limits_around_a_text_or_null_are_not_dropped(arguments: Arguments, keyword: str) -> None:
    schema = {"anyOf": [{"type": "string"}, {"type": "null"}], keyword: "date"}
    assert refused(arguments, properties(a=schema)) == keyword


@ALL
def test_a_reference_that_stays_beside_a_text_is_not_dropped(arguments: Arguments) -> None:
    with pytest.raises(GrammarError, match="ref"):
        arguments.compile(properties(a={"$ref": "#/$defs/missing", "type": "string"}), strict=True)


NULLS = [(XML, "<p=a>null</p>"), (TYPED, "<p=a|null>null</p>"), (NEAR_JSON, "a:null"), (ELEMENTS, "]<[<a>null]<[</a>")]


@pytest.mark.parametrize(("arguments", "text"), NULLS, ids=["xml", "typed", "near-json", "elements"])
@pytest.mark.parametrize("kinds", [{"type": ["string", "null"]}, {"type": "string", "nullable": True}])
def test_null_is_offered_only_if_the_listed_values_have_it(
    arguments: Arguments, text: str, kinds: dict[str, Any]
) -> None:
    assert admits(arguments, properties(a={**kinds, "enum": ["a", None]}), text)
    assert not admits(arguments, properties(a={**kinds, "enum": ["a"]}), text)


TREE = properties(name={"type": "string"}, children={"type": "array", "items": {"$ref": "#"}})


def test_a_reference_to_the_root_means_the_whole_tool() -> None:
    for arguments, mark in ((XML, ""), (TYPED, "|array")):
        assert admits(arguments, TREE, f'<p=children{mark}>[{{"name": "x", "children": []}}]</p>')
        assert not admits(arguments, TREE, f"<p=children{mark}>[[], []]</p>")


@pytest.mark.parametrize(
    "reference", ["#/properties/count", "#/$defs/count", "#/$defs/a~1b%25", "#/$defs/either/anyOf/1", "#whole"]
)
def test_references_mean_the_tool_and_not_the_value(reference: str) -> None:
    count = {"type": "integer"}
    numbers = {"type": "array", "items": {"$ref": reference}}
    whole = {
        **properties(count={**count, "default": {"$ref": "#"}}, a=numbers, b={"$ref": reference}),
        "$defs": {
            "count": count,
            "a/b%": count,
            "either": {"anyOf": [True, count]},
            "w": {**count, "$anchor": "whole"},
        },
        "$id": "https://example.com/tool",
    }
    for arguments, array, number in ((XML, "", ""), (TYPED, "|array", "|number")):
        assert admits(arguments, whole, f"<p=a{array}>[1]</p><p=b{number}>2</p>")
        assert not admits(arguments, whole, f"<p=a{array}>[true]</p>")


def test_places_in_refusals_are_those_in_the_tools_schema() -> None:
    odd = {"type": "array", "items": {"pattern": r"(a)\1"}}
    for arguments in (XML, TYPED):
        for schema, pointer in (
            ({**properties(a={"$ref": "#/$defs/odd"}), "$defs": {"odd": odd}}, "/$defs/odd/items"),
            (properties(a={"type": "array", "items": odd}), "/properties/a/items/items"),
            (properties(a={**odd, "contains": {"$ref": "#"}}), "/properties/a/items"),
        ):
            with pytest.raises(UnsupportedSchema) as caught:
                arguments.compile(schema, strict=True)
            assert caught.value.pointer == pointer
            widened = arguments.compile(schema, strict=False).report.widened
            assert ("pattern", pointer) in [(entry.keyword, entry.pointer) for entry in widened]
    with pytest.raises(GrammarError, match=r"\(at /properties/a\)"):
        XML.compile(properties(a={"$ref": "#/$defs/missing"}), strict=False)


@pytest.mark.timeout(20)
def test_a_schema_that_leads_to_itself_does_not_hang() -> None:
    for endless in ({"anyOf": [{"$ref": "#/$defs/a"}]}, {"allOf": [{"$ref": "#/$defs/a"}] * 2}, {"$ref": "#/$defs/a"}):
        schema = {**properties(a={"$ref": "#/$defs/a"}), "$defs": {"a": endless}}
        for arguments in (NEAR_JSON, ELEMENTS):
            with pytest.raises(GrammarError):
                arguments.compile(schema, strict=True)
        assert read(ELEMENTS, schema, "]<[<a>x]<[</a>]<[</invoke>") == {"a": "x"}


@pytest.mark.timeout(20)
def test_values_that_multiply_from_level_to_level_are_refused() -> None:
    levels = {
        f"level{n}": properties(**{f"key{i}": {"$ref": f"#/$defs/level{n + 1}"} for i in range(9)}) for n in range(6)
    }
    schema = {**properties(a={"$ref": "#/$defs/level0"}), "$defs": {**levels, "level6": {"type": "integer"}}}
    for arguments in (NEAR_JSON, ELEMENTS):
        with pytest.raises(LimitExceeded, match="steps"):
            arguments.compile(schema, strict=False)


@pytest.mark.parametrize(
    ("schema", "keyword"),
    [
        ({"minLength": 1}, "minLength"),
        ({"allOf": [{"type": "string"}, {"maxLength": 5}]}, "maxLength"),
        ({"not": {"type": "integer"}}, "not"),
        ({"enum": ["abc", 1], "minLength": 2}, "minLength"),
        ({"oneOf": [{"type": "integer"}, {"type": "number"}]}, "oneOf"),
        ({"oneOf": [{"type": "object", "properties": {}}, {"type": "object", "properties": {}}]}, "oneOf"),
        ({"oneOf": [{"type": "string", "nullable": True}, {"type": "null"}]}, "oneOf"),
    ],
)
def test_near_json_refuses_what_it_cannot_hold(schema: dict[str, Any], keyword: str) -> None:
    assert refused(NEAR_JSON, properties(a=schema)) == keyword
    assert not admits(NEAR_JSON, properties(a=schema), 'a:"x}"')


KINDS = {"oneOf": [{**properties(kind={"const": kind}), "required": ["kind"]} for kind in "xy"]}


@pytest.mark.parametrize(
    ("schema", "text", "is_valid"),
    [
        ({"type": "integer", "enum": [1, 5], "minimum": 4}, "1", False),
        ({"type": "integer", "enum": [1, 5], "minimum": 4}, "5", True),
        ({"type": ["integer"], "format": "int32", "not": {"const": 3}}, "3", False),
        ({"type": ["integer"], "format": "int32", "not": {"const": 3}}, "4", True),
        ({"type": ["string", "integer"], "enum": ["x", 1, None]}, "1", True),
        ({"type": ["string", "integer"], "enum": ["x", 1, None]}, "null", False),
        ({"type": ["string", "integer"], "enum": [1]}, "1", True),
        ({"enum": [1, 2], "const": 2}, "1", False),
        ({"type": ["object"], "properties": {"b": {"type": "null"}}}, "{b:null}", True),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}], "minimum": 3}, "2", False),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}], "minimum": 3}, "null", True),
        ({"oneOf": [{"type": "integer"}, {"type": "null"}]}, "null", True),
        (KINDS, '{kind:<|"|>y<|"|>}', True),
        (KINDS, '{kind:<|"|>z<|"|>}', False),
        ({"allOf": [{"$ref": "#/$defs/part"}], "title": "Part"}, "{b:1}", True),
        ({"allOf": [{"$ref": "#/$defs/part"}, properties(c={"type": "null"})], "required": ["c"]}, "{b:1}", False),
        ({"allOf": [{"$ref": "#/$defs/part"}, properties(c={"type": "null"})], "required": ["c"]}, "{c:null}", True),
    ],
)
def test_near_json_holds_what_stands_beside_each_other(schema: dict[str, Any], text: str, is_valid: bool) -> None:
    whole = {**properties(a=schema), "$defs": {"part": properties(b={"type": "integer"})}}
    NEAR_JSON.compile(whole, strict=True)
    assert admits(NEAR_JSON, whole, f"a:{text}") == is_valid


def test_near_json_says_so_where_no_listed_value_fits() -> None:
    for schema in ({"type": "string", "enum": [1]}, {"type": ["string", "null"], "enum": [1]}):
        with pytest.raises(UnsatisfiableSchema):
            NEAR_JSON.compile(properties(a=schema), strict=False)


@settings(suppress_health_check=list(HealthCheck), max_examples=150)
@given(
    schema=OBJECT_SCHEMAS | COMBINED_SCHEMAS.map(lambda inner: properties(a=inner)),
    seed=st.integers(0, 2**32),
    arguments=st.sampled_from([NEAR_JSON, XML]),
)
def test_whatever_a_strict_schema_admits_is_read_as_valid_arguments(
    schema: dict[str, Any], seed: int, arguments: Arguments
) -> None:
    schema = without_lengths(schema)
    try:
        text = RandomWalk(seed).write(arguments.compile(schema, strict=True).node)
    except (GrammarError, RecursionError):
        return  # refused, with a reason
    validator = Draft202012Validator(json.loads(json.dumps(schema).replace('b$"', 'b\\\\Z"')))
    validator.validate(read(arguments, schema, text + "}"))
