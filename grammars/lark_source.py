"""Grammars that users write in Lark's language, as trees over plain characters.

Read as what they derive: a text belongs to the grammar if some derivation has it, whatever a lexer would cut it into
(lark's `earley` with `dynamic_complete`). Terminals under `%ignore` may stand between any two others, at the start and
at the end. Names, aliases, priorities and the marks `?` and `!` only matter for parse trees and are read over.
Source: https://lark-parser.readthedocs.io/en/stable/grammar.html.
"""

import re
from dataclasses import dataclass

from grammars.errors import GrammarError
from grammars.patterns import PatternError, read_pattern
from grammars.tree import EMPTY, Node, Rule, chars, choice, is_never, literal, pruned, repeat, sequence

_TOKENS = re.compile(
    r"""(?P<space>[ \t\r\f]+|//[^\n]*)
    |(?P<newline>\n)
    |(?P<string>"(?:\\.|[^"\\\n])*"i?)
    |(?P<regex>/(?:\\.|[^/\\\n])+/[imslux]*)
    |(?P<directive>%[a-z]+)
    |(?P<name>[!?]*_*[a-zA-Z][a-zA-Z0-9_]*)
    |(?P<number>\d+)
    |(?P<sign>->|\.\.|[-:|()\[\]?*+~.,{}])""",
    re.VERBOSE,
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v", "b": "\b", "a": "\a", "0": "\0"}
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.)", re.DOTALL)
_MOST_REPEATED = 1_000
_MOST_DEEP = 60
COMMON = r"""
DIGIT: "0".."9"
HEXDIGIT: "a".."f" | "A".."F" | DIGIT
INT: DIGIT+
SIGNED_INT: ["+"|"-"] INT
DECIMAL: INT "." INT? | "." INT
EXPONENT: ("e"|"E") SIGNED_INT
FLOAT: INT EXPONENT | DECIMAL EXPONENT?
SIGNED_FLOAT: ["+"|"-"] FLOAT
NUMBER: FLOAT | INT
SIGNED_NUMBER: ["+"|"-"] NUMBER
ESCAPED_STRING: /"([^"\\\n]|\\[^\n])*"/
LCASE_LETTER: "a".."z"
UCASE_LETTER: "A".."Z"
LETTER: UCASE_LETTER | LCASE_LETTER
WORD: LETTER+
CNAME: ("_"|LETTER) ("_"|LETTER|DIGIT)*
WS_INLINE: (" "|"\t")+
WS: /[ \t\f\r\n]/+
CR: "\r"
LF: "\n"
NEWLINE: (CR? LF)+
"""
"""Lark's `common` terminals, those that are regular without look-around."""


class InvalidGrammar(GrammarError):  # noqa: N818 - the name says what it is
    """A text that is no Lark grammar, or uses what can't be held; the message says which line."""


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    line: int


def read_lark(definition: str) -> Node:
    """The texts that the rule `start` derives. Raises: InvalidGrammar."""
    try:
        return _Grammar(definition).read()
    except RecursionError as error:
        raise InvalidGrammar("the grammar is nested too deep") from error


