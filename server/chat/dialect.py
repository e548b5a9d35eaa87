"""How THIS model writes a tool call, read off from its own chat template.

The template is rendered with probes (a call with a sentinel name and arguments, two calls, a plain answer) and the
text around the sentinels is the dialect: what comes before the name, between name and arguments, after them, between
two calls, and whether JSON has blanks. A template that shows no tools, or writes calls in a way probing can't read,
gets the generic dialect: tools are listed in the system text and calls are written as Hermes models do
(https://huggingface.co/NousResearch/Hermes-2-Pro-Llama-3-8B), so that tools are never dropped silently.
"""

import json
from dataclasses import dataclass

from grammars import Spacing
from server.chat.messages import Message, Tool, ToolCall
from server.chat.template import ChatTemplate, TemplateError

_NAME, _OTHER_NAME = "trammel_probe_one", "trammel_probe_two"
_ARGUMENTS = {"probe_key": "probe_value", "probe_number": 7}
_CONTENT = "trammel probe content"
_ID = "call00001"
_USER = Message("user", "trammel probe question")


@dataclass(frozen=True, slots=True)
class Dialect:
    """The text of a call is: prefix, the name as a JSON string, middle, the arguments as JSON, suffix."""

    prefix: str
    middle: str
    suffix: str
    separator: str
    """Between two calls."""
    spacing: Spacing
    is_generic: bool = False
    """The template can't show tools: they are put into the system text and calls into the content."""

    @property
    def trigger(self) -> str:
        """The text that begins a call and nothing else: the prefix up to its JSON."""
        return self.prefix.split("{", 1)[0].strip()

    def write(self, calls: tuple[ToolCall, ...]) -> str:
        """Calls as the model would write them; `arguments` must be JSON."""
        texts = [
            self.prefix + _json(call.name, self.spacing) + self.middle
            + _json(json.loads(call.arguments), self.spacing) + self.suffix
            for call in calls
        ]  # fmt: skip
        return self.separator.join(texts)


GENERIC = Dialect(
    prefix='<tool_call>\n{"name": ',
    middle=', "arguments": ',
    suffix="}\n</tool_call>",
    separator="\n",
    spacing=Spacing.SPACED,
    is_generic=True,
)


def derive(template: ChatTemplate) -> Dialect:
    """The dialect of a template; GENERIC if it shows no tools or its calls can't be read off."""
    try:
        return _derive(template) if _shows_tools(template) else GENERIC
    except (TemplateError, _UnreadableError):
        return GENERIC


class _UnreadableError(Exception):
    """The probes' text has no form we know."""


def _shows_tools(template: ChatTemplate) -> bool:
    tool = Tool(_NAME, {"type": "object", "properties": {}}, "A probe.")
    return _NAME in template.render([_USER], [tool])


def _derive(template: ChatTemplate) -> Dialect:
    one = _calls_text(template, _NAME)
    quoted = f'"{_NAME}"'
    if one.count(quoted) != 1:
        raise _UnreadableError
    prefix, rest = one.split(quoted)
    for spacing in (Spacing.COMPACT, Spacing.SPACED):
        arguments = _json(_ARGUMENTS, spacing)
        if rest.count(arguments) == 1:
            break
    else:
        raise _UnreadableError
    middle, suffix = rest.split(arguments)
    if _ID in prefix + middle + suffix:  # an id in every call would be written as a constant
        raise _UnreadableError
    dialect = Dialect(prefix.lstrip(), middle, suffix, "", spacing)
    if not dialect.trigger or not suffix:
        raise _UnreadableError
    return Dialect(dialect.prefix, middle, suffix, _separator(template, dialect), spacing)


def _separator(template: ChatTemplate, dialect: Dialect) -> str:
    two = _calls_text(template, _NAME, _OTHER_NAME).lstrip()
    first = dialect.write((ToolCall(_NAME, json.dumps(_ARGUMENTS)),))
    second = dialect.write((ToolCall(_OTHER_NAME, json.dumps(_ARGUMENTS)),))
    if not (two.startswith(first) and two.endswith(second)):
        raise _UnreadableError
    return two[len(first) : len(two) - len(second)]


def _calls_text(template: ChatTemplate, *names: str) -> str:
    """What an assistant's turn of calls looks like between the generation prompt and the end of the turn."""
    calls = tuple(ToolCall(name, json.dumps(_ARGUMENTS), _ID) for name in names)
    tools = [Tool(name, {"type": "object", "properties": {}}, "A probe.") for name in names]
    begin = template.render([_USER], tools)
    plain = template.render([_USER, Message("assistant", _CONTENT)], tools, add_generation_prompt=False)
    turn = template.render([_USER, Message("assistant", None, calls)], tools, add_generation_prompt=False)
    if _CONTENT not in plain:
        raise _UnreadableError
    header, end = plain.split(_CONTENT, 1)
    begin = _longest_start(turn, begin, header)
    if not (end and turn.endswith(end)):
        raise _UnreadableError
    return turn[len(begin) : len(turn) - len(end)]


def _longest_start(text: str, *starts: str) -> str:
    """The longest of `starts`, or of them without their last white space, that `text` begins with."""
    candidates = [form for start in starts for form in (start, start.rstrip()) if form and text.startswith(form)]
    if not candidates:
        raise _UnreadableError
    return max(candidates, key=len)


def _json(value: object, spacing: Spacing) -> str:
    separators = (", ", ": ") if spacing is Spacing.SPACED else (",", ":")
    return json.dumps(value, ensure_ascii=False, separators=separators)
