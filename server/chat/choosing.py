"""The dialect of a template: derived if that can be shown to be right, else a named one, else the generic one.

A derived dialect is believed only after a trial: calls with nested, empty and unusual arguments are rendered by the
template, and the dialect must write the very same text.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from server.chat.arguments import Parameters
from server.chat.derivation import derive_calls
from server.chat.dialect import GENERIC, Dialect
from server.chat.history import History
from server.chat.messages import Message, Tool, ToolCall
from server.chat.named import named_dialects
from server.chat.probes import UnreadableError, shows_tools
from server.chat.reasoning_probe import derive_reasoning, derive_text_begin
from server.chat.roles import roles_of
from server.chat.template import ChatTemplate, TemplateError

_USER = Message("user", "trammel probe question")
_TRIAL_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "text": {"type": "string", "description": "A text."},
        "number": {"type": "number", "description": "A number."},
        "is_so": {"type": "boolean", "description": "A flag."},
        "list": {"type": "array", "items": {"type": "string"}, "description": "A list."},
        "object": {
            "type": "object",
            "properties": {"key": {"type": "string"}},
            "additionalProperties": {"type": "string"},
            "description": "An object.",
        },
    },
}
TRIAL_TOOLS = tuple(Tool(f"trial_{name}", _TRIAL_SCHEMA, "A trial.") for name in ("one", "two"))
_ARGUMENTS: tuple[dict[str, Any], ...] = (
    {"text": 'say "x" <b> it\'s\nnew line', "number": 1.5, "is_so": True},
    {"list": ["a", 'b "c"'], "object": {"key": "value"}},
    {},
)


def dialect_of(template: ChatTemplate) -> Dialect:
    """How the template's model calls tools. Never fails: what can't be held gets the generic dialect."""
    reasoning = derive_reasoning(template)
    for dialect in _candidates(template):
        is_derived = dialect.origin == "derived"
        begin = derive_text_begin(template, reasoning) if is_derived else dialect.text_begin
        with_marks = replace(dialect, reasoning=dialect.reasoning or reasoning, text_begin=begin)
        if holds(template, with_marks):
            return with_marks
    return replace(GENERIC, reasoning=reasoning)


def _candidates(template: ChatTemplate) -> list[Dialect]:
    candidates = list(named_dialects(template))
    try:
        derived = derive_calls(template)
        variable = "tools" if shows_tools(template) else ""
        derived = replace(derived, tools_variable=variable)
        return [derived, *_variants(derived), *candidates]
    except (UnreadableError, TemplateError):
        return candidates


def _variants(derived: Dialect) -> list[Dialect]:
    """What the probes could not tell."""
    variants = [replace(derived, hides_ids=True)]
    if isinstance(derived.arguments, Parameters):
        variants.append(replace(derived, arguments=replace(derived.arguments, cdata_for="<&\n")))
    return variants


def holds(template: ChatTemplate, dialect: Dialect) -> bool:
    """Whether a prompt of this dialect lists the tools and has calls and results in it, letter by letter.

    Of a named dialect, whose templates may spell calls in another way, names and arguments are enough.
    """
    try:
        history = history_for(template, dialect)
        return all(_holds(template, history, arguments) for arguments in _ARGUMENTS)
    except TemplateError:
        return False


def _holds(template: ChatTemplate, history: History, arguments: Mapping[str, Any]) -> bool:
    dialect = history.dialect
    names = [tool.name for tool in TRIAL_TOOLS[: 1 if dialect.next is None else 2]]
    calls = tuple(ToolCall(name, json.dumps(arguments), f"trial000{n}") for n, name in enumerate(names))
    results = [Message("tool", f"trial result {call.id}", tool_call_id=call.id, name=call.name) for call in calls]
    turn = Message("assistant", None, calls)
    text = _render(template, history, [_USER, turn, *results])
    # an earlier turn may have more in it than the model writes (Apriel adds ids then)
    texts = text, _render(template, history, [_USER, turn])
    schemas = {tool.name: tool.parameters for tool in TRIAL_TOOLS}
    is_named = dialect.origin == "named"
    written = dialect.arguments.write(arguments, _TRIAL_SCHEMA) if is_named else dialect.write(calls, schemas)
    return (
        any(written in text for text in texts)
        and all(f"trial result {call.id}" in text for call in calls)
        and all(text.count(tool.name) > names.count(tool.name) for tool in TRIAL_TOOLS)
    )


def history_for(template: ChatTemplate, dialect: Dialect) -> History:
    """Fits messages to the template as to its dialect and its roles."""
    return History(dialect, roles_of(template, History(dialect).variables(())))


def _render(template: ChatTemplate, history: History, messages: Sequence[Message]) -> str:
    """The prompt's text. Raises: TemplateError."""
    shown = history.rewrite(messages, TRIAL_TOOLS)
    return template.render(shown, history.tools(TRIAL_TOOLS), **history.variables(TRIAL_TOOLS))