class _Grammar:
    """Rules and terminals by name."""

    def __init__(self, definition: str) -> None:
        self._statements = _statements(_tokens(definition))
        self._rules: dict[str, Rule] = {}
        self._defined: set[str] = set()
        self._ignored: list[Node] = []
        self.gap: Node = EMPTY
        """What may stand after a terminal."""

    def read(self) -> Node:
        ignores = [tokens for tokens in self._statements if tokens[0].text == "%ignore"]
        if ignores:
            self.gap = Rule("ignored")
        for tokens in self._statements:
            self._state(tokens)
        if isinstance(self.gap, Rule):
            self.gap.define(repeat(choice(*self._ignored)))
        if "start" not in self._defined:
            raise InvalidGrammar("the grammar has no rule 'start'")
        for name in self._rules:
            if name not in self._defined:
                raise InvalidGrammar(f"'{name}' is used but not defined")
        whole = pruned(sequence(self.gap, self._rules["start"]))
        if is_never(whole):
            raise InvalidGrammar("no text can be derived from 'start'")
        return whole

    def rule(self, name: str) -> Rule:
        """The rule of a name, defined or yet to be."""
        return self._rules.setdefault(name, Rule(name))

    def _state(self, tokens: list[_Token]) -> None:
        first = tokens[0]
        if first.text == "%import":
            self._import(tokens)
        elif first.text == "%ignore":
            self._ignored.append(_Expression(self, tokens[1:], first.line, in_rule=False).read())
        elif first.kind == "name":
            self._define(tokens)
        else:
            raise InvalidGrammar(f"line {first.line}: '{first.text}' is not supported here")

    def _define(self, tokens: list[_Token]) -> None:
        name = tokens[0].text.lstrip("?!")
        rest = tokens[1:]
        if len(rest) > 1 and rest[0].text == "." and rest[1].kind == "number":  # a priority
            rest = rest[2:]
        if not rest or rest[0].text != ":":
            raise InvalidGrammar(f"line {tokens[0].line}: ':' is missing after '{name}'")
        if name in self._defined:
            raise InvalidGrammar(f"line {tokens[0].line}: '{name}' is defined twice")
        self._defined.add(name)
        body = _Expression(self, rest[1:], tokens[0].line, in_rule=not _is_terminal(name)).read()
        self.rule(name).define(body)

    def _import(self, tokens: list[_Token]) -> None:
        """`%import common.WS`, with `-> NAME` or not, and `%import common (A, B)`."""
        line = tokens[0].line
        texts = [token.text for token in tokens[1:]]
        if texts[:1] != ["common"]:
            raise InvalidGrammar(f"line {line}: only Lark's 'common' can be imported")
        if texts[1:2] == ["."] and len(texts) in (3, 5):
            pairs = [(texts[2], texts[4] if texts[3:4] == ["->"] else texts[2])]
        else:
            pairs = [(text, text) for text in texts[1:] if text not in ("(", ")", ",")]
        common = {tokens[0].text: tokens for tokens in _statements(_tokens(COMMON))}
        for name, alias in pairs:
            if name not in common:
                raise InvalidGrammar(f"line {line}: common.{name} is not supported")
            self._define_common(name, alias, common)

    def _define_common(self, name: str, alias: str, common: dict[str, list[_Token]]) -> None:
        if alias in self._defined:
            return
        self._define([_Token("name", alias, 0), *common[name][1:]])
        for token in common[name][1:]:
            if token.kind == "name":
                self._define_common(token.text, token.text, common)


