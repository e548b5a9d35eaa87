"""Streams around a scripted engine: silence, failures in the middle, clients that leave at once."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from server.api.chat_stream import chat_stream
from server.api.completion import Completion
from server.api.services import Services
from server.chat.conversation import Conversations
from server.chat.messages import Message, Tool
from server.chat.request import ChatRequest, ToolChoice
from server.chat.template import ChatTemplate
from server.engine.errors import GenerationError
from server.engine.types import Finished, TextDelta, Usage

TEMPLATE = ChatTemplate(
    "{{ tools | tojson }}{% for m in messages %}<{{ m.role }}>{{ m.content }}{% for c in m.tool_calls or [] %}"
    "<call>{{ c.function | tojson }}</call>{% endfor %}<end>{% endfor %}{% if add_generation_prompt %}<assistant>"
    "{% endif %}"
)
TOOL = Tool("f", {})
USAGE = Usage(3, 4, 1, 0)
Step = TextDelta | Finished | Exception | float


@dataclass
class ScriptedGeneration:
    """Says what it is told to: events, failures, and silence in seconds."""

    steps: tuple[Step, ...]
    is_cancelled: bool = field(default=False)

    async def __aiter__(self) -> AsyncIterator[TextDelta | Finished]:
        for step in self.steps:
            if isinstance(step, float):
                await asyncio.sleep(step)
            elif isinstance(step, Exception):
                raise step
            else:
                yield step

    async def cancel(self) -> None:
        self.is_cancelled = True


@dataclass
class ScriptedEngine:
    scripts: list[tuple[Step, ...]]
    generations: list[ScriptedGeneration] = field(default_factory=list)
    model: Any = field(default_factory=lambda: SimpleNamespace(path=Path(__file__)))

    async def submit(self, _: object) -> ScriptedGeneration:
        self.generations.append(ScriptedGeneration(self.scripts[len(self.generations)]))
        return self.generations[-1]


async def started(*scripts: tuple[Step, ...], tool: Tool = TOOL) -> Completion:
    engine: Any = ScriptedEngine(list(scripts))
    services = Services(engine, "m", Conversations(TEMPLATE), keep_alive=0.05)
    request = ChatRequest((Message("user", "q"),), (tool,), ToolChoice("auto"))
    completion = Completion(services, request, services.conversations.prepare(request), "m", None)
    await completion.start((1,), len(scripts))
    return completion


async def lines_of(completion: Completion, *, include_usage: bool = False) -> list[str]:
    sent: list[bytes] = []

    async def send(message: Any) -> None:
        sent.append(message.get("body", b""))
        await asyncio.sleep(0)

    await chat_stream(completion, {}, include_usage=include_usage).stream_response(send)
    return [f"{event}\n\n" for event in b"".join(sent).decode().split("\n\n")[:-1]]


def payloads(lines: list[str]) -> list[Any]:
    return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: {")]


async def test_a_calls_first_chunk_names_it_and_later_ones_carry_fragments_only() -> None:
    call = ("<call>", '{"name": "f", "argum', 'ents": {"a"', ": 1}}</call>")
    script = (TextDelta("Well. "), *(TextDelta(part) for part in call), Finished("stop", USAGE))
    lines = await lines_of(await started(script), include_usage=True)
    deltas = [chunk["choices"][0]["delta"] for chunk in payloads(lines) if chunk["choices"]]
    assert deltas[0] == {"role": "assistant", "content": "", "refusal": None}
    assert deltas[1] == {"content": "Well."}
    (first,) = deltas[2]["tool_calls"]
    assert first["id"].startswith("call_")
    assert (first["index"], first["type"], first["function"]) == (0, "function", {"name": "f", "arguments": ""})
    fragments = [delta["tool_calls"][0] for delta in deltas[3:] if delta]
    assert all(set(fragment) == {"index", "function"} for fragment in fragments)
    assert "".join(fragment["function"]["arguments"] for fragment in fragments) == '{"a": 1}'
    *_, last, usage = payloads(lines)
    assert last["choices"][0]["finish_reason"] == "tool_calls"
    assert usage["choices"] == []
    assert usage["usage"]["total_tokens"] == 7
    assert lines[-1] == "data: [DONE]\n\n"


async def test_a_failure_in_the_middle_is_an_event_and_the_last() -> None:
    lines = await lines_of(await started((TextDelta("a"), GenerationError("not a number"))))
    assert payloads(lines)[-1]["error"]["code"] == "generation_failed"
    assert lines[-1].startswith('data: {"error"')


async def test_a_streamed_call_is_checked_for_what_its_grammar_did_not_hold(caplog: pytest.LogCaptureFixture) -> None:
    tool = Tool("f", {"type": "object", "properties": {"a": {"type": "array", "uniqueItems": True}}})
    call = '<call>{"name": "f", "arguments": {"a": [1, 1]}}</call>'
    completion = await started((TextDelta(call), Finished("stop", USAGE)), tool=tool)
    assert completion.widened == {"f": "uniqueItems"}
    await lines_of(completion)
    assert "arguments of f: [1, 1] has non-unique elements" in caplog.text


async def test_silence_is_filled_with_comments() -> None:
    lines = await lines_of(await started((0.4, Finished("stop", USAGE))))
    assert ": keep-alive\n\n" in lines


async def test_choices_keep_their_index() -> None:
    scripts = [(TextDelta(text), Finished("stop", USAGE)) for text in ("zero", "one")]
    said = {0: "", 1: ""}
    for chunk in payloads(await lines_of(await started(*scripts))):
        said[chunk["choices"][0]["index"]] += chunk["choices"][0]["delta"].get("content", "")
    assert said == {0: "zero", 1: "one"}


async def test_a_client_gone_before_the_first_event_frees_its_places() -> None:
    completion = await started((60.0, Finished("stop", USAGE)))
    engine: Any = completion.services.engine

    async def receive() -> dict[str, str]:
        return {"type": "http.disconnect"}

    async def send(_: object) -> None:
        await asyncio.sleep(0)

    scope = {"type": "http", "asgi": {"spec_version": "2.3"}}
    await chat_stream(completion, {}, include_usage=False)(scope, receive, send)  # type: ignore[arg-type]
    assert [generation.is_cancelled for generation in engine.generations] == [True]


async def test_a_call_made_again_ends_the_answer() -> None:
    call = '<call>{"name": "f", "arguments": {"a": 1}}</call>'
    other = call.replace("1", "2")
    script = (TextDelta(call), TextDelta(other), TextDelta(call), TextDelta(other), Finished("cancelled", USAGE))
    completion = await started(script)
    (answer,) = await completion.answers()
    assert [one.arguments for one in answer.calls] == ['{"a": 1}', '{"a": 2}']
    assert answer.reason == "tool_calls"
    engine: Any = completion.services.engine
    assert engine.generations[0].is_cancelled
    chunks = payloads(await lines_of(await started(script)))
    indexes = [call["index"] for chunk in chunks for call in chunk["choices"][0]["delta"].get("tool_calls", ())]
    assert max(indexes) == 1
