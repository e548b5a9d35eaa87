"""How one model writes tool calls: the texts around a call's name and arguments, and how it marks reasoning.

A turn of calls reads: begin, name, middle, arguments, suffix; for each further call `next`, name, middle, arguments,
suffix; then end. All but the arguments are forms: literal text with holes for what changes from call to call.
`server/chat/derivation.py` reads a dialect off a template, `server/chat/named.py` knows those that can't be read off.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Literal

import grammars
from grammars import Node, Spacing
from grammars.tree import chars
from server.chat.arguments import Arguments, JsonArguments, Parameters
from server.chat.element_values import ElementArguments
from server.chat.messages import ToolCall
from server.chat.text_schema import Schema


class Hole(Enum):
    """What changes from call to call."""

    NAME = "name"
    ID = "id"
    INDEX = "index"


Form = tuple[str | Hole, ...]
Origin = Literal["derived", "named", "generic"]
ID_LENGTH = 9
"""Mistral's templates refuse ids of any other length, and no other family minds."""
_TAG = re.compile(r"<[^<>]+>|\[[A-Z_]+\]")
_NO_SCHEMA: Schema = {}


@dataclass(frozen=True, slots=True)
class Reasoning:
    """The marks around what a model thinks before it answers."""

    begin: str
    end: str


