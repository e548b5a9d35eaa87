"""Eight things that llama-server was seen to do (llama.cpp 0c1e57098) and this server never does, each by its name.

`examples/honest_tool_choice.py` asks any server the same from outside; here every door is tried: whole and streamed
chat completions, and responses.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from tests.conftest import MODEL, running_server
from tests.lora import write_lora

NAME = "trammel-tiny"
PLAIN = (
    "{% for message in messages %}<|{{ message.role }}|>{{ message.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
GREETING = "Hello, how are you? Please do not call anything, just tell me a long story."
"""A question on which a model left to itself calls nothing."""
SEVENS: dict[str, Any] = {
    "type": "object",
    "properties": {"number": {"type": "integer", "multipleOf": 7, "minimum": 100, "maximum": 120}},
    "required": ["number"],
    "additionalProperties": False,
}
WHOLE_TEXT = {"type": "object", "properties": {"word": {"enum": ["yes", "no"]}}, "required": ["word"]}
DOORS = ("chat", "stream", "responses")


@dataclass
class Answer:
    text: str = ""
    calls: list[tuple[str, str]] = field(default_factory=list)
    """Names and arguments."""
    is_whole: bool = True


@pytest.fixture(scope="module")
def urls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """A server with an adapter, and one whose model's template knows no tools."""
    home = tmp_path_factory.mktemp("models")
    plain = home / "plain.gguf"
    command = [sys.executable, "-m", "gguf.scripts.gguf_new_metadata", "--chat-template", PLAIN, str(MODEL), str(plain)]
    subprocess.run(command, check=True, capture_output=True)
    tuned = write_lora(home / "tuned.gguf", MODEL, 1)
    with running_server("--adapter", f"tuned={tuned}") as first, running_server("--model", str(plain)) as second:
        yield first.url, second.url


@pytest.fixture
def url(urls: tuple[str, str]) -> str:
    return urls[0]


def function(name: str, parameters: dict[str, Any] = SEVENS, **fields: Any) -> dict[str, Any]:
    return {"name": name, "description": f"To {name}", "parameters": parameters, **fields}


def post(url: str, path: str, **body: Any) -> httpx.Response:
    return httpx.post(f"{url}/v1/{path}", json={"model": NAME, **body}, timeout=60)


def ask(url: str, door: str, names: tuple[str, ...], choice: Any, form: Any = None, **fields: Any) -> Answer:
    """`choice`: a word, `{"name"}`, or `{"mode", "names"}`."""
    if door == "responses":
        return _ask_for_response(url, names, choice, form, **fields)
    body: dict[str, Any] = {
        "messages": [{"role": "user", "content": GREETING}], "max_tokens": 200, **fields,
        "tools": [{"type": "function", "function": function(name)} for name in names],
        "tool_choice": _nested(choice), "response_format": form and {"type": "json_schema", "json_schema": form},
    }  # fmt: skip
    whole = post(url, "chat/completions", **body, stream=door == "stream")
    assert whole.status_code == 200, whole.text
    if door == "chat":
        one = whole.json()["choices"][0]
        calls = [call["function"] for call in one["message"].get("tool_calls", ())]
        told = [(call["name"], call["arguments"]) for call in calls]
        return Answer(one["message"]["content"] or "", told, one["finish_reason"] != "length")
    answer = Answer()
    for line in whole.text.split("\n\n")[:-2]:
        choice = json.loads(line.removeprefix("data: "))["choices"][0]
        answer.text += choice["delta"].get("content") or ""
        for part in choice["delta"].get("tool_calls", ()):
            if "id" in part:
                answer.calls.append((part["function"]["name"], ""))
            name, so_far = answer.calls[part["index"]]
            answer.calls[part["index"]] = (name, so_far + part["function"].get("arguments", ""))
        answer.is_whole = choice["finish_reason"] != "length"
    return answer


