"""Ways to run a grammar: our own random walk over the tree, llguidance, and llama.cpp's grammar sampler."""

import ctypes
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import llama_cpp.llama_cpp as llama
import pytest
from jsonschema import Draft202012Validator
from llguidance import LLMatcher

import grammars
from grammars import CompiledGrammar, Node
from grammars.strings import except_node
from grammars.tree import CharSet, Choice, Except, Lexeme, Literal, Meet, Repeat, Rule, Sequence
from server.engine import llama_log
from server.engine.vocabulary import Vocabulary

MODEL = Path(__file__).parents[2] / "models" / "trammel-tiny.gguf"


@pytest.fixture(scope="session")
def vocabulary() -> Iterator[Vocabulary]:
    """The default model's vocabulary: bytes, words and special tokens."""
    llama.llama_backend_init()
    llama_log.install()
    params = llama.llama_model_default_params()
    params.vocab_only = True
    model = llama.llama_model_load_from_file(str(MODEL).encode(), params)
    yield Vocabulary(model)
    llama.llama_model_free(model)


@pytest.fixture(scope="session")
def lark_admits(vocabulary: Vocabulary) -> Callable[[CompiledGrammar, str], bool]:
    """Whether llguidance, running the Lark text, takes exactly this text."""

    def admits(grammar: CompiledGrammar, text: str) -> bool:
        matcher = LLMatcher(vocabulary.mask_tokenizer, grammar.lark, log_level=0)
        assert not matcher.is_error(), matcher.get_error()
        tokens = list(vocabulary.tokenize(text, parse_special=False))
        return matcher.try_consume_tokens(tokens) == len(tokens) and matcher.is_accepting()

    return admits


@pytest.fixture(scope="session")
def gbnf_admits(vocabulary: Vocabulary) -> Callable[[CompiledGrammar, str], bool]:
    """Whether llama.cpp, running the GBNF text, takes exactly this text."""

    def admits(grammar: CompiledGrammar, text: str) -> bool:
        sampler = llama.llama_sampler_init_grammar(vocabulary._vocab, grammar.gbnf.encode(), b"root")
        assert sampler, "llama.cpp can't read the grammar"
        try:
            tokens = [*vocabulary.tokenize(text, parse_special=False), vocabulary.eos]
            return all(_accepts(sampler, token) for token in tokens)
        finally:
            llama.llama_sampler_free(sampler)

    return admits


def _accepts(sampler: object, token: int) -> bool:
    data = (llama.llama_token_data * 1)(llama.llama_token_data(token, 1.0, 0.0))
    candidates = llama.llama_token_data_array(data, 1, -1, False)
    llama.llama_sampler_apply(sampler, ctypes.byref(candidates))
    if data[0].logit == float("-inf"):
        return False
    if token != llama.LLAMA_TOKEN_NULL:
        llama.llama_sampler_accept(sampler, token)
    return True


class RandomWalk:
    """Writes random texts of a grammar, straight from its tree; ever less willing to repeat or to go deeper."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def write(self, node: Node, depth: int = 0) -> str:
        match node:
            case Literal(text):
                return text
            case CharSet(ranges):
                low, high = self._random.choice(ranges)
                return chr(self._random.randint(low, min(high, low + 200)))
            case Sequence(items):
                return "".join(self.write(item, depth) for item in items)
            case Choice(options):
                return self.write(self._option(options, depth), depth + 1)
            case Repeat(item, low, high):
                extra = 0
                while (high is None or low + extra < high) and self._random.random() < 0.6 / (1 + depth / 8):
                    extra += 1
                return "".join(self.write(item, depth) for _ in range(low + extra))
            case Lexeme(body):
                return self.write(body, depth)
            case Meet(_, _, plain):
                return self.write(plain.node, depth + 1)
            case Except(words, _, suffix):
                return self.write(except_node(words), depth + 1) + suffix
            case Rule():
                return self.write(node.body, depth + 1)

    def _option(self, options: tuple[Node, ...], depth: int) -> Node:
        if depth < 30:
            return self._random.choice(options)
        return min(options, key=lambda option: height(option, 12))


def height(node: Node, limit: int) -> int:
    """Levels down to the leaves along the shortest way through every choice."""
    if limit == 0:
        return 1000
    match node:
        case Literal() | CharSet():
            return 0
        case Sequence(items):
            return 1 + max((height(item, limit - 1) for item in items), default=0)
        case Choice(options):
            return 1 + min(height(option, limit - 1) for option in options)
        case Repeat(item, low, _):
            return 1 + height(item, limit - 1) if low else 0
        case Lexeme(body):
            return height(body, limit)
        case Meet(_, _, plain):
            return height(plain.node, limit)
        case Except():
            return 1
        case Rule():
            return 1 + height(node.body, limit - 1)


def assert_what_is_written_validates(schema: Any, seed: int, *, closed: bool = False) -> None:
    """A random text of a schema's grammar is valid by it. A schema may be refused: this is about what is admitted."""
    try:
        node = grammars.compile_schema(schema, closed=closed).node
    except grammars.GrammarError:
        return
    try:
        text = RandomWalk(seed).write(node)
    except RecursionError:
        return
    # to Python's re, `$` also stands before a newline at the end; to ECMA-262 and to us it doesn't
    schema = json.loads(json.dumps(schema).replace('b$"', 'b\\\\Z"'))
    validator = Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
    validator.validate(json.loads(text))