@dataclass(frozen=True, slots=True)
class Dialect:
    """The texts of a turn of calls."""

    begin: Form
    """Before the first name."""
    middle: Form
    """Between a name and its arguments; it may hold the name again."""
    suffix: Form
    """After a call's arguments."""
    next: Form | None
    """After a suffix, before the next name. None: one call in a turn and no more."""
    end: Form
    """After the last suffix."""
    arguments: Arguments
    has_quoted_name: bool = True
    """Names are JSON strings."""
    first_index: int = 0
    reasoning: Reasoning | None = None
    origin: Origin = "derived"
    name: str = ""
    """Of a named dialect."""
    tools_variable: str = "tools"
    """The template's variable that lists tools; empty if it has none: then they are put into the system text."""
    shows_calls: bool = True
    """The template writes the calls of earlier turns; if not, they are put into the content."""
    shows_results: bool = True
    """The template shows messages of the role `tool`; if not, results are a user's words."""
    has_argument_texts: bool = False
    """The template wants arguments as JSON text, not as an object."""
    hides_ids: bool = False
    """The template must not see calls' ids, because it would write them where the model does not."""
    instruction: str = ""
    """What the system text must say for the model to write calls this way."""
    is_first: bool = False
    """Calls can't be told from text but by their place: they begin an answer or there are none."""
    text_begin: str = ""
    """What an answer that is no call begins with."""
    text_end: str = ""
    """What ends the text of an answer; calls, if there are any, come behind it."""
    mark: str = ""
    """The trigger, where the first tag alone is not enough."""

    @property
    def is_generic(self) -> bool:
        return self.origin == "generic"

    @property
    def trigger(self) -> str:
        """The text that begins a call and nothing else: what comes before its JSON, or all before the name."""
        text = literal_start(self.begin)
        if self.mark:
            return self.mark
        tag = _TAG.match(text)
        return tag[0] if tag else text.split("{", 1)[0].rstrip() or text.rstrip()

    @property
    def marks(self) -> tuple[str, ...]:
        """All texts that a model of this dialect writes as structure; their special tokens are part of its text."""
        calls = _literals(self.begin, self.middle, self.suffix, self.next or (), self.end)
        return tuple(text for text in (*calls, *self.arguments.marks, *self._marks_of_text) if text)

    @property
    def call_tags(self) -> tuple[str, ...]:
        """The trigger and the tags that end a call, but for those that thoughts and texts have too."""
        ends = (tag for text in _literals(self.suffix, self.end) for tag in _TAG.findall(text))
        elsewhere = " ".join(self._marks_of_text)
        return tuple(tag for tag in dict.fromkeys((self.trigger, *ends)) if tag not in elsewhere)

    @property
    def _marks_of_text(self) -> tuple[str, ...]:
        thought = (self.reasoning.begin, self.reasoning.end) if self.reasoning else ()
        return (*thought, self.text_begin, self.text_end)

    @property
    def after_name(self) -> tuple[str, ...]:
        """The texts one of which follows a name: what the middle begins with, or the arguments, or what ends them."""
        if self.middle:
            return (literal_start(self.middle),)
        if isinstance(self.arguments, ElementArguments):
            return (self.arguments.mark,)
        return (self.arguments.open, self.after_arguments) if isinstance(self.arguments, Parameters) else ("{",)

    @property
    def after_arguments(self) -> str:
        return literal_start(self.suffix or self.end)

    def write(self, calls: tuple[ToolCall, ...], schemas: Mapping[str, Schema] | None = None) -> str:
        """Calls as the model would write them; `arguments` must be JSON. `schemas`: tools' parameters by name."""
        texts = []
        for number, call in enumerate(calls):
            start = self.begin if number == 0 else self.next or ()
            schema = (schemas or {}).get(call.name, _NO_SCHEMA)
            texts += [self._fill(start, call, number), self._name(call.name), self._fill(self.middle, call, number)]
            texts += [self.arguments.write(json.loads(call.arguments), schema), self._fill(self.suffix, call, number)]
        return "".join(texts) + "".join(part for part in self.end if isinstance(part, str)) if calls else ""

    def spells(self, name: str) -> bool:
        """Whether a call can be told to have this name."""
        if self.text_begin and (name + "".join(self.after_name)).startswith(self.text_begin):
            return False
        return self.has_quoted_name or not any(mark in name + mark[:-1] for mark in self.after_name)

    def calls_node(self, tools: dict[str, Node], most: int, *, after: str = "") -> Node:
        """The grammar of one to `most` calls; `tools`: names, which `spells` holds of, to their arguments' grammars.

        `after`: what has been said of their beginning.
        """
        begin = (literal_start(self.begin).removeprefix(after), *self.begin[1:])
        bodies = grammars.choice(
            *(
                grammars.sequence(grammars.literal(self._name(name)), self._node(self.middle, name), arguments)
                for name, arguments in tools.items()
            )
        )
        suffix = self._node(self.suffix)
        calls = grammars.sequence(self._node(begin), bodies, suffix)
        if self.next is not None and most > 1:
            more = grammars.sequence(self._node(self.next), bodies, suffix)
            calls = grammars.sequence(calls, grammars.repeat(more, 0, most - 1))
        return grammars.sequence(calls, self._node(self.end))

    def _name(self, name: str) -> str:
        return json.dumps(name, ensure_ascii=False) if self.has_quoted_name else name

    def _fill(self, form: Form, call: ToolCall, number: int) -> str:
        values = {
            Hole.NAME: call.name,
            Hole.ID: fitting_id(call.id),
            Hole.INDEX: str(self.first_index + number),
        }
        return "".join(part if isinstance(part, str) else values[part] for part in form)

    def _node(self, form: Form, name: str = "") -> Node:
        nodes = {
            Hole.NAME: grammars.literal(name),
            Hole.ID: grammars.repeat(chars((48, 57), (65, 90), (97, 122)), ID_LENGTH, ID_LENGTH),
            Hole.INDEX: grammars.repeat(chars((48, 57)), 1, 2),
        }
        return grammars.sequence(*(grammars.literal(part) if isinstance(part, str) else nodes[part] for part in form))


GENERIC = Dialect(
    begin=('<tool_call>\n{"name": ',),
    middle=(', "arguments": ',),
    suffix=("}\n</tool_call>",),
    next=('\n<tool_call>\n{"name": ',),
    end=(),
    arguments=JsonArguments(Spacing.SPACED),
    origin="generic",
    name="hermes",
    tools_variable="",
    shows_calls=False,
    shows_results=False,
)
"""Tools are listed in the system text and calls are written as Hermes models do
(https://huggingface.co/NousResearch/Hermes-2-Pro-Llama-3-8B), so that tools are never dropped silently."""


def literal_start(form: Form) -> str:
    return form[0] if form and isinstance(form[0], str) else ""


def _literals(*forms: Form) -> tuple[str, ...]:
    return tuple(part for form in forms for part in form if isinstance(part, str))


def fitting_id(given: str) -> str:
    """An id as the grammar admits it: the client's own, or one made of it."""
    if len(given) == ID_LENGTH and given.isascii() and given.isalnum():
        return given
    return hashlib.sha256(given.encode()).hexdigest()[:ID_LENGTH]
