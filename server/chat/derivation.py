"""Reads a dialect off a chat template, by rendering probes and looking at what stands around their sentinels.

Two calls tell what comes before the first, between them and after the last; three tell an index from a constant; ids
and names are sentinels too. Arguments are looked for as one JSON object first; if there is none, keys and values are
looked for one by one, once as strings, once as numbers and once without any. What can't be read off is no dialect:
the caller falls back on a named one or on the generic one.
"""

import json
import re
from dataclasses import dataclass, replace
from typing import Any

from grammars import Spacing
from server.chat.arguments import Arguments, JsonArguments, Parameters, write_json
from server.chat.dialect import Dialect, Form, Hole
from server.chat.messages import Message, Tool, ToolCall
from server.chat.template import ChatTemplate, TemplateError

_NAMES = ("probe_alpha", "probe_beta", "probe_gamma")
_IDS = ("idAlpha01", "idBeta002", "idGamma03")
_KEYS = ("key_alpha", "key_beta")
_TEXTS: dict[str, Any] = dict(zip(_KEYS, ("valueAlpha", "valueBeta"), strict=True))
_NUMBERS: dict[str, Any] = dict(zip(_KEYS, (73501, 73502), strict=True))
_CONTENT = "trammel probe content"
_USER = Message("user", "trammel probe question")
TOOLS = tuple(
    Tool(
        name,
        {"type": "object", "properties": {key: {"type": "string", "description": "A key."} for key in _KEYS}},
        "A probe.",
    )
    for name in _NAMES
)

_TURN_END = re.compile(
    r"<[^<>]*(?:eom|eot|eos|end.?of|im_end|[|]calls?[|]|assistant|tool_response|SPECIAL_12)[^<>]*>\s*$", re.IGNORECASE
)
"""Tokens that end a turn: the model writes them, but no grammar."""
Signs = list[str | Hole]
"""Characters and holes."""


class UnreadableError(Exception):
    """The probes' text has no form we know."""


def shows_tools(template: ChatTemplate) -> bool:
    """Whether the template lists tools. Raises: TemplateError."""
    return all(tool.name in template.render([_USER], TOOLS) for tool in TOOLS)


def derive_calls(template: ChatTemplate) -> Dialect:
    """Raises: UnreadableError, TemplateError."""
    turns = _Turns(template)
    texts = [turns.calls(count, _TEXTS) for count in turns.counts]
    for spacing in (Spacing.COMPACT, Spacing.SPACED):
        written = write_json(_TEXTS, spacing)
        if all(text.count(written) == count for text, count in zip(texts, turns.counts, strict=True)):
            return _assemble(texts, written, JsonArguments(spacing))
    return _derive_parameters(turns, texts)


class _Turns:
    """What an assistant's turn of calls looks like, between the generation prompt and the end of the turn."""

    def __init__(self, template: ChatTemplate) -> None:
        self._template = template
        self._begin = template.render([_USER], TOOLS)
        plain = template.render([_USER, Message("assistant", _CONTENT)], TOOLS, add_generation_prompt=False)
        if plain.count(_CONTENT) != 1:
            raise UnreadableError("the assistant's text is not shown once")
        self._header, self._end = plain.split(_CONTENT)
        self.counts: tuple[int, ...] = (1, 2, 3)
        try:
            self.calls(3, _TEXTS)
        except (TemplateError, UnreadableError):  # some refuse more than one call in a turn
            self.counts = (1,)

    def calls(self, count: int, arguments: dict[str, Any]) -> str:
        calls = tuple(
            ToolCall(name, json.dumps(arguments), call_id)
            for name, call_id in zip(_NAMES[:count], _IDS[:count], strict=True)
        )
        turn = self._template.render([_USER, Message("assistant", None, calls)], TOOLS, add_generation_prompt=False)
        common = max(_common_start(turn, start) for start in (self._begin, self._header))
        text = turn[len(_before_tag(turn[:common])) :]
        if any(text.count(name) == 0 for name in _NAMES[:count]):
            raise UnreadableError("a call is not shown")
        same = _common_end(text, self._end)
        text = text[: len(text) - same] + (text[len(text) - same :].partition(">")[0] + ">") * (
            text[: len(text) - same].rfind("<") > text[: len(text) - same].rfind(">")
        )
        while end := _TURN_END.search(text):
            text = text[: end.start()]
        return text


def _before_tag(text: str) -> str:
    """The text without a tag that has begun at its end and is not closed."""
    return text[: text.rfind("<")] if text.rfind("<") > text.rfind(">") else text


