"""Arguments as requests: the specification's own table of examples, and values that try to be more than a value."""

import base64
import json
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.tools import ToolError
from server.tools.openapi.document import read_document
from server.tools.openapi.operation import Operation, Style
from server.tools.openapi.reading import read_operations
from server.tools.openapi.styles import header_text, path_text, query_pairs
from server.tools.openapi.writing import write_request
from tests.server.tools.hostile import read, spec, written

EMPTY, ONE, LIST, OBJECT = "", "blue", ["blue", "black", "brown"], {"R": 100, "G": 200, "B": 150}

# https://spec.openapis.org/oas/v3.1.1#style-examples
QUERY: list[tuple[Style, bool, Any, str]] = [
    ("form", False, EMPTY, "color="),
    ("form", False, ONE, "color=blue"),
    ("form", False, LIST, "color=blue,black,brown"),
    ("form", False, OBJECT, "color=R,100,G,200,B,150"),
    ("form", True, LIST, "color=blue&color=black&color=brown"),
    ("form", True, OBJECT, "R=100&G=200&B=150"),
    ("spaceDelimited", False, LIST, "color=blue%20black%20brown"),
    ("spaceDelimited", False, OBJECT, "color=R%20100%20G%20200%20B%20150"),
    ("pipeDelimited", False, LIST, "color=blue%7Cblack%7Cbrown"),
    ("pipeDelimited", False, OBJECT, "color=R%7C100%7CG%7C200%7CB%7C150"),
    ("deepObject", True, OBJECT, "color%5BR%5D=100&color%5BG%5D=200&color%5BB%5D=150"),
]
PATH: list[tuple[Style, bool, Any, str]] = [
    ("matrix", False, ONE, ";color=blue"),
    ("matrix", False, LIST, ";color=blue,black,brown"),
    ("matrix", False, OBJECT, ";color=R,100,G,200,B,150"),
    ("matrix", True, ONE, ";color=blue"),
    ("matrix", True, LIST, ";color=blue;color=black;color=brown"),
    ("matrix", True, OBJECT, ";R=100;G=200;B=150"),
    ("label", False, ONE, ".blue"),
    ("label", False, LIST, ".blue,black,brown"),
    ("label", False, OBJECT, ".R,100,G,200,B,150"),
    ("label", True, LIST, ".blue.black.brown"),
    ("label", True, OBJECT, ".R=100.G=200.B=150"),
    ("simple", False, ONE, "blue"),
    ("simple", False, LIST, "blue,black,brown"),
    ("simple", False, OBJECT, "R,100,G,200,B,150"),
    ("simple", True, OBJECT, "R=100,G=200,B=150"),
]


@pytest.mark.parametrize(("style", "explode", "value", "text"), QUERY)
def test_a_query_is_written_as_the_specification_has_it(style: Style, explode: bool, value: Any, text: str) -> None:
    assert "&".join("=".join(pair) for pair in query_pairs("color", value, style, explode=explode)) == text


@pytest.mark.parametrize(("style", "explode", "value", "text"), PATH)
def test_a_path_is_written_as_the_specification_has_it(style: Style, explode: bool, value: Any, text: str) -> None:
    assert path_text("color", value, style, explode=explode) == text


def test_a_header_is_written_as_the_specification_has_it() -> None:
    assert header_text("color", OBJECT, explode=False) == "R,100,G,200,B,150"
    assert header_text("color", OBJECT, explode=True) == "R=100,G=200,B=150"


def operation(*parameters: dict[str, Any], **fields: Any) -> Operation:
    path = "/a" + "".join(f"/{{{one['name']}}}" for one in parameters if one["in"] == "path")
    method = "post" if "requestBody" in fields else "get"
    paths = {path: {method: read("a", *parameters, **fields)}}
    (found,) = read_operations(read_document(written(spec(paths=paths))))[0]
    return found


def parameter(place: str, name: str = "x", schema: Any = True, **fields: Any) -> dict[str, Any]:
    return {"name": name, "in": place, "required": place == "path", "schema": schema, **fields}


