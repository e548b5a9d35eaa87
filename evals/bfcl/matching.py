"""BFCL's matching of calls with possible answers, rule by rule as the leaderboard publishes and runs them.

A possible answer lists, per argument, every value that counts; "" among them means the argument may be left out. The
rules are odd in places (an int passes for a float, but not inside a list); they are kept so that figures compare.
Source: https://gorilla.cs.berkeley.edu/blogs/8_berkeley_function_calling_leaderboard.html, "Abstract Syntax Tree (AST)
Evaluation"; where that leaves a case open, what the leaderboard's own checker does (ShishirPatil/gorilla, ast_eval).
"""

from collections.abc import Sequence
from typing import Any

from evals.bfcl.literals import read_java, read_javascript
from evals.case import Json, Language, MadeCall

_PYTHON = {
    "string": str, "integer": int, "float": float, "boolean": bool, "array": list, "tuple": list, "dict": dict,
    "any": str,
}  # fmt: skip
_JAVA = {
    "byte": int, "short": int, "integer": int, "float": float, "double": float, "long": int, "boolean": bool,
    "char": str, "Array": list, "ArrayList": list, "Set": set, "HashMap": dict, "Hashtable": dict, "Queue": list,
    "Stack": list, "String": str, "any": str,
}  # fmt: skip
_JAVASCRIPT = {
    "String": str, "integer": int, "float": float, "Bigint": int, "Boolean": bool, "dict": dict, "array": list,
    "any": str,
}  # fmt: skip
_TYPES: dict[Language, dict[str, type]] = {"python": _PYTHON, "java": _JAVA, "javascript": _JAVASCRIPT}
_COLLECTIONS: dict[Language, tuple[str, ...]] = {
    "python": ("array", "tuple"), "java": ("Array", "ArrayList"), "javascript": ("array",),
}  # fmt: skip


def wire_name(name: str) -> str:
    """A function's name as requests carry it: OpenAI allows no dots, so BFCL writes underscores for its models."""
    return name.replace(".", "_")


def matches_possible(
    calls: Sequence[MadeCall], possible: Sequence[Json], functions: Sequence[Json], language: Language
) -> bool:
    """As many calls as possible answers, in any order; each answer takes the first call left that fits."""
    if len(calls) != len(possible):
        return False
    free = list(range(len(calls)))  # places, because calls that Python finds equal (2 and 2.0) need not be
    for answer in possible:
        ((name, arguments),) = answer.items()
        function = next((f for f in functions if f["name"] == name), None)
        found = next((n for n in free if function and _fits(calls[n], function, arguments, language)), None)
        if found is None:
            return False
        free.remove(found)
    return True


def _fits(call: MadeCall, function: Json, possible: Json, language: Language) -> bool:
    """Name right, nothing required missing, nothing unexpected, every value possible, the rest may be left out."""
    given, parameters = call.arguments, function["parameters"]
    if call.name != wire_name(function["name"]) or given is None:
        return False
    if any(key not in given for key in parameters.get("required", ())):
        return False
    properties = parameters["properties"]
    for key, value in given.items():
        if key not in properties or key not in possible:
            return False
        if not _is_possible(value, possible[key], properties[key], language):
            return False
    return all(key in given or "" in values for key, values in possible.items())


def _is_possible(value: Any, possible: list[Any], schema: Json, language: Language) -> bool:
    kind = schema["type"]
    expected = _TYPES[language].get(kind)
    element = schema.get("items", {}).get("type") if kind in _COLLECTIONS[language] else None
    if expected is None:
        return False
    if language != "python":
        if not isinstance(value, str):
            return False
        value = (read_java if language == "java" else read_javascript)(value, kind, element)
    elif kind == "float" and type(value) is int:
        value = float(value)
    nested = _TYPES[language].get(element) if element else None
    has_type, is_variable = _check_type(value, possible, expected, nested)
    if not has_type:
        return False
    if is_variable:
        return value in possible
    return _has_value(value, possible, expected, nested)


def _check_type(value: Any, possible: list[Any], expected: type, nested: type | None) -> tuple[bool, bool]:
    """Whether the type is right, and whether the value is a variable: of the type of the possible answers instead."""
    listed = next((type(answer) for answer in possible if answer != ""), None)
    items: Any = value
    if type(value) is expected:
        is_right = nested is None or any(
            not isinstance(answer, list) or all(_check_type(item, answer, nested, None)[0] for item in items)
            for answer in possible
        )
        return is_right, listed is not None and listed is not expected
    return listed is not None and type(value) is listed, True


def _has_value(value: Any, possible: list[Any], expected: type, nested: type | None) -> bool:
    if expected is dict:
        return _is_possible_dict(value, possible)
    if expected is list and nested is dict:
        return any(
            len(value) == len(answer)
            and all(_is_possible_dict(item, [wanted]) for item, wanted in zip(value, answer, strict=True))
            for answer in possible
        )
    if expected is str:
        return _plain(value) in [_plain(answer) for answer in possible if isinstance(answer, str)]
    if expected is list:
        return [_plain(item) for item in value] in [[_plain(item) for item in answer] for answer in possible]
    return value in possible


def _is_possible_dict(value: Any, possible: list[Any]) -> bool:
    """Keys known, their values among those listed, and no key left out that must be there. One level deep."""
    return isinstance(value, dict) and any(
        answer != ""
        and all(key in answer and _plain(item) in [_plain(a) for a in answer[key]] for key, item in value.items())
        and all(key in value or "" in values for key, values in answer.items())
        for answer in possible
    )


def _plain(value: Any) -> Any:
    """Strings without blanks and the marks , . / - _ * ^, in lower case, with one kind of quotes."""
    if not isinstance(value, str):
        return value
    return "".join(mark for mark in value if mark not in " ,./-_*^").lower().replace("'", '"')