def _ask_for_response(url: str, names: tuple[str, ...], choice: Any, form: Any, **fields: Any) -> Answer:
    fields["max_output_tokens"] = fields.pop("max_tokens", 200)
    made = post(
        url, "responses", input=GREETING, tools=[{"type": "function", **function(name)} for name in names],
        tool_choice=_flat(choice), text=form and {"format": {"type": "json_schema", **form}}, **fields,
    )  # fmt: skip
    assert made.status_code == 200, made.text
    answer = Answer(is_whole=made.json()["status"] == "completed")
    for item in made.json()["output"]:
        if item["type"] == "function_call":
            answer.calls.append((item["name"], item["arguments"]))
        else:
            answer.text += item["content"][0]["text"]
    return answer


def _nested(choice: Any) -> Any:
    if isinstance(choice, str):
        return choice
    if "mode" in choice:
        tools = [{"type": "function", "function": {"name": name}} for name in choice["names"]]
        return {"type": "allowed_tools", "allowed_tools": {"mode": choice["mode"], "tools": tools}}
    return {"type": "function", "function": choice}


def _flat(choice: Any) -> Any:
    if isinstance(choice, str):
        return choice
    if "mode" in choice:
        tools = [{"type": "function", "name": name} for name in choice["names"]]
        return {"type": "allowed_tools", "mode": choice["mode"], "tools": tools}
    return {"type": "function", **choice}


def are_sevens(answer: Answer) -> bool:
    return all(json.loads(arguments)["number"] in (105, 112, 119) for _, arguments in answer.calls)


@pytest.mark.parametrize("door", DOORS)
def test_a_named_or_allowed_tool_choice_never_silently_becomes_auto(url: str, door: str) -> None:
    for name in ("f", "g", "h"):
        answer = ask(url, door, ("f", "g", "h"), {"name": name})
        assert {called for called, _ in answer.calls} == {name}
        assert answer.text == ""
        answer = ask(url, door, ("f", "g", "h"), {"mode": "required", "names": [name]})
        assert {called for called, _ in answer.calls} == {name}
    for seed in range(3):
        answer = ask(url, door, ("f", "g", "h"), {"mode": "auto", "names": ["g"]}, seed=seed)
        assert {called for called, _ in answer.calls} <= {"g"}


@pytest.mark.parametrize("door", DOORS)
def test_required_never_lets_prose_run_first_nor_ends_without_a_call(url: str, door: str) -> None:
    for seed in range(4):
        answer = ask(url, door, ("f", "g"), "required", seed=seed, temperature=1.5)
        assert answer.is_whole
        assert answer.text == ""
        assert answer.calls
        assert are_sevens(answer)


@pytest.mark.parametrize("door", DOORS)
def test_a_template_without_tools_never_drops_the_tools(urls: tuple[str, str], door: str) -> None:
    tools = [{"type": "function", "function": function("find_seven")}]
    told = {"model": "plain", "messages": [{"role": "user", "content": "x"}], "tools": tools}
    tokens = post(urls[1], "tokenize", **told).json()["tokens"]
    prompt = post(urls[1], "detokenize", model="plain", tokens=tokens).json()["prompt"]
    assert "find_seven" in prompt
    assert "multipleOf" in prompt
    answer = ask(urls[1], door, ("find_seven",), "required", model="plain")
    assert [name for name, _ in answer.calls][:1] == ["find_seven"]
    assert are_sevens(answer)


@pytest.mark.parametrize("door", DOORS)
def test_tools_plus_response_format_never_makes_the_tools_uncallable(url: str, door: str) -> None:
    form = {"name": "word", "schema": WHOLE_TEXT}
    assert are_sevens(called := ask(url, door, ("f",), "required", form))
    assert called.calls
    assert json.loads(ask(url, door, ("f",), "none", form).text)["word"] in ("yes", "no")
    free = ask(url, door, ("f",), "auto", form)
    assert free.calls or json.loads(free.text)["word"] in ("yes", "no")


