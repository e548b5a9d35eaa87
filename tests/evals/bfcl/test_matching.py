"""BFCL's rules, each on a hand-made case.

Source: https://gorilla.cs.berkeley.edu/blogs/8_berkeley_function_calling_leaderboard.html, "Abstract Syntax Tree (AST)
Evaluation"; tests name its section. Where the text leaves a case open, or the leaderboard's checker does otherwise
(ShishirPatil/gorilla, bfcl_eval/eval_checker/ast_eval), the checker decides; those tests name its function.
"""

import json
from typing import Any

import pytest

from evals.bfcl.matching import matches_possible, wire_name
from evals.case import Language, MadeCall


def made(name: str = "f", **arguments: Any) -> MadeCall:
    return MadeCall(name, json.dumps(arguments), arguments)


def function(name: str = "f", required: tuple[str, ...] = (), **types: Any) -> dict[str, Any]:
    properties = {key: kind if isinstance(kind, dict) else {"type": kind} for key, kind in types.items()}
    return {"name": name, "parameters": {"type": "dict", "properties": properties, "required": list(required)}}


def is_right(kind: Any, possible: list[Any], value: Any, language: Language = "python") -> bool:
    return matches_possible([made(x=value)], [{"f": {"x": possible}}], [function(x=kind)], language)


def list_of(element: str, kind: str = "array") -> dict[str, Any]:
    return {"type": kind, "items": {"type": element}}


# --- the function and its parameters


def test_the_name_must_be_the_same_with_dots_written_as_underscores() -> None:
    """Function Matching."""
    offered, possible = [function("math.hypot", x="integer")], [{"math.hypot": {"x": [1]}}]
    assert wire_name("math.hypot") == "math_hypot"
    assert matches_possible([made("math_hypot", x=1)], possible, offered, "python")
    assert not matches_possible([made("hypot", x=1)], possible, offered, "python")


def test_a_required_parameter_must_be_there_even_where_the_answer_lets_it_out() -> None:
    """Required Parameters Matching; simple_function_checker looks at these before it looks at values."""
    offered, possible = [function(required=("x",), x="integer")], [{"f": {"x": [1, ""]}}]
    assert matches_possible([made(x=1)], possible, offered, "python")
    assert not matches_possible([made()], possible, offered, "python")


def test_an_optional_parameter_may_be_left_out_where_an_empty_text_is_possible() -> None:
    """Handling Optional Parameters in Function Calls: else the prompt implies a value, and none given is wrong."""
    offered = [function(x="integer", y="integer")]
    possible = [{"f": {"x": [1], "y": [5, ""]}}]
    assert matches_possible([made(x=1)], possible, offered, "python")
    assert matches_possible([made(x=1, y=5)], possible, offered, "python")
    assert not matches_possible([made(x=1, y=6)], possible, offered, "python")
    assert not matches_possible([made(y=5)], possible, offered, "python")


@pytest.mark.parametrize("offered", [function(x="integer"), function(x="integer", y="integer")])
def test_a_parameter_that_is_not_documented_or_not_expected_is_a_hallucination(offered: Any) -> None:
    """Required Parameters Matching."""
    assert not matches_possible([made(x=1, y=2)], [{"f": {"x": [1]}}], [offered], "python")


def test_arguments_that_are_no_json_never_match() -> None:
    assert not matches_possible([MadeCall("f", "{oops", None)], [{"f": {}}], [function()], "python")


# --- types and values in Python: Parameter Type & Value Matching


