"""Values out of Java and JavaScript source text, as BFCL reads them.

For these languages the benchmark asks for every argument as a string of source code. What does not look like a literal
of its type stays the text it is, and then counts as the name of a variable. Nothing is parsed deeply: elements end at
commas, collections at their first closing bracket, because that is how the leaderboard's checker reads them too.
"""

import re
from typing import Any

_JAVA = {
    "byte": r"-?\d+", "short": r"-?\d+", "integer": r"-?\d+", "long": r"-?\d+[lL]", "boolean": r"true|false",
    "float": r"-?\d+(\.\d+)?([eE][+-]?\d+)?[fF]", "double": r"-?\d+(\.\d+)?([eE][+-]?\d+)?",
}  # fmt: skip
_JAVASCRIPT = {
    "integer": r"-?\d+", "Bigint": r"-?\d+n", "Boolean": r"true|false", "float": r"-?\d+(\.\d+)?",
}  # fmt: skip
_JAVA_ARRAY = re.compile(r"new\s+\w+\[\]\s*\{([^}]*)\}")
_JAVA_LIST = re.compile(r"new\s+ArrayList<\w*>\(")
_JAVA_MAP = re.compile(r"new\s+HashMap<[^()]*>\s*\(\)")
_JS_LIST = re.compile(r"\[(?P<plain>[^]]*)\]|new\s+Array\((?P<new>[^)]*)\)")
_JS_ROWS = re.compile(r"(?:\[|new\s+Array\()\s*\[[^]]*\]\s*(?:,\s*\[[^]]*\]\s*)*[\])]")
_JS_PAIR = re.compile(r",\s*(?=[^,]+:)")


def read_java(text: str, kind: str, element: str | None = None) -> Any:
    """`kind`: BFCL's name of the type. `element`: that of a collection's elements."""
    match kind:
        case "ArrayList":
            return _java_list(text, element)
        case "Array":
            found = _JAVA_ARRAY.search(text)
            # the quotes of strings stay, which is how the checker has them here and not in lists
            return text if found is None else [_java_element(piece, element) for piece in _pieces(found[1])]
        case "HashMap":
            return _java_map(text)
        case _:
            return _literal(text, _JAVA.get(kind), is_float=kind in ("float", "double"))


def read_javascript(text: str, kind: str, element: str | None = None) -> Any:
    """`kind`: BFCL's name of the type. `element`: that of an array's elements."""
    match kind:
        case "String":
            return text[1:-1] if _is_quoted(text) else text
        case "array":
            return _js_list(text.strip(), element)
        case "dict":
            return _js_object(text.strip())
        case _:
            return _literal(text, _JAVASCRIPT.get(kind), is_float=kind == "float")


def _literal(text: str, form: str | None, *, is_float: bool) -> Any:
    if form is None or re.fullmatch(form, text) is None:
        return text
    if text in ("true", "false"):
        return text == "true"
    digits = text.rstrip("lLfFn")
    return float(digits) if is_float else int(digits)


def _java_list(text: str, element: str | None) -> Any:
    """`new ArrayList<>(Arrays.asList(1, 2))` or `new ArrayList<>() {{ add(1); add(2); }}`."""
    found = _JAVA_LIST.search(text)
    if found is None:
        return text
    rest = text[found.end() :]
    if rest.startswith("Arrays.asList("):
        inside, closed, _ = rest.removeprefix("Arrays.asList(").partition("))")
        return [_java_list_element(piece, element) for piece in inside.split(",")] if closed else text
    if not rest.startswith(")"):
        return text
    return [_java_list_element(added, element) for added in re.findall(r"\badd\(([^)]+)\)", rest)]


def _java_list_element(text: str, kind: str | None) -> Any:
    """In lists the quotes of strings go."""
    text = text.strip()
    return text[1:-1] if kind in ("char", "String") else _java_element(text, kind)


def _java_element(text: str, kind: str | None) -> Any:
    return read_java(text, kind) if kind else _untyped_java(text)


def _java_map(text: str) -> Any:
    """`new HashMap<String, Object>() {{ put("key", 1); }}`."""
    found = _JAVA_MAP.search(text)
    if found is None:
        return text
    pairs = re.findall(r'put\("([^"]*)",\s*([^)]*)\)', text[found.end() :])
    return {key: _untyped_java(value.strip()) for key, value in pairs}


def _js_list(text: str, element: str | None) -> Any:
    if rows := _JS_ROWS.match(text):
        inside = re.findall(r"\[([^][]*)\]", rows[0])
        return [[_untyped_js(piece.strip()) for piece in row.split(",")] for row in inside]
    found = _JS_LIST.match(text)
    if found is None:
        return text
    pieces = _pieces(found["plain"] if found["plain"] is not None else found["new"])
    return [_js_element(piece, element) for piece in pieces]


def _js_element(text: str, kind: str | None) -> Any:
    return read_javascript(text, kind) if kind else _untyped_js(text)


def _js_object(text: str) -> Any:
    found = re.match(r"\{([^}]*)\}", text)
    if found is None:
        return text
    pairs = [pair.partition(":") for pair in _JS_PAIR.split(found[1]) if ":" in pair]
    return {key.strip().strip("'\""): _js_member(value.strip()) for key, _, value in pairs}


def _js_member(text: str) -> Any:
    if text.startswith("[") and text.endswith("]"):
        return _js_list(text, None)
    return _untyped_js(text.strip("'\""))


def _untyped_java(text: str) -> Any:
    """A value by its looks; its type may say that it is long or float."""
    for kind in ("boolean", "long", "float"):
        value = _literal(text, _JAVA[kind], is_float=kind == "float")
        if value is not text:
            return value
    return text[1:-1] if _is_quoted(text, '"') else _number(text)


def _untyped_js(text: str) -> Any:
    """A value by its looks."""
    if text in ("true", "false"):
        return text == "true"
    return text[1:-1] if _is_quoted(text) else _number(text)


def _number(text: str) -> Any:
    for read in (int, float):
        try:
            return read(text)
        except ValueError:
            continue
    return text


def _is_quoted(text: str, quotes: str = "'\"") -> bool:
    return any(len(text) >= 2 and text.startswith(quote) and text.endswith(quote) for quote in quotes)


def _pieces(text: str) -> list[str]:
    return [piece.strip() for piece in text.split(",")] if text.strip() else []
