"""The grammar of an answer: what `tools`, `tool_choice` and `response_format` leave the model to say.

`none` and plain text: no grammar. `auto`: free text until a call begins, then the grammar. `required` or a named tool:
the grammar from the first token, so that no prose can come before the call. A response format is a grammar from the
first token too; together with tools the answer is either calls or a text in that format.
"""

import json
from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock

import grammars
from grammars import Fragment, GrammarError, Node, Report
from server.chat.dialect import Dialect
from server.chat.messages import Tool
from server.chat.request import CALLS_AT_ONCE, ChatRequest, ResponseFormat
from server.engine.types import Constraint

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


class AnswerGrammars:
    """Builds the grammars of answers, each once while it is among the last used. Thread-safe."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._cache: OrderedDict[str, AnswerGrammar] = OrderedDict()
        self._lock = Lock()

    def build(self, request: ChatRequest) -> AnswerGrammar:
        """Raises: SchemaError."""
        if not request.is_constrained:
            return AnswerGrammar(None)
        key = _key(request)
        with self._lock:
            if key in self._cache:
                self._cache.move_to_end(key)
                return self._cache[key]
        answer = self._build(request)
        with self._lock:
            self._cache[key] = answer
            while len(self._cache) > _CACHED:
                self._cache.popitem(last=False)
        return answer

    def _build(self, request: ChatRequest) -> AnswerGrammar:
        tools = request.callable_tools
        fragments = {tool.name: _tool_fragment(tool, request, self._dialect) for tool in tools}
        calls = self._calls(fragments, parallel=request.parallel_tool_calls) if tools else None
        text = _format_fragment(request.response_format)
        reports = {name: fragment.report for name, fragment in fragments.items()}
        if text is not None:
            reports["response_format"] = text.report
        widened = tuple((name, report) for name, report in reports.items() if report.widened)
        constraint = None
        if calls is not None and (request.tool_choice.mode == "required" or text is None):
            is_lazy = request.tool_choice.mode == "auto"
            constraint = _constraint(calls, self._dialect.trigger if is_lazy else None, "tools")
        elif text is not None:
            node = text.node if calls is None else grammars.choice(calls, text.node)
            constraint = _constraint(node, None, "response_format")
        return AnswerGrammar(constraint, widened)

    def _calls(self, fragments: dict[str, Fragment], *, parallel: bool) -> Node:
        """One call or several, one after the other, then the end of the turn."""
        dialect = self._dialect
        bodies = [
            grammars.sequence(grammars.literal(_quoted(name) + dialect.middle), fragment.node)
            for name, fragment in fragments.items()
        ]
        call = grammars.sequence(
            grammars.literal(dialect.prefix), grammars.choice(*bodies), grammars.literal(dialect.suffix)
        )
        if not parallel:
            return call
        more = grammars.sequence(grammars.literal(dialect.separator), call)
        return grammars.sequence(call, grammars.repeat(more, 0, CALLS_AT_ONCE - 1))


def _tool_fragment(tool: Tool, request: ChatRequest, dialect: Dialect) -> Fragment:
    """Arguments are an object whatever the schema forgets to say, with no keys but those it lists."""
    index = request.tools.index(tool)
    schema = {"type": "object", **tool.parameters}
    if not tool.parameters.get("properties") and "additionalProperties" not in schema and set(schema) == {"type"}:
        schema["additionalProperties"] = False
    try:
        return grammars.compile_schema(schema, strict=tool.strict, spacing=dialect.spacing, closed=True, openapi=True)
    except GrammarError as error:
        raise SchemaError(f"tools[{index}].function.parameters", error) from error


def _format_fragment(wanted: ResponseFormat) -> Fragment | None:
    if wanted.kind == "text":
        return None
    if wanted.kind == "json_object":
        return Fragment(grammars.json_object(), Report())
    try:
        return grammars.compile_schema(wanted.schema, strict=wanted.strict, closed=True, openapi=True)
    except GrammarError as error:
        raise SchemaError("response_format.json_schema.schema", error) from error


def _constraint(node: Node, trigger: str | None, param: str) -> Constraint:
    """Written out here, because that is where a grammar that is too large shows."""
    compiled = grammars.emit(node)
    try:
        return Constraint(compiled.gbnf, compiled.lark, trigger)
    except GrammarError as error:
        raise SchemaError(param, error) from error


def _quoted(name: str) -> str:
    return json.dumps(name, ensure_ascii=False)


def _key(request: ChatRequest) -> str:
    tools = [[tool.name, dict(tool.parameters), tool.strict] for tool in request.tools]
    wanted = request.response_format
    schema = wanted.schema if isinstance(wanted.schema, bool) else dict(wanted.schema)
    choice = request.tool_choice
    return grammars.content_hash(
        tools, choice.mode, choice.names, request.parallel_tool_calls, wanted.kind, schema, wanted.strict
    )