@pytest.mark.parametrize(
    ("kind", "possible", "value", "right"),
    [
        ("integer", [5], 5, True),
        ("integer", [5], 5.0, False),  # a float for an int is allowed in no language
        ("integer", [5], "5", False),
        ("integer", [1], True, False),  # type() is compared, and bool is not int
        ("float", [5.0], 5.0, True),
        ("float", [5.0], 5, True),  # an int for a float is, in Python
        ("float", [0.5], 0.25, False),
        ("boolean", [True], True, True),
        ("boolean", [True], "true", False),
        ("boolean", [True], 1, False),
        ("any", ["x"], "X", True),
        ("any", [3], 3, True),  # by the type of the possible answer
        ("unheard-of", [3], 3, False),
    ],
)
def test_types_are_strict_but_for_an_int_where_a_float_is_due(
    kind: str, possible: Any, value: Any, right: bool
) -> None:
    assert is_right(kind, possible, value) is right


@pytest.mark.parametrize(
    ("value", "right"),
    [
        ("New York, NY", True),
        ("new york ny", True),
        ("NewYork/N.Y.", True),
        ("New-York_*^NY", True),
        ("New York; NY", False),
        ("New York", False),
    ],
)
def test_texts_are_compared_without_case_blanks_and_some_marks(value: str, right: bool) -> None:
    assert is_right("string", ["New York, NY"], value) is right


def test_single_quotes_are_double_ones() -> None:
    """standardize_string."""
    assert is_right("string", ["say 'hi'"], 'say "hi"')


def test_one_of_several_texts_is_enough_as_in_an_enum() -> None:
    assert is_right("string", ["celsius", "c"], "C")
    assert not is_right("string", ["celsius", "c"], "kelvin")


@pytest.mark.parametrize(
    ("kind", "possible", "value", "right"),
    [
        (list_of("integer"), [[1, 2]], [1, 2], True),
        (list_of("integer"), [[1, 2]], [2, 1], False),  # order matters
        (list_of("integer"), [[1, 2], [2, 1]], [2, 1], True),
        (list_of("integer"), [[1, 2]], [1], False),
        (list_of("integer"), [[1, 2]], [1, "2"], False),
        (list_of("float"), [[1.0, 2.0]], [1, 2], False),  # type_checker converts nothing inside of lists
        (list_of("string"), [["New York", "Rome"]], ["new york", "ROME"], True),
        (list_of("string"), [["a"]], "a", False),
        (list_of("float", "tuple"), [[1.5, 2.5]], [1.5, 2.5], True),
        (list_of("array"), [[[1, 2], [3]]], [[1, 2], [3]], True),
        (list_of("array"), [[[1, 2], [3]]], [[1, 2], [4]], False),
        (list_of("string"), [["a"], ""], [], True),  # list_checker reads "" as the empty list
    ],
)
def test_lists_are_compared_item_by_item_in_order(kind: Any, possible: Any, value: Any, right: bool) -> None:
    assert is_right(kind, possible, value) is right


@pytest.mark.parametrize(
    ("value", "right"),
    [
        ({"a": 1}, True),
        ({"a": 2, "b": "X"}, True),
        ({"a": 3}, False),
        ({"b": "x"}, False),
        ({"a": 1, "c": 1}, False),
        ([], False),
    ],
)
def test_dictionaries_are_compared_key_by_key(value: Any, right: bool) -> None:
    """In dict_checker each key lists its possible values, and "" lets it out."""
    assert is_right("dict", [{"a": [1, 2], "b": ["x", ""]}], value) is right


def test_lists_of_dictionaries_keep_their_order_and_number() -> None:
    kind, possible = list_of("dict"), [[{"a": [1]}, {"a": [2]}]]
    assert is_right(kind, possible, [{"a": 1}, {"a": 2}])
    assert not is_right(kind, possible, [{"a": 2}, {"a": 1}])
    assert not is_right(kind, possible, [{"a": 1}])


def test_a_variable_is_of_the_type_of_its_possible_answers_and_compared_exactly() -> None:
    """Handling Optional Parameters, second paragraph; exactly, because simple_function_checker folds no variable."""
    assert is_right("integer", ["count"], "count")
    assert not is_right("integer", ["count"], "Count")
    assert not is_right("integer", ["count"], 5)


