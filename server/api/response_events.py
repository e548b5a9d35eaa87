"""A chat completion's deltas as the Responses API's events, in OpenAI's order, and the response they add up to.

Every item is opened, filled and closed: `output_item.added`, for a text `content_part.added`, deltas, `….done` in the
reverse order. A call cut short is closed as incomplete and is no part of the response's output.
Source: https://platform.openai.com/docs/api-reference/responses-streaming.
"""

import time
import uuid
from bisect import bisect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from server.api.completion import ChoiceEvent, ChoiceFinished, new_id
from server.api.response_items import new_item_id
from server.api.response_objects import (
    Json,
    Status,
    call_item,
    custom_call_item,
    message_item,
    reasoning_item,
    text_part,
    usage_object,
)
from server.chat.parser import CallDelta, CallEnd, CallStart, ContentDelta, ReasoningDelta
from server.engine.types import TokenLogprob


@dataclass(slots=True)
class _Text:
    """A message that is being said."""

    id: str = field(default_factory=lambda: new_item_id("message"))
    text: str = ""
    logprobs: list[Json] = field(default_factory=list)

    @property
    def part(self) -> Json:
        return text_part(self.text, self.logprobs)

    def item(self, status: Status) -> Json:
        return message_item(self.id, status, [self.part])


@dataclass(slots=True)
class _Thought:
    """Reasoning under way."""

    id: str = field(default_factory=lambda: new_item_id("reasoning"))
    text: str = ""

    @property
    def part(self) -> Json:
        return {"type": "reasoning_text", "text": self.text}

    def item(self, status: Status) -> Json:
        return reasoning_item(self.id, status, [self.part])


@dataclass(slots=True)
class _Call:
    """A call that is being written."""

    name: str
    is_custom: bool
    id: str
    call_id: str = field(default_factory=lambda: new_id("call"))
    arguments: str = ""
    """Of a custom tool: its input."""

    def item(self, status: Status) -> Json:
        make = custom_call_item if self.is_custom else call_item
        return make(self.id, status, self.call_id, self.name, self.arguments)


