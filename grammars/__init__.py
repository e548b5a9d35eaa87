"""JSON Schema to GBNF: grammars that admit what a schema admits, and nothing else.

A library of its own. `compile` gives the finished grammar of one schema; `compile_schema` a tree to be put into a
larger one with the constructors `literal`, `sequence`, `choice`, `repeat` and `optional`, and `emit` writes that out.
"""

import hashlib
import json
from dataclasses import replace
from functools import lru_cache
from typing import Any

from grammars.checking import Verdict, check
from grammars.compiler import Compiler, Fragment
from grammars.effort import limited
from grammars.emit import CompiledGrammar, emit
from grammars.endings import Endings, Place
from grammars.errors import GrammarError, InvalidSchema, LimitExceeded, UnsatisfiableSchema, UnsupportedSchema
from grammars.json_text import Spacing, any_json
from grammars.lark_source import InvalidGrammar, read_lark
from grammars.options import Options
from grammars.report import Entry, Report, merge
from grammars.spelling import spelled_tree
from grammars.tree import Node, choice, literal, optional, repeat, sequence

__all__ = [
    "CompiledGrammar",
    "Endings",
    "Entry",
    "Fragment",
    "GrammarError",
    "InvalidGrammar",
    "InvalidSchema",
    "LimitExceeded",
    "Node",
    "Place",
    "Report",
    "Spacing",
    "UnsatisfiableSchema",
    "UnsupportedSchema",
    "Verdict",
    "check",
    "choice",
    "compile",
    "compile_schema",
    "content_hash",
    "emit",
    "json_object",
    "json_value",
    "lark_string",
    "literal",
    "merge",
    "optional",
    "repeat",
    "sequence",
]


def compile_schema(
    schema: Any,
    *,
    strict: bool = True,
    spacing: Spacing = Spacing.COMPACT,
    closed: bool = False,
    openapi: bool = False,
    formats: bool = True,
) -> Fragment:
    """Compile a schema to a tree.

    `strict` refuses what can't be enforced; without it the grammar admits more, and the report says where.
    `closed` gives objects that list `properties` no others, unless they say `additionalProperties` or nothing is left.
    `openapi` reads OpenAPI 3.0's `nullable` and formats. Without `formats`, `format` is an annotation.
    Raises: UnsupportedSchema, UnsatisfiableSchema, InvalidSchema, LimitExceeded.
    """
    return _fragment(schema, Options(strict, spacing, closed, openapi, formats))


def compile(  # noqa: A001 - `grammars.compile` reads as it should
    schema: Any,
    *,
    strict: bool = True,
    spacing: Spacing = Spacing.COMPACT,
    closed: bool = False,
    openapi: bool = False,
    formats: bool = True,
) -> CompiledGrammar:
    """The grammar of one schema, from a cache if its content was compiled before. Raises: as `compile_schema`."""
    try:
        text = json.dumps(schema)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidSchema(f"the schema is not JSON: {error}") from error
    return _compile_text(text, Options(strict, spacing, closed, openapi, formats))


def content_hash(*parts: Any) -> str:
    """A key for caches: the same for the same JSON values in the same order."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def json_value(spacing: Spacing = Spacing.COMPACT) -> Node:
    """Any JSON value."""
    return any_json(spacing).value


def json_object(spacing: Spacing = Spacing.COMPACT) -> Node:
    """Any JSON object."""
    return any_json(spacing).object


def lark_string(definition: str) -> Node:
    """A JSON string whose text a grammar in Lark's language derives. Raises: InvalidGrammar, LimitExceeded."""
    with limited():
        return sequence(literal('"'), spelled_tree(read_lark(definition)), literal('"'))


@lru_cache(maxsize=1024)
def _compile_text(text: str, options: Options) -> CompiledGrammar:
    fragment = _fragment(json.loads(text), options)
    return emit(fragment.node, fragment.report)


def _fragment(schema: Any, options: Options) -> Fragment:
    try:
        with limited():
            return Compiler(schema, options).compile()
    except UnsatisfiableSchema:
        if not options.closed:
            raise
        return _fragment(schema, replace(options, closed=False))  # its parts want keys that they don't list
    except RecursionError as error:
        raise LimitExceeded("the schema is nested too deep") from error
