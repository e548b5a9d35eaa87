"""Probes of a chat template: turns of calls with sentinels for names, ids and arguments, as it writes them."""

import json
import re
from typing import Any

from server.chat.messages import Message, Tool, ToolCall
from server.chat.template import ChatTemplate, TemplateError

NAMES = ("probe_alpha", "probe_beta", "probe_gamma")
IDS = ("idAlpha01", "idBeta002", "idGamma03")
KEYS = ("key_alpha", "key_beta")
TEXTS: dict[str, Any] = dict(zip(KEYS, ("valueAlpha", "valueBeta"), strict=True))
NUMBERS: dict[str, Any] = dict(zip(KEYS, (73501, 73502), strict=True))
_CONTENT = "trammel probe content"
_USER = Message("user", "trammel probe question")
TOOLS = tuple(
    Tool(
        name,
        {"type": "object", "properties": {key: {"type": "string", "description": "A key."} for key in KEYS}},
        "A probe.",
    )
    for name in NAMES
)

_TURN_END = re.compile(
    r"<[^<>]*(?:eom|eot|eos|end.?of|im_end|[|]calls?[|]|assistant|tool_response|SPECIAL_12)[^<>]*>\s*$", re.IGNORECASE
)
"""Tokens that end a turn: the model writes them, but no grammar."""


class UnreadableError(Exception):
    """The probes' text has no form we know."""


def shows_tools(template: ChatTemplate) -> bool:
    """Whether the template lists tools. Raises: TemplateError."""
    return all(tool.name in template.render([_USER], TOOLS) for tool in TOOLS)


class Turns:
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
            self.calls(3, TEXTS)
        except (TemplateError, UnreadableError):  # some refuse more than one call in a turn
            self.counts = (1,)

    def calls(self, count: int, arguments: dict[str, Any]) -> str:
        calls = tuple(
            ToolCall(name, json.dumps(arguments), call_id)
            for name, call_id in zip(NAMES[:count], IDS[:count], strict=True)
        )
        turn = self._template.render([_USER, Message("assistant", None, calls)], TOOLS, add_generation_prompt=False)
        common = max(common_start(turn, start) for start in (self._begin, self._header))
        text = turn[len(_before_tag(turn[:common])) :]
        if any(text.count(name) == 0 for name in NAMES[:count]):
            raise UnreadableError("a call is not shown")
        same = common_end(text, self._end)
        text = text[: len(text) - same] + (text[len(text) - same :].partition(">")[0] + ">") * (
            text[: len(text) - same].rfind("<") > text[: len(text) - same].rfind(">")
        )
        while end := _TURN_END.search(text):
            text = text[: end.start()]
        return text


def _before_tag(text: str) -> str:
    """The text without a tag that has begun at its end and is not closed."""
    return text[: text.rfind("<")] if text.rfind("<") > text.rfind(">") else text


def common_end(one: str, other: str) -> int:
    return common_start(one[::-1], other[::-1])


def common_start(one: str, other: str) -> int:
    return next(
        (place for place, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]),
        min(len(one), len(other)),
    )