# --- Java and JavaScript: "all the parameter values (in the input) are in the string format"


@pytest.mark.parametrize(
    ("language", "kind", "possible", "value", "right"),
    [
        ("java", "integer", [5], "5", True),
        ("java", "integer", [5], 5, False),
        ("java", "long", [5], "5L", True),
        ("java", "long", [5], "5", False),
        ("java", "float", [1.5], "1.5f", True),
        ("java", "double", [1.5], "1.5", True),
        ("java", "boolean", [True], "true", True),
        ("java", "String", ["a b"], "A B", True),
        ("java", "any", ["mapArea"], "mapArea", True),
        ("java", list_of("integer", "Array"), [[1, 2]], "new int[]{1, 2}", True),
        ("java", list_of("String", "ArrayList"), [["GC"]], 'new ArrayList<String>(Arrays.asList("GC"))', True),
        ("java", "HashMap", [{"k": ["v"]}], 'new HashMap<String, String>() {{ put("k", "v"); }}', True),
        ("java", list_of("char", "Array"), ["buffer"], "buffer", True),
        ("javascript", "String", ["a"], "'a'", True),
        ("javascript", "integer", [5], "5", True),
        ("javascript", "Bigint", [5], "5n", True),
        ("javascript", "float", [4.0], "4", True),  # the text says no, js_type_converter says yes
        ("javascript", "Boolean", [False], "false", True),
        ("javascript", "Boolean", [False], False, False),
        ("javascript", list_of("String"), [["a", "b"]], "['a', \"b\"]", True),
        ("javascript", "dict", [{"stop": [True]}], "{stop: true}", True),
        ("javascript", "dict", ["options"], "options", True),
    ],
)
def test_source_text_is_read_as_the_value_it_stands_for(
    language: Language, kind: Any, possible: Any, value: Any, right: bool
) -> None:
    assert is_right(kind, possible, value, language) is right


# --- several calls: multiple, parallel and parallel_multiple


OFFERED = [function("f", x="integer"), function("g", x="integer")]
ONE, TWO, OTHER = {"f": {"x": [1]}}, {"f": {"x": [2]}}, {"g": {"x": [1]}}


def test_of_several_functions_the_expected_one_must_be_called() -> None:
    """Category multiple: Multiple/Parallel/Parallel-Multiple Functions AST Evaluation."""
    assert matches_possible([made("g", x=1)], [OTHER], OFFERED, "python")
    assert not matches_possible([made("f", x=1)], [OTHER], OFFERED, "python")


def test_calls_may_come_in_any_order() -> None:
    """Categories parallel and parallel_multiple, same section: any output may match any answer."""
    assert matches_possible([made("g", x=1), made(x=2), made(x=1)], [ONE, TWO, OTHER], OFFERED, "python")


@pytest.mark.parametrize("calls", [[], [made(x=1)], [made(x=1), made(x=1)], [made(x=1), made(x=2), made(x=2)]])
def test_there_must_be_as_many_calls_and_none_counts_twice(calls: list[MadeCall]) -> None:
    """Same section: all or nothing."""
    assert not matches_possible(calls, [ONE, TWO], OFFERED, "python")


def test_calls_that_are_equal_only_to_python_are_told_apart() -> None:
    assert matches_possible([made(x=1), made(x=1)], [ONE, ONE], OFFERED, "python")
    assert not matches_possible([made(x=1.0), made(x=1)], [ONE, ONE], OFFERED, "python")


def test_an_answer_takes_the_first_call_that_fits_and_does_not_give_it_back() -> None:
    """parallel_function_checker_no_order: the first answer takes the call that the second needs."""
    either = {"f": {"x": [1, 2]}}
    assert matches_possible([made(x=2), made(x=1)], [either, ONE], OFFERED, "python")
    assert not matches_possible([made(x=1), made(x=2)], [either, ONE], OFFERED, "python")
