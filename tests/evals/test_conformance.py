"""Schemas of any kind are judged by, or said to be none."""

from typing import Any

import pytest

from evals.conformance import conforms


@pytest.mark.parametrize(
    ("schema", "verdict"),
    [
        ({"type": "integer"}, True),
        ({"type": "string"}, False),
        (True, True),
        (False, False),
        ({"type": "nothing"}, None),
        ({"$ref": "https://example.org/none.json"}, None),
        ({"$ref": "#/nowhere"}, None),
        ({"$ref": "#"}, None),
    ],
)
def test_a_verdict_or_none(schema: Any, verdict: bool | None) -> None:
    assert conforms(1, schema) is verdict


def test_a_pattern_that_python_cannot_read_gives_no_verdict() -> None:
    assert conforms("a", {"pattern": r"\p{L}+"}) is None