def _assemble(texts: list[str], written: str, kind: Arguments) -> Dialect:
    """`texts`: the turns of one, two and three calls, or of one; `written`: what stands for their arguments."""
    count = len(texts)
    pieces = texts[-1].split(written)
    if len(pieces) != count + 1 or any(name not in piece for name, piece in zip(_NAMES, pieces[:-1], strict=False)):
        raise UnreadableError("names and arguments do not take turns")
    before, after = zip(*(piece.split(name, 1) for name, piece in zip(_NAMES, pieces[:-1], strict=False)), strict=True)
    quoted = all(b.endswith('"') and a.startswith('"') for b, a in zip(before, after, strict=True))
    if quoted:
        before, after = tuple(b[:-1] for b in before), tuple(a[1:] for a in after)
    middle, index = _same([_signs(text) for text in after])
    begin, last = _signs(before[0].lstrip()), _signs(pieces[-1])
    if count == 1:
        suffix, following, end = _signs(pieces[-1].rstrip()), None, _signs("")
    else:
        between, later = _same([_signs(text) for text in before[1:]])
        suffix, following, end = _shared(between, last)
        begin, earlier = _aligned(begin, following)
        index = index if later is None else earlier
    dialect = Dialect(
        begin=_form(begin),
        middle=_form(middle),
        suffix=_form(suffix),
        next=None if following is None else _form(following),
        end=_form(_stripped(end)),
        arguments=kind,
        has_quoted_name=quoted,
        first_index=index or 0,
    )
    _check(dialect)
    return replace(dialect, is_first=dialect.trigger.startswith("{"))


def _check(dialect: Dialect) -> None:
    if not any(sign in dialect.trigger for sign in "<[{"):
        raise UnreadableError("nothing marks the beginning of a call")
    if not dialect.has_quoted_name and not all(dialect.after_name):
        raise UnreadableError("nothing ends a name")
    if dialect.next == ():
        raise UnreadableError("nothing begins a further call")


def _signs(text: str) -> Signs:
    """The text character by character, with holes for names and ids."""
    signs: Signs = []
    sentinels = {**dict.fromkeys(_NAMES, Hole.NAME), **dict.fromkeys(_IDS, Hole.ID)}
    while text:
        found = next((sentinel for sentinel in sentinels if text.startswith(sentinel)), None)
        signs.append(sentinels[found] if found else text[0])
        text = text[len(found or text[0]) :]
    return signs


def _same(forms: list[Signs]) -> tuple[Signs, int | None]:
    """What is the same at every call, with a hole where digits count up, and the first of those digits."""
    first, index = list(forms[0]), None
    for signs in zip(*forms, strict=False):
        digits = [sign for sign in signs if isinstance(sign, str) and sign.isdigit()]
        if len(set(signs)) > 1 and len(digits) == len(signs):
            index = int(digits[0])
            if [int(digit) for digit in digits] != list(range(index, index + len(signs))):
                raise UnreadableError("digits differ from call to call, but do not count")
    counted: Signs = []
    for position, sign in enumerate(first):
        same = all(len(form) == len(first) for form in forms)
        if not same:
            raise UnreadableError("calls are written in different ways")
        if all(form[position] == sign for form in forms):
            counted.append(sign)
        elif all(isinstance(form[position], str) and str(form[position]).isdigit() for form in forms):
            counted.append(Hole.INDEX)
        else:
            raise UnreadableError("calls are written in different ways")
    return counted, index


def _shared(between: Signs, last: Signs) -> tuple[Signs, Signs, Signs]:
    """What is between two calls and what is after the last: their common beginning, and the rest of each."""
    length = 0
    while length < min(len(between), len(last)) and between[length] == last[length]:
        length += 1
    for back in range(1, length + 1):
        if between[length - back] in (">", Hole.ID, Hole.INDEX):
            break
        if between[length - back] == "<":  # both go on with a tag, but not with the same one
            length -= back
            break
    return between[:length], between[length:], last[length:]


def _aligned(begin: Signs, following: Signs) -> tuple[Signs, int | None]:
    """The first call's beginning with an index where later ones have theirs, and that index."""
    aligned, index = list(begin), None
    for back in range(1, min(len(begin), len(following)) + 1):
        sign = begin[-back]
        if following[-back] is Hole.INDEX and isinstance(sign, str) and sign.isdigit():
            aligned[-back], index = Hole.INDEX, int(sign)
        elif following[-back] != sign:
            break
    return aligned, index


