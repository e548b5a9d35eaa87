"""The messages of a request as one model's template can show them.

Templates differ in what they know: the role `developer`, tools, calls, results, several calls in a turn, ids of any
length. What a template does not know it drops without a word, so it is written out in what it does know.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from server.chat.arguments import Parameters
from server.chat.dialect import Dialect, Hole, fitting_id
from server.chat.element_values import ElementArguments
from server.chat.messages import Message, Tool, ToolCall
from server.chat.roles import ALL_ROLES, Roles, fitted
from server.chat.text_schema import Schema

GENERIC_SYSTEM = (
    "You may call one or more functions to help with the user's request. The functions, one JSON signature a line:\n"
    "<tools>\n{tools}\n</tools>\n"
    "For each call write a JSON object with the function's name and arguments between <tool_call> tags:\n"
    '<tool_call>\n{{"name": <name>, "arguments": <arguments object>}}\n</tool_call>'
)

DERIVED_SYSTEM = (
    "You may call one or more functions to help with the user's request. The functions, one JSON signature a line:\n"
    "{tools}\n"
    "Write a call like this, with the function's name and arguments in their places:\n{example}"
)
"""For a template that writes calls but lists no tools."""


@dataclass(frozen=True, slots=True)
class History:
    """Rewrites messages for a dialect's template."""

    dialect: Dialect
    roles: Roles = ALL_ROLES

    def rewrite(self, messages: Sequence[Message], tools: Sequence[Tool]) -> tuple[Message, ...]:
        """The same conversation in the template's terms."""
        schemas = {tool.name: tool.parameters for tool in tools}
        shown = [self._shown(message, schemas) for message in self._one_by_one(messages)]
        text = self._instruction(tools)
        if text and shown and shown[0].role in ("system", "developer"):
            shown[0] = replace(shown[0], content=f"{shown[0].content}\n\n{text}")
        elif text:
            shown.insert(0, Message("system", text))
        return tuple(fitted(shown, self.roles))

    def variables(self, tools: Sequence[Tool]) -> dict[str, Any]:
        """What lists the tools, if the template looks for them under another name than `tools`."""
        if self.dialect.tools_variable in ("", "tools"):
            return {}
        listed = json.dumps([tool.as_template_value()["function"] for tool in tools], ensure_ascii=False, indent=4)
        return {self.dialect.tools_variable: listed, "datetime": datetime.now(UTC).strftime("%b %d %Y")}

    def tools(self, tools: Sequence[Tool]) -> Sequence[Tool]:
        """What lists the tools under the name `tools`."""
        return tools if self.dialect.tools_variable == "tools" else ()

    def _instruction(self, tools: Sequence[Tool]) -> str:
        """What the system text has to say besides what the template says."""
        if not tools or self.dialect.tools_variable:
            return self.dialect.instruction if tools else ""
        listed = "\n".join(json.dumps(tool.as_template_value(), ensure_ascii=False) for tool in tools)
        if self.dialect.is_generic:
            return GENERIC_SYSTEM.format(tools=listed)
        example = self.dialect.write((ToolCall("function_name", '{"key": "value"}'),))
        return DERIVED_SYSTEM.format(tools=listed, example=example)

    def _one_by_one(self, messages: Sequence[Message]) -> list[Message]:
        """A turn of several calls as several turns, if the template refuses more than one."""
        if self.dialect.next is not None:
            return list(messages)
        split: list[Message] = []
        for position, message in enumerate(messages):
            if len(message.tool_calls) < 2:
                split.append(message)
                continue
            answers = _answers(messages[position + 1 :])
            for number, call in enumerate(message.tool_calls):
                split.append(replace(message, content=None if number else message.content, tool_calls=(call,)))
                split += [answer for answer in answers if answer.tool_call_id == call.id]
        return _without_repeats(split)

    def _shown(self, message: Message, schemas: Mapping[str, Schema]) -> Message:
        if message.role == "tool" and not self.dialect.shows_results:
            return Message("user", f"<tool_response>\n{message.content}\n</tool_response>")
        if message.role == "tool" and self._has_ids and message.tool_call_id is not None:
            return replace(message, tool_call_id=fitting_id(message.tool_call_id))
        if not message.tool_calls:
            return message
        if message.content and not self.roles.may_think_aloud:
            message = replace(message, reasoning=None)
        if not self.dialect.shows_calls:
            calls = self.dialect.write(message.tool_calls, schemas)
            return replace(message, content=f"{message.content}\n{calls}" if message.content else calls, tool_calls=())
        return replace(message, tool_calls=tuple(self._call(call, schemas) for call in message.tool_calls))

    def _call(self, call: ToolCall, schemas: Mapping[str, Schema]) -> ToolCall:
        if self._has_ids or self.dialect.hides_ids:
            call = replace(call, id="" if self.dialect.hides_ids else fitting_id(call.id))
        if self.dialect.has_argument_texts:
            return replace(call, shown=self.dialect.arguments.write(json.loads(call.arguments), {}))
        if isinstance(self.dialect.arguments, (Parameters, ElementArguments)):
            arguments = json.loads(call.arguments)
            return replace(call, shown=self.dialect.arguments.template_value(arguments, schemas.get(call.name, {})))
        return call

    @property
    def _has_ids(self) -> bool:
        forms = (self.dialect.begin, self.dialect.middle, self.dialect.suffix, self.dialect.next or ())
        return any(Hole.ID in form for form in forms)


def _answers(messages: Sequence[Message]) -> list[Message]:
    """The results right behind a turn of calls."""
    answers: list[Message] = []
    for message in messages:
        if message.role != "tool":
            break
        answers.append(message)
    return answers


def _without_repeats(messages: list[Message]) -> list[Message]:
    """Results that were put behind their call are not said again."""
    seen: set[int] = set()
    kept = []
    for message in messages:
        if message.role == "tool" and id(message) in seen:
            continue
        seen.add(id(message))
        kept.append(message)
    return kept