@pytest.mark.parametrize(
    "value",
    ["..", ".", "", "../admin", "a/../b", "..\\x", "%2e%2e%2fadmin", "%252e%252e%252f", "x/..", " .. ", "a/./b", None],
)
def test_a_value_does_not_climb_the_path(value: Any) -> None:
    for style in ("simple", "label", "matrix"):
        with pytest.raises(ToolError):
            write_request(operation(parameter("path", style=style)), {"x": value}, "k")


@given(st.text(min_size=1, max_size=20).filter(lambda text: text.strip(". ")))
def test_a_value_in_a_path_stays_one_segment(value: str) -> None:
    try:
        url = write_request(operation_in_path, {"x": value}, "k").url
    except ToolError:
        return
    parts = urlsplit(url)
    assert (parts.scheme, parts.netloc, parts.query, parts.fragment) == ("https", "api.example", "", "")
    assert parts.path.startswith("/v1/a/")
    assert parts.path.count("/") == 3


operation_in_path = operation(parameter("path"))
operation_in_query = operation(parameter("query"), parameter("query", "y"))


@given(st.text(max_size=20), st.text(max_size=20))
def test_a_value_in_a_query_is_read_back_as_it_was_and_makes_no_further_parameter(x: str, y: str) -> None:
    url = write_request(operation_in_query, {"x": x, "y": y}, "k").url
    readable = [(name, value.encode("utf-8", "replace").decode()) for name, value in (("x", x), ("y", y))]
    assert parse_qsl(urlsplit(url).query, keep_blank_values=True) == readable


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "a\0b", "ü", "\x7f", " a"])
def test_a_value_does_not_end_a_header(value: str) -> None:
    for place in ("header", "cookie"):
        try:
            request = write_request(operation(parameter(place)), {"x": value}, "k")
        except ToolError:
            assert place == "header"
        else:
            assert all(sign not in "".join(request.cookies) for sign in "\r\n\0; ")


def test_headers_of_http_and_of_credentials_are_nobodys_parameters() -> None:
    names = ("Host", "Content-Length", "Authorization", "Cookie", "Transfer-Encoding", "Accept")
    found = operation(*(parameter("header", name) for name in names), parameter("header", "X-Mine"))
    assert list(found.schema["properties"]) == ["X-Mine"]


def test_an_idempotency_key_is_not_the_models_and_the_same_for_every_attempt() -> None:
    found = operation(parameter("header", "Idempotency-Key", {"type": "string", "format": "uuid"}))
    assert found.schema["properties"] == {}
    assert found.takes_key
    first, again, other = (write_request(found, {}, key).headers for key in ("a", "a", "b"))
    assert first == again != other


def test_forms_and_parts_are_read_back_as_they_were() -> None:
    members: dict[str, Any] = {"a": {"type": "string"}, "n": {"type": "array", "items": {"type": "integer"}}}
    schema = {"type": "object", "properties": {**members, "o": {"type": "object"}, "f": {"format": "byte"}}}

    def body(content_type: str) -> dict[str, Any]:
        return {"required": True, "content": {content_type: {"schema": schema}}}

    form = operation(requestBody=body("application/x-www-form-urlencoded"))
    request = write_request(form, {"a": "x&y=z +", "n": [1, 2]}, "k")
    assert parse_qsl(request.body.decode()) == [("a", "x&y=z +"), ("n", "1"), ("n", "2")]
    parts = operation(requestBody=body("multipart/form-data"))
    arguments = {"a": 'q"\r\n--x', "o": {"k": 1}, "f": base64.b64encode(b"\0\1").decode()}
    request = write_request(parts, arguments, "k")
    assert request == write_request(parts, arguments, "other")
    assert b'name="f"; filename="f"' in request.body
    assert b"\r\n\r\n\0\1\r\n" in request.body
    assert json.dumps({"k": 1}).encode() in request.body
    with pytest.raises(ToolError, match="base64"):
        write_request(parts, {"f": "no!"}, "k")


def test_a_parameter_with_a_content_type_is_written_as_such_and_what_is_missing_in_the_path_is_told() -> None:
    found = operation({"name": "q", "in": "query", "content": {"application/json": {"schema": {"type": "object"}}}})
    assert write_request(found, {"q": {"a": "b c"}}, "k").url.endswith("?q=%7B%22a%22%3A%22b%20c%22%7D")
    with pytest.raises(ToolError, match="missing"):
        write_request(operation_in_path, {}, "k")
