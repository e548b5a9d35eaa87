"""llama-server's fields `grammar` and `json_schema`, in chat and text completions."""

import json
import re
from typing import Any

import httpx
import pytest

DATE = r'root ::= [12] [0-9]{3} "-" [01] [0-9]'
SCHEMA = {"type": "object", "properties": {"n": {"enum": [1, 2, 3]}}, "required": ["n"]}
TOOL = {"type": "function", "function": {"name": "f"}}


def ask(url: str, kind: str, **fields: Any) -> httpx.Response:
    question: dict[str, Any] = {"prompt": "When?"}
    if kind == "chat/completions":
        question = {"messages": [{"role": "user", "content": "When?"}]}
    body = {"model": "trammel-tiny", "max_tokens": 40, "temperature": 1.5, "seed": 1, **question, **fields}
    return httpx.post(f"{url}/v1/{kind}", json=body, timeout=60)


def text(answer: httpx.Response) -> str:
    assert answer.status_code == 200, answer.text
    choice = answer.json()["choices"][0]
    return str(choice["text"] if "text" in choice else choice["message"]["content"])


@pytest.mark.parametrize("kind", ["chat/completions", "completions"])
def test_an_answer_is_held_to_a_grammar_or_a_schema(server_url: str, kind: str) -> None:
    for seed in range(3):
        assert re.fullmatch(r"[12]\d{3}-[01]\d", text(ask(server_url, kind, grammar=DATE, seed=seed)))
        assert json.loads(text(ask(server_url, kind, json_schema=SCHEMA, seed=seed)))["n"] in (1, 2, 3)


@pytest.mark.parametrize(
    ("kind", "fields", "param", "code"),
    [
        ("chat/completions", {"grammar": "root ::= oops"}, "grammar", "invalid_grammar"),
        ("completions", {"grammar": "root ::= ("}, "grammar", "invalid_grammar"),
        ("chat/completions", {"grammar": DATE, "tools": [TOOL]}, "grammar", "invalid_value"),
        ("chat/completions", {"json_schema": {"type": "nothing"}}, "json_schema", "invalid_schema"),
        ("chat/completions", {"json_schema": {"$ref": "#/nowhere"}}, "json_schema", "invalid_schema"),
        ("completions", {"json_schema": {"$ref": "#/nowhere"}}, "json_schema", "invalid_schema"),
        ("completions", {"json_schema": SCHEMA, "grammar": DATE}, None, "invalid_value"),
        ("chat/completions", {"json_schema": SCHEMA, "response_format": {"type": "text"}}, None, "invalid_value"),
    ],
    ids=lambda value: str(value)[:50],
)
def test_what_cannot_be_held_is_refused(
    server_url: str, kind: str, fields: dict[str, Any], param: str | None, code: str
) -> None:
    answer = ask(server_url, kind, **fields)
    error = answer.json()["error"]
    assert (answer.status_code, error["param"], error["code"]) == (400, param, code), error
