"""Reads a dialect off a chat template, by rendering probes and looking at what stands around their sentinels.

Two calls tell what comes before the first, between them and after the last; three tell an index from a constant; ids
and names are sentinels too. Arguments are looked for as one JSON object first; if there is none, keys and values are
looked for one by one (`parameter_probe`). What can't be read off is no dialect: the caller falls back on a named one or
on the generic one.
"""

from dataclasses import replace

from grammars import Spacing
from server.chat.arguments import Arguments, JsonArguments, write_json
from server.chat.dialect import Dialect
from server.chat.parameter_probe import derive_parameters
from server.chat.probes import NAMES, TEXTS, Turns, UnreadableError
from server.chat.signs import align_index, find_common, read_signs, split_shared, strip_blanks, write_form
from server.chat.template import ChatTemplate


def derive_calls(template: ChatTemplate) -> Dialect:
    """Raises: UnreadableError, TemplateError."""
    turns = Turns(template)
    texts = [turns.calls(count, TEXTS) for count in turns.counts]
    for spacing in (Spacing.COMPACT, Spacing.SPACED):
        written = write_json(TEXTS, spacing)
        if all(text.count(written) == count for text, count in zip(texts, turns.counts, strict=True)):
            return _assemble(texts, written, JsonArguments(spacing))
    written, parameters = derive_parameters(turns, texts)
    return _assemble(texts, written, parameters)


def _assemble(texts: list[str], written: str, kind: Arguments) -> Dialect:
    """`texts`: the turns of one, two and three calls, or of one; `written`: what stands for their arguments."""
    count = len(texts)
    pieces = texts[-1].split(written)
    if len(pieces) != count + 1 or any(name not in piece for name, piece in zip(NAMES, pieces[:-1], strict=False)):
        raise UnreadableError("names and arguments do not take turns")
    before, after = zip(*(piece.split(name, 1) for name, piece in zip(NAMES, pieces[:-1], strict=False)), strict=True)
    quoted = all(b.endswith('"') and a.startswith('"') for b, a in zip(before, after, strict=True))
    if quoted:
        before, after = tuple(b[:-1] for b in before), tuple(a[1:] for a in after)
    middle, index = find_common([read_signs(text) for text in after])
    begin, last = read_signs(before[0].lstrip()), read_signs(pieces[-1])
    if count == 1:
        suffix, following, end = read_signs(pieces[-1].rstrip()), None, read_signs("")
    else:
        between, later = find_common([read_signs(text) for text in before[1:]])
        suffix, following, end = split_shared(between, last)
        begin, earlier = align_index(begin, following)
        index = index if later is None else earlier
    dialect = Dialect(
        begin=write_form(begin),
        middle=write_form(middle),
        suffix=write_form(suffix),
        next=None if following is None else write_form(following),
        end=write_form(strip_blanks(end)),
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
