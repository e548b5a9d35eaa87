"""The grammar of an answer: what `tools`, `tool_choice` and `response_format` leave the model to say.

`none` and plain text: no grammar. `auto`: free text until a call begins, then the grammar. `required` or a named tool:
the grammar from the first token, so that no prose can come before the call. A response format is a grammar from the
first token too; together with tools the answer is either calls or a text in that format.
"""

import logging
from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock

import grammars
from grammars import (
    Endings,
    Fragment,
    GrammarError,
    InvalidSchema,
    LimitExceeded,
    Node,
    Report,
    Spacing,
    UnsupportedSchema,
)
from server.chat.answer_form import AnswerForm, AnswerRule, CallsAt
from server.chat.arguments import JsonArguments
from server.chat.dialect import Dialect
from server.chat.messages import Tool
from server.chat.request import CALLS_AT_ONCE, ChatRequest, ResponseFormat
from server.chat.thinking import ThinksAt
from server.engine.types import Constraint

logger = logging.getLogger("trammel")
_CACHED = 256


class SchemaError(ValueError):
    """A schema of the request can't be compiled; `param` is the request's field."""

    def __init__(self, param: str, error: GrammarError) -> None:
        self.param = param
        self.cause = error
        super().__init__(f"Invalid schema in {param}: {error}.")


@dataclass(frozen=True, slots=True)
class AnswerGrammar:
    """A constraint for the engine, and which schemas it does not hold in full."""

    constraint: Constraint | None
    widened: tuple[tuple[str, Report], ...] = ()
    """Name of the tool, or `response_format`, with its report: these are to be validated after decoding."""
    calls_at: CallsAt = "nowhere"
    """Where a call may begin in what follows the reasoning."""
    barred: tuple[str, ...] = ()
    """Tags that the text can't have: those of calls where none can be made, or that end one before it has begun."""


class AnswerGrammars:
    """Builds the grammars of answers, each once while it is among the last used. Thread-safe."""

    def __init__(self, dialect: Dialect, plain: str = "") -> None:
        """`plain`: a conversation without calls, as the template writes it: the tags in it are not of calls alone."""
        self._dialect = dialect
        self._call_tags = tuple(tag for tag in dialect.call_tags if tag not in plain)
        self._cache: OrderedDict[str, AnswerGrammar] = OrderedDict()
        self._lock = Lock()

    def build(self, request: ChatRequest, thinks: ThinksAt = "never") -> AnswerGrammar:
        """`thinks`: where the prompt leaves the answer. Raises: SchemaError."""
        if not request.is_constrained:
            return AnswerGrammar(None, calls_at="anywhere" if request.callable_tools else "nowhere")
        key = _key(request, thinks)
        with self._lock:
            if key in self._cache:
                self._cache.move_to_end(key)
                return self._cache[key]
        answer = self._build(request, thinks)
        with self._lock:
            self._cache[key] = answer
            while len(self._cache) > _CACHED:
                self._cache.popitem(last=False)
        return answer

    def _build(self, request: ChatRequest, thinks: ThinksAt) -> AnswerGrammar:
        if request.response_format.kind == "gbnf":
            return AnswerGrammar(Constraint(request.response_format.gbnf))
        fragments = {tool.name: _tool_fragment(tool, request, self._dialect) for tool in request.callable_tools}
        text = _format_fragment(request.response_format)
        reports = {name: fragment.report for name, fragment in fragments.items()}
        if text is not None:
            reports["response_format"] = text.report
        widened = tuple((name, report) for name, report in reports.items() if report.widened)
        form = AnswerForm(
            self._dialect,
            {name: fragment.node for name, fragment in fragments.items()},
            CALLS_AT_ONCE if request.parallel_tool_calls else 1,
            None if text is None else text.node,
            thinks,
        )
        rule = form.required() if request.tool_choice.mode == "required" and fragments else form.allowed()
        if rule is None:
            return AnswerGrammar(None, widened, barred=self._call_tags)
        field = "tools" if text is None else "response_format"
        constraint = _constraint(rule, field, fits=request.fits)
        is_lazy = rule.trigger == self._dialect.trigger
        barred = tuple(tag for tag in self._call_tags if tag != rule.trigger) if is_lazy else ()
        return AnswerGrammar(constraint, widened, rule.calls_at, barred)


def _tool_fragment(tool: Tool, request: ChatRequest, dialect: Dialect) -> Fragment:
    """Arguments are an object whatever the schema forgets to say, with no keys but those it lists."""
    index = request.tools.index(tool)
    if not dialect.spells(tool.name):
        reason = f"a call to {tool.name!r} can't be told from others as this model writes calls"
        raise SchemaError(f"tools[{index}].function.name", UnsupportedSchema("name", "", reason))
    schema = {"type": "object", **tool.parameters}
    if not tool.parameters.get("properties") and "additionalProperties" not in schema and set(schema) == {"type"}:
        schema["additionalProperties"] = False
    field = f"tools[{index}]." + ("custom.format.grammar.definition" if tool.is_custom else "function.parameters")
    try:
        if tool.input_grammar is not None:
            return Fragment(_input_node(tool.input_grammar, dialect), Report())
        return dialect.arguments.compile(schema, strict=tool.strict)
    except GrammarError as error:
        raise SchemaError(field, error) from error
    except RecursionError as error:
        raise SchemaError(field, LimitExceeded("it is nested too deep")) from error
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        logger.exception("a fault of ours, or a keyword with a value that it can't have: tool %s", tool.name)
        raise SchemaError(field, InvalidSchema("it can't be read as a schema")) from error


def _input_node(definition: str, dialect: Dialect) -> Node:
    """The arguments of a custom tool: one string, of a grammar's texts. Raises: GrammarError."""
    arguments = dialect.arguments
    if not isinstance(arguments, JsonArguments):
        raise UnsupportedSchema("grammar", "", "this model writes arguments one by one, not as JSON")
    blank = " " if arguments.spacing is Spacing.SPACED else ""
    start = grammars.literal('{"input":' + blank)
    return grammars.sequence(start, grammars.lark_string(definition), grammars.literal("}"))


def _format_fragment(wanted: ResponseFormat) -> Fragment | None:
    if wanted.kind == "text":
        return None
    if wanted.kind == "json_object":
        return Fragment(grammars.json_object(), Report())
    try:
        return grammars.compile_schema(wanted.schema, strict=wanted.strict, closed=True, openapi=True)
    except GrammarError as error:
        raise SchemaError(wanted.field, error) from error


def _constraint(rule: AnswerRule, param: str, *, fits: bool) -> Constraint:
    """Written out here, because that is where a grammar that is too large shows."""
    compiled = grammars.emit(rule.node)
    try:
        endings = Endings(rule.node) if fits else None
        return Constraint(compiled.gbnf, compiled.lark, rule.trigger, endings)
    except GrammarError as error:
        raise SchemaError(param, error) from error


def _key(request: ChatRequest, thinks: ThinksAt) -> str:
    tools = [[tool.name, dict(tool.parameters), tool.strict, tool.input_grammar] for tool in request.tools]
    wanted = request.response_format
    schema = wanted.schema if isinstance(wanted.schema, bool) else dict(wanted.schema)
    choice = request.tool_choice
    return grammars.content_hash(
        tools,
        choice.mode,
        choice.names,
        request.parallel_tool_calls,
        wanted.kind,
        schema,
        wanted.strict,
        wanted.gbnf,
        thinks,
        request.fits,
    )