def _stripped(signs: Signs) -> Signs:
    """Without white space at the end: nothing is won by making the model write it."""
    while signs and isinstance(signs[-1], str) and signs[-1].isspace():
        signs = signs[:-1]
    return signs


def _form(signs: Signs) -> Form:
    parts: list[str | Hole] = []
    for sign in signs:
        if isinstance(sign, str) and parts and isinstance(parts[-1], str):
            parts[-1] += sign
        else:
            parts.append(sign)
    return tuple(parts)


def _derive_parameters(turns: _Turns, texts: list[str]) -> Dialect:
    """Keys and values one by one. The turn without any parameter tells what belongs to them."""
    numbers = turns.calls(1, _NUMBERS)
    nothing = turns.calls(1, {})
    lists = turns.calls(1, {key: [value] for key, value in _NUMBERS.items()})
    string = _Pieces.of(texts[0], _TEXTS)
    number = _Pieces.of(numbers, {key: str(value) for key, value in _NUMBERS.items()})
    after_name = nothing.split(_NAMES[0], 1)[1]
    if _Pieces.of(lists, {key: f"[{value}]" for key, value in _NUMBERS.items()}) != number:
        raise UnreadableError("each type of value is written in a way of its own")
    if string.middle[-1:] in ("'", '"') and string.close.startswith(string.middle[-1]):
        kept = number, number, False  # quoted strings are JSON or near it
    else:
        kept = string, number, True
    for length in range(_common_end(after_name, number.after), 0, -1):
        end = after_name[-length:]
        parameters = _parameters(after_name[:-length], end, *kept)
        if parameters is not None:
            written = _written(texts[0], parameters, after_name[:-length], end)
            return _assemble(texts, written, parameters)
    raise UnreadableError("parameters can't be told from what is around them")


@dataclass(frozen=True, slots=True)
class _Pieces:
    """The texts around two keys and their values."""

    head: str
    middle: str
    between: str
    after: str

    @property
    def close(self) -> str:
        return self.between

    @staticmethod
    def of(text: str, values: dict[str, str]) -> "_Pieces":
        rest, pieces = text.split(_NAMES[0], 1)[1], []
        for sentinel in (_KEYS[0], values[_KEYS[0]], _KEYS[1], values[_KEYS[1]]):
            if rest.count(sentinel) != 1:
                raise UnreadableError("a parameter is not shown as its key, then its value")
            piece, rest = rest.split(sentinel)
            pieces.append(piece)
        if pieces[1] != pieces[3]:
            raise UnreadableError("parameters are written in different ways")
        return _Pieces(pieces[0], pieces[1], pieces[2], rest)


def _parameters(middle: str, end: str, string: _Pieces, number: _Pieces, bare: bool) -> Parameters | None:
    """Parameters that stand between `middle` and `end`; None if they don't fit."""
    if not all(p.head.startswith(middle) and p.after.endswith(end) for p in (string, number)):
        return None
    opening = number.head[len(middle) :]
    if opening.count("<") < opening.count(">") or not _is_balanced(end):
        return None
    closes = [p.after[: len(p.after) - len(end)] for p in (string, number)]
    separators = [
        p.between[len(close) : len(p.between) - len(opening)]
        for p, close in zip((string, number), closes, strict=True)
        if p.between.startswith(close) and p.between.endswith(opening) and len(p.between) >= len(close + opening)
    ]
    if len(separators) != 2 or separators[0] != separators[1] or string.head != number.head or not number.middle:
        return None
    if bare and (len(closes[0]) < 2 or closes[0][0] in closes[0][1:]):
        return None
    return Parameters(opening, separators[0], number.middle, closes[1], string.middle, closes[0], bare)


def _is_balanced(text: str) -> bool:
    """It begins inside no tag."""
    return text.find("<") <= text.find(">") and (text.find(">") < 0 or text.find("<") >= 0)


def _written(text: str, parameters: Parameters, middle: str, end: str) -> str:
    rest = text.split(_NAMES[0], 1)[1]
    written = rest[len(middle) : len(rest) - len(end)]
    quoted = parameters.write(_TEXTS, TOOLS[0].parameters)
    if parameters.has_bare_text and written != quoted:
        raise UnreadableError("parameters are not written as they seemed to be")
    return written


def _common_end(one: str, other: str) -> int:
    return _common_start(one[::-1], other[::-1])


def _common_start(one: str, other: str) -> int:
    return next(
        (place for place, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]),
        min(len(one), len(other)),
    )
