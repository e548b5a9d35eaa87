"""Turns a chat request into what the engine needs: a prompt, a constraint, and the parser for what comes back."""

import json
from dataclasses import dataclass, replace

from server.chat.constraint import AnswerGrammar, AnswerGrammars
from server.chat.dialect import Dialect, derive
from server.chat.free_parser import FreeParser
from server.chat.messages import Message, Role, Tool
from server.chat.parser import AnswerParser, CallsAt
from server.chat.prompt import NO_NAMES, Prompt, SpecialNames
from server.chat.request import ChatRequest
from server.chat.template import ChatTemplate, TemplateError

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""For a model whose file has no template."""

_GENERIC_SYSTEM = (
    "You may call one or more functions to help with the user's request. The functions, one JSON signature a line:\n"
    "<tools>\n{tools}\n</tools>\n"
    "For each call write a JSON object with the function's name and arguments between <tool_call> tags:\n"
    '<tool_call>\n{{"name": <name>, "arguments": <arguments object>}}\n</tool_call>'
)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request ready for the engine."""

    prompt: Prompt
    grammar: AnswerGrammar
    calls_at: CallsAt
    is_constrained: bool = True


class Conversations:
    """All that is known about talking with one model."""

    def __init__(self, template: ChatTemplate, names: SpecialNames = NO_NAMES) -> None:
        """`names`: what the model's tokenizer reads as special tokens."""
        self.template = template
        self._names = SpecialNames(names.control, frozenset(name for name in names.marks if name in template.source))
        self.dialect: Dialect = derive(template)
        self._grammars = AnswerGrammars(self.dialect)
        self._knows_developer = _shows(template, "developer")

    def prepare(self, request: ChatRequest) -> Prepared:
        """May take milliseconds: call it off the event loop. Raises: SchemaError, TemplateError."""
        grammar = self._grammars.build(request)
        return Prepared(self.prompt(request), grammar, _calls_at(request, grammar), request.is_constrained)

    def prompt(self, request: ChatRequest) -> Prompt:
        """Raises: TemplateError."""
        messages, tools = request.messages, request.tools
        if not self._knows_developer:
            messages = tuple(replace(m, role="system") if m.role == "developer" else m for m in messages)
        if self.dialect.is_generic:
            messages, tools = self._as_plain_text(messages, tools), ()
        return self.template.prompt(messages, tools, self._names, **request.template_variables)

    def parser(self, prepared: Prepared) -> AnswerParser | FreeParser:
        if not prepared.is_constrained and prepared.calls_at != "nowhere":
            return FreeParser(self.dialect)
        return AnswerParser(self.dialect, calls=prepared.calls_at)

    def _as_plain_text(self, messages: tuple[Message, ...], tools: tuple[Tool, ...]) -> tuple[Message, ...]:
        """Tools, calls and results written out for a template that knows none of them."""
        plain = [self._plain(message) for message in messages]
        if tools:
            listed = "\n".join(json.dumps(tool.as_template_value(), ensure_ascii=False) for tool in tools)
            text = _GENERIC_SYSTEM.format(tools=listed)
            if plain and plain[0].role in ("system", "developer"):
                plain[0] = replace(plain[0], content=f"{plain[0].content}\n\n{text}")
            else:
                plain.insert(0, Message("system", text))
        return tuple(plain)

    def _plain(self, message: Message) -> Message:
        if message.role == "tool":
            return Message("user", f"<tool_response>\n{message.content}\n</tool_response>")
        if message.tool_calls:
            calls = self.dialect.write(message.tool_calls)
            return Message(message.role, f"{message.content}\n{calls}" if message.content else calls)
        return message


def _calls_at(request: ChatRequest, answer: AnswerGrammar) -> CallsAt:
    """A grammar from the first token has its calls, if any, at the start."""
    if not request.callable_tools:
        return "nowhere"
    return "start" if answer.constraint and answer.constraint.trigger is None else "anywhere"


def _shows(template: ChatTemplate, role: Role) -> bool:
    """Whether a template renders messages of a role; many know no `developer` and drop it without a word."""
    text = "trammel probe instruction"
    try:
        return text in template.render([Message(role, text), Message("user", "trammel probe question")])
    except TemplateError:
        return False