class _Expression:
    """The right side of a definition."""

    def __init__(self, grammar: _Grammar, tokens: list[_Token], line: int, *, in_rule: bool) -> None:
        self._grammar = grammar
        self._tokens = tokens
        self._line = line
        self._in_rule = in_rule
        self._place = 0
        self._depth = 0

    def read(self) -> Node:
        node = self._alternatives()
        if self._place < len(self._tokens):
            raise self._error(f"'{self._tokens[self._place].text}' stands where it can't")
        return node

    def _alternatives(self) -> Node:
        self._depth += 1
        if self._depth > _MOST_DEEP:
            raise self._error("brackets nest too deep")
        options = [self._sequence()]
        while self._takes("|"):
            options.append(self._sequence())
        self._depth -= 1
        return choice(*options)

    def _sequence(self) -> Node:
        items: list[Node] = []
        while (token := self._next()) is not None and token.text not in ("|", ")", "]"):
            if self._takes("->"):
                self._take()  # an alias
                break
            items.append(self._repeated())
        return sequence(*items)

    def _repeated(self) -> Node:
        item = self._atom()
        if self._takes("?"):
            return repeat(item, 0, 1)
        if self._takes("*"):
            return repeat(item)
        if self._takes("+"):
            return repeat(item, 1)
        if not self._takes("~"):
            return item
        low = self._number()
        high = self._number() if self._takes("..") else low
        if low > high:
            raise self._error(f"{low}..{high} is no range")
        return repeat(item, low, high)

    def _atom(self) -> Node:
        token = self._take()
        match token.kind:
            case "string":
                return self._terminal(self._string(token))
            case "regex":
                return self._terminal(self._regex(token))
            case "name" if (following := self._next()) is not None and following.text == "{":
                raise self._error("templates are not supported")
            case "name":
                name = token.text.lstrip("?!")
                rule = self._grammar.rule(name)
                if self._in_rule:
                    return self._terminal(rule) if _is_terminal(name) else rule
                if not _is_terminal(name):
                    raise self._error(f"a terminal can't use the rule '{name}'")
                return rule
        if token.text not in ("(", "["):
            raise self._error(f"'{token.text}' stands where it can't")
        inner = self._alternatives()
        if not self._takes(")" if token.text == "(" else "]"):
            raise self._error("a bracket is not closed")
        return inner if token.text == "(" else repeat(inner, 0, 1)

    def _terminal(self, node: Node) -> Node:
        return sequence(node, self._grammar.gap) if self._in_rule else node

    def _string(self, token: _Token) -> Node:
        text = _unescaped(token.text.rstrip("i")[1:-1])
        if self._takes(".."):
            end = _unescaped(self._take().text[1:-1])
            if len(text) != 1 or len(end) != 1 or text > end:
                raise self._error(f'{token.text}.."{end}" is no range of characters')
            return chars((ord(text), ord(end)))
        if not text:
            raise self._error('"" is no terminal')
        if token.text.endswith("i"):
            return sequence(
                *(chars(c.lower() + c.upper()) if len(c.lower() + c.upper()) == 2 else chars(c) for c in text)
            )
        return literal(text)

    def _regex(self, token: _Token) -> Node:
        body, _, flags = token.text[1:].rpartition("/")
        if flags:
            raise self._error(f"the flags '{flags}' of {token.text} are not supported")
        try:
            conditions = read_pattern(f"^(?:{body.replace(chr(92) + '/', '/')})$")
        except PatternError as error:
            raise self._error(f"the pattern {token.text} can't be held: {error}") from error
        if len(conditions) != 1 or len(conditions[0].accept) != 1 or conditions[0].reject:
            raise self._error(f"the pattern {token.text} can't be held: it looks ahead")
        return conditions[0].accept[0]

    def _number(self) -> int:
        token = self._take()
        if token.kind != "number" or int(token.text) > _MOST_REPEATED:
            raise self._error(f"a number up to {_MOST_REPEATED} is needed after '~', not '{token.text}'")
        return int(token.text)

    def _next(self) -> _Token | None:
        return self._tokens[self._place] if self._place < len(self._tokens) else None

    def _take(self) -> _Token:
        token = self._next()
        if token is None:
            raise self._error("it ends too early")
        self._place += 1
        return token

    def _takes(self, sign: str) -> bool:
        token = self._next()
        if token is None or token.text != sign or token.kind in ("string", "regex"):
            return False
        self._place += 1
        return True

    def _error(self, message: str) -> InvalidGrammar:
        place = min(self._place, len(self._tokens) - 1)
        line = self._tokens[place].line if self._tokens else self._line
        return InvalidGrammar(f"line {line or self._line}: {message}")


def _tokens(definition: str) -> list[_Token]:
    tokens: list[_Token] = []
    place, line = 0, 1
    while place < len(definition):
        found = _TOKENS.match(definition, place)
        if found is None or found.lastgroup is None:
            raise InvalidGrammar(f"line {line}: {definition[place]!r} can't be read")
        if found.lastgroup != "space":
            tokens.append(_Token(found.lastgroup, found[0], line))
        line += found[0].count("\n")
        place = found.end()
    return tokens


def _statements(tokens: list[_Token]) -> list[list[_Token]]:
    """Definitions and directives: each ends with its line, unless brackets are open or the next begins with `|`."""
    statements: list[list[_Token]] = [[]]
    depth = 0
    for index, token in enumerate(tokens):
        if token.kind != "newline":
            statements[-1].append(token)
            if token.kind == "sign":
                depth += (token.text in ("(", "[")) - (token.text in (")", "]"))
            continue
        following = next((one for one in tokens[index:] if one.kind != "newline"), None)
        if depth <= 0 and statements[-1] and not (following and following.text == "|" and following.kind == "sign"):
            statements.append([])
            depth = 0
    return [statement for statement in statements if statement]


def _is_terminal(name: str) -> bool:
    return name.lstrip("_")[:1].isupper()


def _either_case(character: str) -> Node:
    """Characters whose other case is several (ß) have none here."""
    both = character.lower() + character.upper()
    return chars(both if len(both) == 2 else character)


def _unescaped(text: str) -> str:
    def character(found: re.Match[str]) -> str:
        code = found[1]
        if code[0] in "xuU" and len(code) > 1:
            return chr(int(code[1:], 16))
        return _ESCAPES.get(code, code)

    return _ESCAPE.sub(character, text)
