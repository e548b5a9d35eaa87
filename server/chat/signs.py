"""Texts as characters and holes: what is the same at every call, and what changes from call to call."""

from server.chat.dialect import Form, Hole
from server.chat.probes import IDS, NAMES, UnreadableError

Signs = list[str | Hole]
"""Characters and holes."""


def read_signs(text: str) -> Signs:
    """The text character by character, with holes for names and ids."""
    signs: Signs = []
    sentinels = {**dict.fromkeys(NAMES, Hole.NAME), **dict.fromkeys(IDS, Hole.ID)}
    while text:
        found = next((sentinel for sentinel in sentinels if text.startswith(sentinel)), None)
        signs.append(sentinels[found] if found else text[0])
        text = text[len(found or text[0]) :]
    return signs


def find_common(forms: list[Signs]) -> tuple[Signs, int | None]:
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
        if not all(len(form) == len(first) for form in forms):
            raise UnreadableError("calls are written in different ways")
        if all(form[position] == sign for form in forms):
            counted.append(sign)
        elif all(isinstance(form[position], str) and str(form[position]).isdigit() for form in forms):
            counted.append(Hole.INDEX)
        else:
            raise UnreadableError("calls are written in different ways")
    return counted, index


def split_shared(between: Signs, last: Signs) -> tuple[Signs, Signs, Signs]:
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


def align_index(begin: Signs, following: Signs) -> tuple[Signs, int | None]:
    """The first call's beginning with an index where later ones have theirs, and that index."""
    aligned, index = list(begin), None
    for back in range(1, min(len(begin), len(following)) + 1):
        sign = begin[-back]
        if following[-back] is Hole.INDEX and isinstance(sign, str) and sign.isdigit():
            aligned[-back], index = Hole.INDEX, int(sign)
        elif following[-back] != sign:
            break
    return aligned, index


def strip_blanks(signs: Signs) -> Signs:
    """Without white space at the end: nothing is won by making the model write it."""
    while signs and isinstance(signs[-1], str) and signs[-1].isspace():
        signs = signs[:-1]
    return signs


def write_form(signs: Signs) -> Form:
    """Neighbouring characters as one text."""
    parts: list[str | Hole] = []
    for sign in signs:
        if isinstance(sign, str) and parts and isinstance(parts[-1], str):
            parts[-1] += sign
        else:
            parts.append(sign)
    return tuple(parts)
