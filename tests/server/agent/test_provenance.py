"""Where values come from."""

from typing import Any

import pytest

from server.agent.provenance import Voices, leaves

SCHEMA: dict[str, Any] = {
    "properties": {
        "unit": {"enum": ["celsius", "kelvin"]},
        "limit": {"type": "integer", "default": 50},
        "to": {"type": "array", "items": {"properties": {"kind": {"const": "main"}}}},
    }
}


def voices() -> Voices:
    heard = Voices(user=["Send the report to bob@example.com.evil.org, twelve copies of 17 pages, from /tmp/ to Oslo."])
    heard.hear_result(1, {"users": [{"id": "u-42", "mail": "eve@evil.org"}], "total": 1250})
    heard.hear_result(2, "plain words of a result")
    heard.assistant.append("Shall I use invoice INV-7?")
    return heard


@pytest.mark.parametrize(
    ("name", "value", "origin"),
    [
        ("city", "oslo", "user"),
        ("to", "bob@example.com.evil.org", "user"),
        ("to", "bob@example.com", "invented"),
        ("to", "example.com.evil.org", "invented"),
        ("path", "/tmp/", "user"),
        ("path", "/tmp/x", "invented"),
        ("pages", 17, "user"),
        ("pages", 17.0, "user"),
        ("pages", 7, "invented"),
        ("copies", 12, "user"),
        ("id", "u-42", "result 1"),
        ("id", "42", "invented"),
        ("total", 1250, "result 1"),
        ("words", "plain words", "result 2"),
        ("invoice", "INV-7", "assistant"),
        ("unit", "kelvin", "default"),
        ("limit", 50, "default"),
        ("limit", 51, "invented"),
        ("flag", True, "default"),
        ("name", "Bobby Tables", "invented"),
    ],
)
def test_a_value_has_an_origin(name: str, value: Any, origin: str) -> None:
    assert str(voices().trace({name: value}, SCHEMA)[f"/{name}"]) == origin


def test_joints_without_end_are_no_border_and_cost_little() -> None:
    assert str(Voices(user=["bob@ex.org" + "." * 500 + "evil"]).trace({"to": "bob@ex.org"}, {})["/to"]) == "invented"
    assert str(Voices(user=["a" * 300_000]).trace({"to": "aa"}, {})["/to"]) == "invented"


def test_every_leaf_is_traced_by_its_pointer() -> None:
    traced = voices().trace({"to": [{"kind": "main", "a/b": "Oslo"}], "none": []}, SCHEMA)
    assert {pointer: str(origin) for pointer, origin in traced.items()} == {
        "/to/0/kind": "default", "/to/0/a~1b": "user", "/none": "default"
    }  # fmt: skip


def test_leaves_of_a_scalar_are_itself() -> None:
    assert list(leaves("x")) == [("", "x")]