class ResponseEvents:
    """Feed it a choice's events; it gives those of the response, numbered."""

    def __init__(
        self, response: Json, describe: Callable[[TokenLogprob], Json] | None, custom: frozenset[str] = frozenset()
    ) -> None:
        """`response`: as it begins, and here it grows. `describe`: tells a log probability, if they are wanted.

        `custom`: names of the custom tools.
        """
        self.response = response
        self._custom = custom
        self._describe = describe
        self._number = 0
        self._open: _Text | _Thought | _Call | None = None
        self._place = 0
        """`output_index` of the item that is open, or of the next."""
        self._beside: dict[str, int] = {}
        """`output_index` of the items that are open beside others, by id."""
        self._places: list[int] = []
        """`output_index` of each item of the output."""
        self._untold: list[Json] = []
        """Log probabilities of tokens whose text has not come yet."""

    def begin(self) -> Iterator[Json]:
        yield self._event("response.created", response=self._snapshot())
        yield self._event("response.in_progress", response=self._snapshot())

    def feed(self, event: ChoiceEvent) -> Iterator[Json]:
        match event:
            case TokenLogprob() if self._describe is not None:
                self._untold.append(self._describe(event))
            case ContentDelta(text):
                yield from self._say(text)
            case ReasoningDelta(text):
                yield from self._think(text)
            case CallStart(_, name):
                yield from self._begin_call(name)
            case CallDelta(_, arguments):
                yield from self._argue(arguments)
            case CallEnd():
                yield from self._close("completed")
            case ChoiceFinished(reason, usage, is_fitted):
                self.response |= {"trammel": {"fitted": True}} if is_fitted else {}
                yield from self._finish("incomplete" if reason == "length" else "completed")
                self.response["usage"] = usage_object(usage)

    def whole(self, item: Json, *between: Json, begun: Json | None = None) -> Iterator[Json]:
        """An item that comes all at once: added (as `begun`), its own events `between`, done."""
        yield from self.add(begun or item)
        for event in between:
            yield self.about(item["id"], event)
        yield self.done(item)

    def add(self, item: Json) -> Iterator[Json]:
        """Begin an item that stays open beside others, until it is `done`."""
        yield from self._close("completed")
        yield self._item_event("added", item)
        self._beside[item["id"]] = self._place
        self._place += 1

    def about(self, item: str, event: Json) -> Json:
        """An event of an item that is open beside others, by its id."""
        return self._event(event["type"], item_id=item, output_index=self._beside[item], **_without_type(event))

    def done(self, item: Json, *, is_kept: bool = True) -> Json:
        """End such an item. `is_kept`: it is part of the response's output, in the order of beginnings."""
        place = self._beside.pop(item["id"])
        if is_kept:
            self._keep(place, item)
        return self._event("response.output_item.done", output_index=place, item=item)

    def end(self) -> Iterator[Json]:
        """The last event: the whole response."""
        yield self._event(f"response.{self.response['status']}", response=self._snapshot())

    def fail(self, code: str, message: str) -> Iterator[Json]:
        """The last event, if the answer breaks off."""
        self.response |= {"status": "failed", "error": {"code": code, "message": message}}
        yield self._event("response.failed", response=self._snapshot())

    def _say(self, text: str) -> Iterator[Json]:
        told, self._untold = self._untold, []
        if not isinstance(self._open, _Text):
            yield from self._close("completed")
            yield from self._begin(_Text())
        assert isinstance(self._open, _Text)
        self._open.text += text
        self._open.logprobs += told
        yield self._text_event("delta", delta=text, logprobs=told)

    def _think(self, text: str) -> Iterator[Json]:
        self._untold = []
        if not isinstance(self._open, _Thought):
            yield from self._close("completed")
            yield from self._begin(_Thought())
        assert isinstance(self._open, _Thought)
        self._open.text += text
        yield self._event("response.reasoning_text.delta", **self._where, content_index=0, delta=text)

    def _begin(self, item: _Text | _Thought) -> Iterator[Json]:
        """Open an item that has a part."""
        self._open = item
        yield self._item_event("added", item.item("in_progress") | {"content": []})
        yield self._part_event("added", item.part)

    def _begin_call(self, name: str) -> Iterator[Json]:
        yield from self._close("completed")
        is_custom = name in self._custom
        self._open = _Call(name, is_custom, new_item_id("custom_tool_call" if is_custom else "function_call"))
        yield self._item_event("added", self._open.item("in_progress"))

    def _argue(self, arguments: str) -> Iterator[Json]:
        if isinstance(self._open, _Call):
            self._open.arguments += arguments
            yield self._call_event("delta", delta=arguments)

    def _finish(self, status: Status) -> Iterator[Json]:
        is_silent = all(item["type"] == "reasoning" for item in self.response["output"])
        if status == "completed" and is_silent and not isinstance(self._open, (_Text, _Call)):
            yield from self._say("")  # an answer of no words is a message all the same
        yield from self._close(status)
        reason = {"reason": "max_output_tokens"} if status == "incomplete" else None
        completed = int(time.time()) if status == "completed" else None
        self.response |= {"status": status, "incomplete_details": reason, "completed_at": completed}

    def _close(self, status: Status) -> Iterator[Json]:
        """End the item that is open, if there is one."""
        match self._open:
            case _Text() as text:
                text.logprobs += self._untold
                yield self._text_event("done", text=text.text, logprobs=text.logprobs)
                yield self._part_event("done", text.part)
            case _Thought() as thought:
                yield self._event("response.reasoning_text.done", **self._where, content_index=0, text=thought.text)
                yield self._part_event("done", thought.part)
            case _Call(is_custom=True) as call if status == "completed":
                yield self._call_event("done", input=call.arguments)
            case _Call() as call if status == "completed":
                yield self._call_event("done", name=call.name, arguments=call.arguments)
        self._untold = []
        if self._open is None:
            return
        item = self._open.item(status)
        yield self._item_event("done", item)
        if not isinstance(self._open, _Call) or status == "completed":
            self._keep(self._place, item)
        self._open = None
        self._place += 1

    def _keep(self, place: int, item: Json) -> None:
        at = bisect(self._places, place)
        self._places.insert(at, place)
        self.response["output"].insert(at, item)

    def _item_event(self, what: str, item: Json) -> Json:
        return self._event(f"response.output_item.{what}", output_index=self._place, item=item)

    def _part_event(self, what: str, part: Json) -> Json:
        return self._event(f"response.content_part.{what}", **self._where, content_index=0, part=part)

    def _text_event(self, what: str, **fields: Any) -> Json:
        return self._event(f"response.output_text.{what}", **self._where, content_index=0, **fields)

    def _call_event(self, what: str, **fields: Any) -> Json:
        is_custom = isinstance(self._open, _Call) and self._open.is_custom
        kind = "custom_tool_call_input" if is_custom else "function_call_arguments"
        return self._event(f"response.{kind}.{what}", **self._where, **fields)

    @property
    def _where(self) -> Json:
        return {"item_id": self._open.id if self._open else "", "output_index": self._place}

    def _event(self, kind: str, **fields: Any) -> Json:
        number, self._number = self._number, self._number + 1
        return {"type": kind, "sequence_number": number, **fields}

    def _snapshot(self) -> Json:
        return {**self.response, "output": list(self.response["output"])}


def _without_type(event: Json) -> Json:
    return {key: value for key, value in event.items() if key != "type"}


def new_response_id() -> str:
    return f"resp_{uuid.uuid4().hex}"
