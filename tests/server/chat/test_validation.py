"""Clients' schemas are run as programs: they are checked, bounded, and reach nothing outside."""

import socket
from typing import Any

import pytest

from server.chat.validation import find_faults

DOUBLING: dict[str, Any] = {f"a{n}": {"allOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 2} for n in range(40)}
DOUBLING["a40"] = {}


def test_a_value_that_holds_its_schema_has_no_faults() -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"type": "string", "pattern": "^x"}},
        "patternProperties": {r"^\p{L}-": {"type": "integer"}},
        "additionalProperties": False,
    }
    assert find_faults(schema, {"a": "xy", "é-": 1}) == ()
    assert find_faults(schema, {"a": "y"}) == ("'y' does not match '^x'",)
    assert find_faults(schema, {"é-": "one"}) == ("'one' is not of type 'integer'",)
    assert find_faults(schema, {"b": 1}) == ("the property 'b' is not allowed",)


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "schema",
    [
        {"pattern": "^(a|aa)+$"},
        {"patternProperties": {"^(a|aa)+$": {}}, "additionalProperties": False},
        {"patternProperties": {"^(a|aa)+$": {}}, "unevaluatedProperties": False},
        {"$ref": "#/$defs/a0", "$defs": DOUBLING},
        {"not": {"$ref": "#"}},
        {"$ref": "#/nowhere"},
        {"pattern": "(("},
    ],
    ids=lambda schema: str(schema)[:40],
)
def test_a_schema_that_cannot_be_checked_ends_and_says_so(schema: dict[str, Any]) -> None:
    text = "a" * 60 + "!"
    value: Any = {text: 1} if "patternProperties" in schema else text
    assert "not checked to the end" in find_faults(schema, value)[-1]


def test_what_was_found_before_the_end_is_kept() -> None:
    faults = find_faults({"type": "integer", "$ref": "#/nowhere"}, "a")
    assert faults[0] == "'a' is not of type 'integer'"
    assert "not checked to the end" in faults[1]


@pytest.mark.timeout(20)
def test_a_reference_to_another_host_is_not_fetched() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        faults = find_faults({"$ref": f"http://127.0.0.1:{listener.getsockname()[1]}/schema.json"}, 1)
        with pytest.raises(BlockingIOError):
            listener.accept()
    assert "not checked to the end" in faults[0]
