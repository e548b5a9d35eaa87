"""A request's body: JSON, a form, parts, or a text.

The boundary between parts is made from the parts, so that the same arguments give the same bytes, today and when they
are sent again.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from server.tools.openapi.operation import Body, Encoding
from server.tools.openapi.styles import UnwritableError, as_text, query_pairs

Json = dict[str, Any]


def write_body(body: Body, arguments: Mapping[str, Any]) -> tuple[str, bytes] | None:
    """Content type and bytes; None where nothing is to be sent. Raises: UnwritableError."""
    if body.whole is not None:
        if body.whole not in arguments:
            return None
        value = arguments[body.whole]
    else:
        value = {name: arguments[argument] for argument, name in body.properties.items() if argument in arguments}
        if not value and not body.is_required:
            return None
    plain = body.content_type.partition(";")[0].strip().lower()
    if plain == "application/x-www-form-urlencoded":
        return plain, _form(body, _object(value)).encode()
    if plain == "multipart/form-data":
        return _parts(body, _object(value))
    if plain.startswith("text/"):
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        return f"{plain}; charset=utf-8", text.encode("utf-8", "replace")
    return body.content_type, json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")


def _object(value: Any) -> Json:
    if not isinstance(value, dict):
        raise UnwritableError("A form must be an object.")
    return value


def _form(body: Body, value: Json) -> str:
    pairs = []
    for name, inner in value.items():
        encoding = body.encodings.get(name, Encoding())
        if encoding.content_type == "application/json" and inner is not None:
            inner = json.dumps(inner, ensure_ascii=False)
        elif encoding.style == "form" and _nests(inner):
            inner = json.dumps(inner, ensure_ascii=False)  # a form has no depth
        pairs += query_pairs(name, inner, encoding.style, explode=encoding.explode)
    return "&".join(f"{key}={text}" for key, text in pairs)


def _nests(value: Any) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(isinstance(item, dict | list) for item in inner)


def _parts(body: Body, value: Json) -> tuple[str, bytes]:
    """RFC 7578. A list is a part for each item; an object is JSON."""
    parts = []
    for name, inner in value.items():
        encoding = body.encodings.get(name, Encoding())
        items = inner if isinstance(inner, list) and encoding.content_type != "application/json" else [inner]
        parts += [_part(name, item, encoding) for item in items if item is not None]
    boundary = hashlib.sha256(b"\0".join(parts)).hexdigest()[:32]
    lines = b"".join(b"--%s\r\n%s\r\n" % (boundary.encode(), part) for part in parts)
    return f"multipart/form-data; boundary={boundary}", lines + b"--%s--\r\n" % boundary.encode()


def _part(name: str, value: Any, encoding: Encoding) -> bytes:
    disposition = f'Content-Disposition: form-data; name="{_in_quotes(name)}"'
    content_type = encoding.content_type
    if encoding.is_binary:
        disposition += f'; filename="{_in_quotes(name)}"'
        content, content_type = _bytes(name, value, encoding), content_type or "application/octet-stream"
    elif isinstance(value, dict | list) or content_type == "application/json":
        content, content_type = json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"), "application/json"
    else:
        content = as_text(value).encode("utf-8", "replace")
    lines = [disposition, *([f"Content-Type: {_in_quotes(content_type)}"] if content_type else [])]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


def _bytes(name: str, value: Any, encoding: Encoding) -> bytes:
    if not isinstance(value, str):
        raise UnwritableError(f"{name} must be a text.")
    if not encoding.is_base64:
        return value.encode("utf-8", "replace")
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise UnwritableError(f"{name} must be base64.") from error


def _in_quotes(text: str) -> str:
    """As browsers escape (https://html.spec.whatwg.org/#multipart-form-data)."""
    return text.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