def test_strict_is_never_left_unread(url: str) -> None:
    unique = {"type": "object", "properties": {"a": {"type": "array", "uniqueItems": True}}, "required": ["a"]}
    for strict, status in ((True, 400), (False, 200)):
        tool = function("f", unique, strict=strict)
        messages = [{"role": "user", "content": GREETING}]
        nested, form = {"type": "function", "function": tool}, {"name": "f", "schema": unique, "strict": strict}
        answers = [
            post(url, "chat/completions", messages=messages, tools=[nested], max_tokens=9),
            post(url, "responses", input=GREETING, tools=[{"type": "function", **tool}], max_output_tokens=16),
            post(url, "chat/completions", messages=messages, max_tokens=9,
                 response_format={"type": "json_schema", "json_schema": form}),
            post(url, "responses", input=GREETING, max_output_tokens=16,
                 text={"format": {"type": "json_schema", **form}}),
        ]  # fmt: skip
        for answer in answers:
            assert answer.status_code == status, answer.text
            if strict:
                assert "uniqueItems" in answer.json()["error"]["message"]
                assert answer.json()["error"]["param"].split(".")[0] in ("tools[0]", "response_format", "text")
            else:
                assert "uniqueItems" in answer.headers["x-trammel-widened"]


@pytest.mark.parametrize("stream", [False, True])
def test_a_custom_tool_is_never_a_500(url: str, stream: bool) -> None:
    grammar = {"type": "grammar", "syntax": "regex", "definition": "[a-f]{3,6}"}
    wrong = {**grammar, "definition": "(("}
    for form, status in ((None, 200), ({"type": "text"}, 200), (grammar, 200), (wrong, 400)):
        nested = form if form is None or form["type"] == "text" else {
            "type": "grammar", "grammar": {k: v for k, v in form.items() if k != "type"},
        }  # fmt: skip
        messages = [{"role": "user", "content": GREETING}]
        custom = [{"type": "custom", "custom": {"name": "code", "format": nested}}]
        for choice in ("auto", "required"):
            fields: dict[str, Any] = {"tool_choice": choice, "stream": stream}
            asked = post(url, "chat/completions", messages=messages, tools=custom, max_tokens=30, **fields)
            assert asked.status_code == status, asked.text
            flat = [{"type": "custom", "name": "code", "format": form}]
            asked = post(url, "responses", input=GREETING, tools=flat, max_output_tokens=30, **fields)
            assert asked.status_code == status, asked.text


@pytest.mark.parametrize("name", ["gpt-4o", "trammel-tiny:tuned", "tuned2", "", "../tuned", "trammel-tiny\n"])
def test_an_unknown_model_or_adapter_is_never_a_200(url: str, name: str) -> None:
    for path, body in (
        ("chat/completions", {"messages": [{"role": "user", "content": "x"}]}), ("completions", {"prompt": "x"}),
        ("responses", {"input": "x"}), ("embeddings", {"input": "x"}), ("tokenize", {"prompt": "x"}),
    ):  # fmt: skip
        answer = post(url, path, **{**body, "model": name})
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")
    assert post(url, "completions", model="tuned", prompt="x", max_tokens=2).status_code == 200


@pytest.mark.parametrize("first", ["tuned", NAME])
def test_an_adapters_kv_is_never_reused_without_it_nor_the_other_way_round(url: str, first: str) -> None:
    """The answers themselves are compared by `examples/honest_tool_choice.py`."""
    second = {NAME: "tuned", "tuned": NAME}[first]
    prompt = f"{first} and then {second}: " + "one two three four five six seven eight nine ten " * 4

    def cached(model: str) -> int:
        made = post(url, "completions", model=model, prompt=prompt, max_tokens=2)
        return int(made.json()["usage"]["prompt_tokens_details"]["cached_tokens"])

    assert [cached(first), cached(second)] == [0, 0]
    assert min(cached(first), cached(second)) > 30
