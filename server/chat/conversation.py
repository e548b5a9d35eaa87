"""Turns a chat request into what the engine needs: a prompt, a constraint, and the parser for what comes back."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from server.chat.answer_form import CallsAt
from server.chat.choosing import dialect_of, history_for
from server.chat.constraint import AnswerGrammar, AnswerGrammars
from server.chat.dialect import Dialect
from server.chat.free_parser import FreeParser
from server.chat.messages import Message, Tool
from server.chat.parser import AnswerParser
from server.chat.plain_tools import completed
from server.chat.prompt import NO_NAMES, Prompt, SpecialNames
from server.chat.request import ChatRequest
from server.chat.template import ChatTemplate, TemplateError
from server.chat.text_schema import Schema
from server.chat.thinking import ThinksAt, thinks_at

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""For a model whose file has no template."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request ready for the engine."""

    prompt: Prompt
    grammar: AnswerGrammar
    thinks: ThinksAt = "never"
    """Where the prompt leaves the answer."""
    schemas: Mapping[str, Schema] = field(default_factory=dict)
    """Parameters of the tools by name."""
    is_constrained: bool = True

    @property
    def calls_at(self) -> CallsAt:
        return self.grammar.calls_at


class Conversations:
    """All that is known about talking with one model."""

    def __init__(self, template: ChatTemplate, names: SpecialNames = NO_NAMES) -> None:
        """`names`: what the model's tokenizer reads as special tokens."""
        self.template = template
        self.dialect: Dialect = dialect_of(template)
        self._names = _names_for(self.dialect, template, names)
        self._grammars = AnswerGrammars(self.dialect, _plain(template))
        self._history = history_for(template, self.dialect)

    def prepare(self, request: ChatRequest) -> Prepared:
        """May take milliseconds: call it off the event loop. Raises: SchemaError, TemplateError."""
        prompt = self.prompt(request)
        thinks = thinks_at(self.dialect.reasoning, prompt.pieces[-1] if prompt.pieces else "")
        grammar = self._grammars.build(request, thinks)
        schemas = {tool.name: tool.parameters for tool in request.tools}
        return Prepared(prompt, grammar, thinks, schemas, request.is_constrained)

    def prompt(self, request: ChatRequest) -> Prompt:
        """Raises: TemplateError."""
        try:
            return self._prompt(request, request.tools)
        except TemplateError:
            if not request.tools:
                raise
            plain = tuple(map(completed, request.tools))
            if plain == request.tools:
                raise
            return self._prompt(request, plain)

    def _prompt(self, request: ChatRequest, shown: tuple[Tool, ...]) -> Prompt:
        messages, tools = self._history.rewrite(request.messages, request.tools), self._history.tools(shown)
        variables = {**self._history.variables(shown), **request.template_variables}
        return self.template.prompt(messages, tools, self._names, **variables)

    def parser(self, prepared: Prepared) -> AnswerParser | FreeParser:
        if not prepared.is_constrained and prepared.calls_at != "nowhere":
            return FreeParser(self.dialect, prepared.schemas, prepared.thinks)
        return AnswerParser(self.dialect, calls=prepared.calls_at, schemas=prepared.schemas, thinks=prepared.thinks)


def _plain(template: ChatTemplate) -> str:
    """A conversation without calls; empty if the template refuses it."""
    said = [Message(role, "Hello") for role in ("user", "assistant", "user", "assistant")]
    try:
        return template.render(said, add_generation_prompt=False)
    except TemplateError:
        return ""


def _names_for(dialect: Dialect, template: ChatTemplate, names: SpecialNames) -> SpecialNames:
    """Marks are those that this model uses. Where calls are written into the content, their marks are such too."""
    own = "" if dialect.shows_calls else "\n".join(dialect.marks)
    spoken = frozenset(name for name in names.control if name in own)
    return SpecialNames(
        names.control - spoken, spoken | frozenset(name for name in names.marks if name in template.source)
    )
