"""The compilers compared, each from a schema to a grammar that llguidance runs."""

import json
from collections.abc import Callable
from typing import Any

import llama_cpp
from llguidance import LLMatcher, LLTokenizer
from llguidance.gbnf_to_lark import any_to_lark
from llguidance.llamacpp import lltokenizer_from_vocab

import grammars
from grammars.emit import emit

Compile = Callable[[Any], str]


def load_tokenizer(vocabulary: str) -> LLTokenizer:
    """The mask tokenizer of a vocabulary file (GGUF)."""
    llama_cpp.llama_backend_init()
    quiet = llama_cpp.llama_log_callback(lambda *_: None)
    llama_cpp.llama_log_set(quiet, None)
    parameters = llama_cpp.llama_model_default_params()
    parameters.vocab_only = True
    model = llama_cpp.llama_model_load_from_file(vocabulary.encode(), parameters)
    if not model:
        raise FileNotFoundError(vocabulary)
    load_tokenizer.kept = (model, quiet)  # type: ignore[attr-defined]
    return lltokenizer_from_vocab(llama_cpp.llama_model_get_vocab(model))


def ours(schema: Any) -> str:
    fragment = grammars.compile_schema(schema, spacing=grammars.Spacing.SPACED)
    return emit(fragment.node, fragment.report).lark


def by_specification(schema: Any) -> str:
    """Ours as the test suite wants it: every spelling of a value, and `format` as an annotation."""
    fragment = grammars.compile_schema(schema, spacing=grammars.Spacing.FLEXIBLE, formats=False)
    return emit(fragment.node, fragment.report).lark


def ours_gbnf(schema: Any) -> str:
    fragment = grammars.compile_schema(schema, spacing=grammars.Spacing.SPACED)
    return str(any_to_lark(emit(fragment.node, fragment.report).gbnf))


def theirs(schema: Any) -> str:
    return str(LLMatcher.grammar_from_json_schema(schema if isinstance(schema, dict) else json.dumps(schema)))


def llama(schema: Any) -> str:
    from llama_cpp.llama_grammar import json_schema_to_gbnf

    return str(any_to_lark(json_schema_to_gbnf(json.dumps(schema))))


ENGINES: dict[str, Compile] = {
    "trammel": ours,
    "llguidance": theirs,
    "llama.cpp converter": llama,
    "trammel GBNF": ours_gbnf,
}
