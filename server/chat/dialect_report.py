"""What a person wants to know of a dialect: how a call is written, an example of a prompt, and the grammar.

Printed by `trammel dialect`.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from server.chat.arguments import JsonArguments, NestedArguments
from server.chat.choosing import dialect_of
from server.chat.constraint import AnswerGrammars
from server.chat.conversation import Conversations
from server.chat.dialect import Dialect, Form, Hole
from server.chat.element_values import ElementArguments
from server.chat.messages import Message, Tool, ToolCall
from server.chat.request import ChatRequest, ToolChoice
from server.chat.template import ChatTemplate, TemplateError

_WEATHER = Tool(
    "get_weather",
    {
        "type": "object",
        "properties": {
            "city": {"type": "string", "description": "A city."},
            "days": {"type": "integer", "description": "Days ahead."},
        },
        "required": ["city"],
    },
    "The weather of a city.",
)
_ARGUMENTS = {"city": "Oslo", "days": 2}
_CONVERSATION = (
    Message("user", "How is the weather in Oslo?"),
    Message("assistant", None, (ToolCall("get_weather", json.dumps(_ARGUMENTS), "example00"),)),
    Message("tool", '{"sky": "clear"}', tool_call_id="example00", name="get_weather"),
)


def dialect_summary(template: ChatTemplate) -> str:
    """One line's worth: how the dialect was found, its name and its trigger."""
    dialect = dialect_of(template)
    return f"{dialect.origin:8} {dialect.name or '-':16} {_shown_trigger(dialect)}"


def dialect_facts(dialect: Dialect) -> dict[str, Any]:
    """What was found out, by name; texts with holes have them in braces."""
    thought = dialect.reasoning
    return {
        "origin": dialect.origin,
        "name": dialect.name or None,
        "tools": f"the template's {dialect.tools_variable!r}" if dialect.tools_variable else "the system text",
        "calls of earlier turns": "the template's own" if dialect.shows_calls else "written into the content",
        "trigger": _shown_trigger(dialect),
        "call": _shown(dialect, dialect.begin),
        "further call": None if dialect.next is None else _shown(dialect, dialect.next),
        "after the last": _form_text(dialect.end) or None,
        "arguments": _arguments_text(dialect),
        "reasoning": None if thought is None else f"{thought.begin} … {thought.end}",
        "text begins with": dialect.text_begin or None,
    }


def dialect_report(template: ChatTemplate) -> str:
    """The facts, a prompt as an example, and the grammar of a required call."""
    conversations = Conversations(template)
    facts = dialect_facts(conversations.dialect)
    lines = [f"{name:24}{_one_line(value)}" for name, value in facts.items() if value is not None]
    schemas = {_WEATHER.name: _WEATHER.parameters}
    call = conversations.dialect.write(_CONVERSATION[1].tool_calls, schemas)
    parts = ["\n".join(lines), _titled("A call", call), _titled("A prompt", _example(conversations))]
    return "\n".join([*parts, _titled("Its grammar", _grammar(conversations.dialect))])


def _example(conversations: Conversations) -> str:
    try:
        return conversations.prompt(ChatRequest(_CONVERSATION, (_WEATHER,))).text
    except TemplateError as error:
        return str(error)


def _grammar(dialect: Dialect) -> str:
    request = ChatRequest(_CONVERSATION[:1], (_WEATHER,), ToolChoice("required"), parallel_tool_calls=False)
    constraint = AnswerGrammars(dialect).build(request).constraint
    return constraint.gbnf if constraint is not None else ""


def _titled(title: str, text: str) -> str:
    return f"\n--- {title} ---\n{text}"


def _shown(dialect: Dialect, start: Form) -> str:
    name = '"{name}"' if dialect.has_quoted_name else "{name}"
    middle, suffix = _form_text(dialect.middle), _form_text(dialect.suffix)
    return f"{_form_text(start)}{name}{middle}{{arguments}}{suffix}"


def _form_text(form: Form) -> str:
    return "".join(f"{{{part.value}}}" if isinstance(part, Hole) else part for part in form)


def _arguments_text(dialect: Dialect) -> str:
    kind = dialect.arguments
    if isinstance(kind, JsonArguments):
        return f"a JSON object, {kind.spacing.value}"
    if isinstance(kind, ElementArguments):
        return f"elements at every depth: {kind.mark}<{{key}}>{{text, JSON, elements}}{kind.mark}</{{key}}>"
    if isinstance(kind, NestedArguments):
        return f"members near JSON: keys bare, strings between {kind.values.quote}"
    json_form = f"{kind.open}{{key}}{kind.middle}{{JSON}}{kind.close}"
    if not kind.has_bare_text:
        return f"one by one: {json_form}"
    return f"one by one: {kind.open}{{key}}{kind.text_middle}{{text}}{kind.text_close}, or {json_form}"


def _shown_trigger(dialect: Dialect) -> str:
    if dialect.is_first or dialect.text_begin:
        return "none: an answer begins with a call or is none"
    return _one_line(dialect.trigger)


def _one_line(text: Any) -> str:
    return str(text).replace("\n", "\\n")


def dialect_table(templates: Iterable[Path]) -> str:
    """docs/dialects.md's table of what each template gets. Raises: TemplateError, OSError."""
    rows = ["| template | dialect | trigger | arguments | reasoning |", "|---|---|---|---|---|"]
    for path in templates:
        dialect = dialect_of(ChatTemplate(path.read_text(encoding="utf-8")))
        form = "JSON" if isinstance(dialect.arguments, JsonArguments) else "one by one"
        thought = f"`{_one_line(dialect.reasoning.begin)}`" if dialect.reasoning else ""
        trigger = "its place" if dialect.is_first or dialect.text_begin else f"`{_one_line(dialect.trigger)}`"
        found = f"{dialect.origin} {dialect.name}".strip()
        cells = [path.stem, found, trigger, form, thought]
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows) + "\n"
