"""Literals of Java and JavaScript as the leaderboard reads them. What is none stays text."""

from typing import Any

import pytest

from evals.bfcl.literals import read_java, read_javascript


@pytest.mark.parametrize(
    ("text", "kind", "element", "value"),
    [
        ("-128", "byte", None, -128),
        ("3.5", "integer", None, "3.5"),
        ("9223372036854775807L", "long", None, 9223372036854775807),
        ("9", "long", None, "9"),
        ("-3.14f", "float", None, -3.14),
        ("3e-3F", "float", None, 3e-3),
        ("3.14", "float", None, "3.14"),
        ("3.14e2", "double", None, 314.0),
        ("3.14f", "double", None, "3.14f"),
        ("false", "boolean", None, False),
        ("False", "boolean", None, "False"),
        ("a", "char", None, "a"),
        ('"quoted"', "String", None, '"quoted"'),
        ("new int[]{}", "Array", None, []),
        ("new int[] { 1, 2,3 }", "Array", "integer", [1, 2, 3]),
        ("new long[]{1L, 2, 3L}", "Array", "long", [1, "2", 3]),
        ('new Object[]{1, "abc", true, 2.5, 3f, x}', "Array", None, [1, "abc", True, 2.5, 3.0, "x"]),
        ("someArray", "Array", "integer", "someArray"),
        ('new ArrayList<>(Arrays.asList("a", "b"))', "ArrayList", None, ["a", "b"]),
        ("new ArrayList<Integer>(Arrays.asList(1, 2))", "ArrayList", "integer", [1, 2]),
        ('new ArrayList<String>() {{ add("a"); add("b"); }}', "ArrayList", "String", ["a", "b"]),
        ("new ArrayList<Character>() {{ add('a'); }}", "ArrayList", "char", ["a"]),
        ("new ArrayList<>()", "ArrayList", "String", []),
        ("someList", "ArrayList", "String", "someList"),
        ("new HashMap<>()", "HashMap", None, {}),
        ("new HashMap<>() {{ }}", "HashMap", None, {}),
        ('new HashMap<String, Object>() {{ put("a", 1); put("b", "c d"); put("e", true); }}', "HashMap", None,
         {"a": 1, "b": "c d", "e": True}),
        ("someMap", "HashMap", None, "someMap"),
    ],
)  # fmt: skip
def test_java(text: str, kind: str, element: str | None, value: Any) -> None:
    assert read_java(text, kind, element) == value


@pytest.mark.parametrize(
    ("text", "kind", "element", "value"),
    [
        ("plain", "String", None, "plain"),
        ("'single'", "String", None, "single"),
        ('"double"', "String", None, "double"),
        ("'", "String", None, "'"),
        ("12", "integer", None, 12),
        ("1.5", "integer", None, "1.5"),
        ("-3.14", "float", None, -3.14),
        ("123n", "Bigint", None, 123),
        ("true", "Boolean", None, True),
        ("yes", "Boolean", None, "yes"),
        ("x => x", "any", None, "x => x"),
        ("[]", "array", "String", []),
        ("[1, 'two', true, 1.5]", "array", None, [1, "two", True, 1.5]),
        ("new Array(4n, 5n)", "array", "Bigint", [4, 5]),
        ("[ [ 1, 2 ], [ 3,   4]]", "array", "array", [[1, 2], [3, 4]]),
        ("new Array([1, 2], [3, 4])", "array", "array", [[1, 2], [3, 4]]),
        ("items", "array", "String", "items"),
        ("{}", "dict", None, {}),
        ("{'a': 1, b: 'two', \"c\": false}", "dict", None, {"a": 1, "b": "two", "c": False}),
        ('{"state": initial, "used": ["a", "b"]}', "dict", None, {"state": "initial", "used": ["a", "b"]}),
        ("options", "dict", None, "options"),
    ],
)
def test_javascript(text: str, kind: str, element: str | None, value: Any) -> None:
    assert read_javascript(text, kind, element) == value
