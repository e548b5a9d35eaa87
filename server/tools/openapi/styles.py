"""Values as texts in a URL, a header, a cookie or a form: style and explode as the specification has them.

Delimiters stand bare and what is within a value is percent-encoded, so no value can end another. Sources:
https://spec.openapis.org/oas/v3.1.1#style-values, its table of examples, and RFC 6570 beneath it.
"""

import json
from typing import Any
from urllib.parse import quote

from server.tools.openapi.operation import Style

Pair = tuple[str, str]
"""Name and value, both encoded."""
_RESERVED = ":/?#[]@!$&'()*+,;="
_DELIMITERS: dict[str, str] = {"form": ",", "spaceDelimited": "%20", "pipeDelimited": "%7C"}


class UnwritableError(Exception):
    """A value has no form here. The text is for the model."""


def query_pairs(name: str, value: Any, style: Style, *, explode: bool, allow_reserved: bool = False) -> list[Pair]:
    """The parts of a query string or of a form that stand for one parameter. Raises: UnwritableError."""
    key, safe = _quote(name), _RESERVED.replace("&", "").replace("#", "").replace("+", "") if allow_reserved else ""
    if value is None:
        return []
    if style == "deepObject":
        return _deep_pairs(name, value)
    if isinstance(value, dict):
        if explode:
            return [(_quote(inner), _quote(as_text(item), safe)) for inner, item in value.items()]
        flat = [part for inner, item in value.items() for part in (inner, as_text(item))]
        return [(key, _DELIMITERS[style].join(_quote(part, safe) for part in flat))]
    if isinstance(value, list):
        texts = [_quote(as_text(item), safe.replace(",", "")) for item in value]
        if explode:
            return [(key, text) for text in texts]
        return [(key, _DELIMITERS[style].join(texts))] if texts else []
    return [(key, _quote(as_text(value), safe))]


def _deep_pairs(name: str, value: Any) -> list[Pair]:
    """`name[a][b]=…`; of objects in objects the specification says nothing, and this is what servers read."""
    pairs: list[Pair] = []

    def write(key: str, inner: Any) -> None:
        if isinstance(inner, dict):
            for part, item in inner.items():
                if "[" in part or "]" in part:
                    raise UnwritableError(f"The name {part!r} has brackets in it, and can't stand in a query.")
                write(f"{key}[{part}]", item)
        elif isinstance(inner, list):
            for item in inner:
                write(key, item)
        elif inner is not None:
            pairs.append((_quote(key), _quote(as_text(inner))))

    write(name, value)
    return pairs


def path_text(name: str, value: Any, style: Style, *, explode: bool) -> str:
    """What stands for `{name}` in a path. Raises: UnwritableError."""
    lead, between = {"label": (".", "." if explode else ","), "matrix": (";", ";" if explode else ",")}.get(
        style, ("", ",")
    )
    if isinstance(value, dict):
        parts = [_segment(name, inner, item, explode=explode) for inner, item in value.items()]
    elif isinstance(value, list):
        parts = [_safe_segment(name, as_text(item)) for item in value]
        if style == "matrix" and explode:
            parts = [f"{_quote(name)}={part}" for part in parts]
    else:
        parts = [_safe_segment(name, as_text(value))]
        if style == "matrix":
            parts = [f"{_quote(name)}={parts[0]}"]
    if not parts:
        raise UnwritableError(f"{name} can't be empty: it stands in the path.")
    lead = f";{_quote(name)}=" if style == "matrix" and not explode and isinstance(value, dict | list) else lead
    return lead + between.join(parts)


def _segment(name: str, inner: str, item: Any, *, explode: bool) -> str:
    sign = "=" if explode else ","
    return f"{_safe_segment(name, inner)}{sign}{_safe_segment(name, as_text(item))}"


def _safe_segment(name: str, text: str) -> str:
    """A part of one segment. What climbs is refused, not escaped: some server behind this may unescape it twice."""
    plain = text
    for _ in range(3):
        pieces = plain.replace("\\", "/").split("/")
        if plain == "" or any(piece.strip(". ") == "" and piece for piece in pieces):
            raise UnwritableError(f"{name}: {text!r} can't stand in a path.")
        plain = _unquote(plain)
    return _quote(text)


def _unquote(text: str) -> str:
    for code, sign in (("%2e", "."), ("%2f", "/"), ("%5c", "\\"), ("%25", "%")):
        text = text.replace(code, sign).replace(code.upper(), sign)
    return text


def header_text(name: str, value: Any, *, explode: bool) -> str:
    """Raises: UnwritableError."""
    if isinstance(value, dict):
        parts = [f"{key}={as_text(item)}" for key, item in value.items()] if explode else []
        parts = parts or [part for key, item in value.items() for part in (key, as_text(item))]
    else:
        parts = [as_text(item) for item in value] if isinstance(value, list) else [as_text(value)]
    if len(parts) > 1 and any("," in part for part in parts):
        raise UnwritableError(f"{name}: a value with a comma in it can't stand in a list in a header.")
    return checked_header(name, ",".join(parts))


def checked_header(name: str, text: str) -> str:
    """Raises: UnwritableError, for what could end a header (RFC 9110, section 5.5)."""
    if any(not (sign == "\t" or " " <= sign <= "~") for sign in text) or text != text.strip():
        raise UnwritableError(f"{name}: {text[:100]!r} can't stand in a header.")
    return text


def cookie_text(name: str, value: Any, *, explode: bool) -> str:
    """`name=value`. Raises: UnwritableError, for an object or a list that would need several cookies."""
    if isinstance(value, list | dict) and explode and len(value) != 1:
        raise UnwritableError(f"{name}: a cookie holds one value.")
    pairs = query_pairs(name, value, "form", explode=explode)
    return f"{name}={pairs[0][1]}" if pairs else ""


def as_text(value: Any) -> str:
    """A plain value. Raises: UnwritableError, for an object or a list."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict | list):
        raise UnwritableError("An object or a list can't stand inside another one here.")
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        value = int(value)
    return json.dumps(value)


def _quote(text: str, safe: str = "") -> str:
    return quote(text, safe=safe, errors="replace")
