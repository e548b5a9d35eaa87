"""Asks servers to keep eight promises of OpenAI's API about tools, and prints which of them each server keeps.

    honest_tool_choice.py trammel=http://127.0.0.1:8000 llama-server=http://127.0.0.1:8080

Two of the promises need a server started for them, given under the same name:
  --plain NAME=URL     a server whose model has a chat template that knows no tools
  --adapter NAME=LORA  an adapter that the server has: the `model` to ask for, or a number: llama-server's id of it

Every promise is asked for several times, at a high temperature, so that luck keeps none. Needs httpx and jsonschema.
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
from jsonschema import Draft202012Validator

Json = dict[str, Any]
SEEDS = range(6)
CITY: Json = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 20}},
    "required": ["city"],
    "additionalProperties": False,
}
SEVENS: Json = {
    "type": "object",
    "properties": {"number": {"type": "integer", "minimum": 100, "maximum": 999, "multipleOf": 7}},
    "required": ["number"],
    "additionalProperties": False,
}
ANSWER: Json = {"type": "object", "properties": {"text": {"type": "string", "maxLength": 20}}, "required": ["text"]}


@dataclass(frozen=True)
class Server:
    """Where to ask."""

    url: str
    plain_url: str | None = None
    adapter: str | None = None

    def ask(self, *, url: str | None = None, **fields: Any) -> httpx.Response:
        question = [{"role": "user", "content": "What is the weather in Paris?"}]
        body = {
            "model": model_of(url or self.url),
            "messages": question,
            "max_tokens": 150,
            "temperature": 1.5,
            **fields,
        }
        return httpx.post(f"{url or self.url}/v1/chat/completions", json=body, timeout=300)


def model_of(url: str) -> str:
    """The first that a server lists."""
    name: str = httpx.get(f"{url}/v1/models", timeout=30).json()["data"][0]["id"]
    return name


@dataclass(frozen=True)
class Verdict:
    is_kept: bool | None
    """None: could not be asked."""
    seen: str


def function(name: str, parameters: Json, **fields: Any) -> Json:
    return {"type": "function", "function": {"name": name, "parameters": parameters, **fields}}


WEATHER, TABLE = function("get_weather", CITY), function("book_table", CITY)


def a_named_or_allowed_tool_is_the_one_that_is_called(server: Server) -> Verdict:
    named = {"type": "function", "function": {"name": "book_table"}}
    allowed = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [named]}}
    for choice in (named, allowed):
        for seed in SEEDS:
            message = message_of(server.ask(tools=[WEATHER, TABLE], tool_choice=choice, seed=seed))
            if isinstance(message, str):
                return Verdict(False, message)
            if set(called(message)) != {"book_table"} or message.get("content"):
                return Verdict(False, f"{choice['type']}: {shown(message)}")
    return Verdict(True, "only book_table, nothing before it")


def required_means_a_call_and_no_prose_before_it(server: Server) -> Verdict:
    joke = [{"role": "user", "content": "Tell me a joke, and use no tool."}]
    for seed in SEEDS:
        answer = server.ask(messages=joke, tools=[WEATHER], tool_choice="required", seed=seed)
        message = message_of(answer)
        if isinstance(message, str):
            return Verdict(False, message)
        if not called(message) or message.get("content"):
            return Verdict(False, shown(message))
    return Verdict(True, "always a call, nothing before it")


def tools_are_shown_to_a_model_whose_template_knows_none(server: Server) -> Verdict:
    if server.plain_url is None:
        return Verdict(None, "needs --plain")
    bare = server.ask(url=server.plain_url, max_tokens=1)
    shown_tools = server.ask(url=server.plain_url, max_tokens=1, tools=[WEATHER])
    if shown_tools.status_code >= 400:
        return Verdict(shown_tools.status_code < 500, f"refused with {shown_tools.status_code}")
    more = shown_tools.json()["usage"]["prompt_tokens"] - bare.json()["usage"]["prompt_tokens"]
    return Verdict(more > 0, f"the tools are {more} tokens of the prompt")


def tools_can_be_called_beside_a_response_format(server: Server) -> Verdict:
    wanted = {"type": "json_schema", "json_schema": {"name": "answer", "schema": ANSWER, "strict": True}}
    for seed in SEEDS:
        answer = server.ask(tools=[WEATHER], tool_choice="required", response_format=wanted, seed=seed)
        message = message_of(answer)
        if isinstance(message, str):
            return Verdict(False, message)
        if not called(message):
            return Verdict(False, shown(message))
    return Verdict(True, "called, though a format is set")


def strict_schemas_are_held_or_refused(server: Server) -> Verdict:
    """As the parameters of a function and as a response format: numbers that are multiples of 7."""
    tools = {"tools": [function("guess", SEVENS, strict=True)], "tool_choice": "required"}
    wanted = {"type": "json_schema", "json_schema": {"name": "guess", "schema": SEVENS, "strict": True}}
    for fields in (tools, {"response_format": wanted}):
        for seed in SEEDS:
            answer = server.ask(**fields, seed=seed)
            if answer.status_code == 400:
                continue
            message = message_of(answer)
            if isinstance(message, str):
                return Verdict(False, message)
            texts = [call["function"]["arguments"] for call in message.get("tool_calls") or ()]
            fault = next(filter(None, map(fault_of, texts if "tools" in fields else [message["content"]])), None)
            if fault:
                return Verdict(False, f"{next(iter(fields))}: {fault}")
    return Verdict(True, "every number is valid, or the request was refused")


def a_custom_tool_is_no_server_error(server: Server) -> Verdict:
    tool = {"type": "custom", "custom": {"name": "note", "description": "Take a note"}}
    answer = server.ask(tools=[tool], tool_choice="required")
    if answer.status_code != 200:
        return Verdict(answer.status_code < 500, f"status {answer.status_code}")
    message = message_of(answer)
    calls = [] if isinstance(message, str) else message.get("tool_calls") or []
    return Verdict(all(call["type"] == "custom" for call in calls), shown(message)[:80])


def an_unknown_model_is_not_found(server: Server) -> Verdict:
    answer = server.ask(model="no-such-model", max_tokens=1)
    return Verdict(answer.status_code == 404, f"status {answer.status_code}")


def an_adapter_leaves_nothing_behind(server: Server) -> Verdict:
    """The same question without the adapter, right after it was asked with it, and afresh."""
    if server.adapter is None:
        return Verdict(None, "needs --adapter")
    changes = False
    if server.adapter.isdecimal():  # llama-server applies its adapters to every request until it is told not to
        httpx.post(f"{server.url}/lora-adapters", json=[{"id": int(server.adapter), "scale": 0.0}], timeout=30)
    for number in SEEDS:
        # an answer that a model is sure of: where two are nearly as likely, how a prompt is cut may turn them
        question = [{"role": "user", "content": f"Repeat: Paris {number}:40 Rome Oslo"}]
        fields: Json = {"messages": question, "temperature": 0, "max_tokens": 10}
        if server.adapter.isdecimal():
            adapted = server.ask(**fields, lora=[{"id": int(server.adapter), "scale": 1.0}])
        else:
            adapted = server.ask(**{**fields, "model": server.adapter})
        after, afresh = server.ask(**fields), server.ask(**fields, cache_prompt=False)
        texts = [shown(message_of(answer)) for answer in (adapted, after, afresh)]
        changes = changes or texts[0] != texts[2]
        if texts[1] != texts[2]:
            return Verdict(False, f"after the adapter {texts[1][:40]!r}, afresh {texts[2][:40]!r}")
    return Verdict(True if changes else None, "the same answers as afresh" if changes else "it changes no answer")


PROMISES: tuple[Callable[[Server], Verdict], ...] = (
    a_named_or_allowed_tool_is_the_one_that_is_called,
    required_means_a_call_and_no_prose_before_it,
    tools_are_shown_to_a_model_whose_template_knows_none,
    tools_can_be_called_beside_a_response_format,
    strict_schemas_are_held_or_refused,
    a_custom_tool_is_no_server_error,
    an_unknown_model_is_not_found,
    an_adapter_leaves_nothing_behind,
)


def message_of(answer: httpx.Response) -> Json | str:
    """The message, or what came instead."""
    if answer.status_code != 200:
        return f"status {answer.status_code}: {answer.text[:80]}"
    message: Json = answer.json()["choices"][0]["message"]
    return message


def called(message: Json) -> list[str]:
    """Names of the functions."""
    return [call["function"]["name"] for call in message.get("tool_calls") or ()]


def shown(message: Json | str) -> str:
    if isinstance(message, str):
        return message
    calls = f"calls {called(message)}, " if message.get("tool_calls") and "function" in str(message) else ""
    return f"{calls}says {message.get('content') or ''!r}"[:120]


def fault_of(arguments: str) -> str | None:
    try:
        value = json.loads(arguments)
    except ValueError:
        return f"no JSON: {arguments[:60]!r}"
    return next((error.message for error in Draft202012Validator(SEVENS).iter_errors(value)), None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("servers", nargs="*", default=["trammel=http://127.0.0.1:8000"], metavar="NAME=URL")
    parser.add_argument("--plain", action="append", default=[], metavar="NAME=URL")
    parser.add_argument("--adapter", action="append", default=[], metavar="NAME=LORA")
    given = parser.parse_args()
    plain, adapters, urls = (
        dict(pair.split("=", 1) for pair in pairs) for pairs in (given.plain, given.adapter, given.servers)
    )
    for name, url in urls.items():
        server = Server(url.rstrip("/"), plain.get(name), adapters.get(name))
        print(name)
        for promise in PROMISES:
            verdict = promise(server)
            word = {True: "kept", False: "BROKEN", None: "not asked"}[verdict.is_kept]
            print(f"  {word:9} {promise.__name__.replace('_', ' ')}\n            {verdict.seen}")


if __name__ == "__main__":
    main()
