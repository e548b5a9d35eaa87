"""Reads keys and values written one by one off a template: as strings, as numbers, as lists, and without any."""

from dataclasses import dataclass

from server.chat.arguments import Parameters
from server.chat.probes import KEYS, NAMES, NUMBERS, TEXTS, TOOLS, Turns, UnreadableError, common_end


def derive_parameters(turns: Turns, texts: list[str]) -> tuple[str, Parameters]:
    """What stands for the arguments of each call, and how it is written. Raises: UnreadableError, TemplateError.

    `texts`: the turns of one, two and three calls. The turn without any parameter tells what belongs to them.
    """
    numbers = turns.calls(1, NUMBERS)
    nothing = turns.calls(1, {})
    lists = turns.calls(1, {key: [value] for key, value in NUMBERS.items()})
    string = _Pieces.of(texts[0], TEXTS)
    number = _Pieces.of(numbers, {key: str(value) for key, value in NUMBERS.items()})
    after_name = nothing.split(NAMES[0], 1)[1]
    if _Pieces.of(lists, {key: f"[{value}]" for key, value in NUMBERS.items()}) != number:
        raise UnreadableError("each type of value is written in a way of its own")
    if string.middle[-1:] in ("'", '"') and string.close.startswith(string.middle[-1]):
        kept = number, number, False  # quoted strings are JSON or near it
    else:
        kept = string, number, True
    for length in range(common_end(after_name, number.after), 0, -1):
        end = after_name[-length:]
        parameters = _parameters(after_name[:-length], end, *kept)
        if parameters is not None:
            written = _written(texts[0], parameters, after_name[:-length], end)
            return written, parameters
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
        rest, pieces = text.split(NAMES[0], 1)[1], []
        for sentinel in (KEYS[0], values[KEYS[0]], KEYS[1], values[KEYS[1]]):
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
    rest = text.split(NAMES[0], 1)[1]
    written = rest[len(middle) : len(rest) - len(end)]
    quoted = parameters.write(TEXTS, TOOLS[0].parameters)
    if parameters.has_bare_text and written != quoted:
        raise UnreadableError("parameters are not written as they seemed to be")
    return written
