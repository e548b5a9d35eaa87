"""Reads off a template what stands around a thought and before an answer, by rendering both."""

import os
import re
from dataclasses import dataclass
from typing import Any

from server.chat.dialect import Reasoning
from server.chat.messages import Message
from server.chat.template import ChatTemplate, TemplateError

_CONTENT = "trammel probe content"
_THOUGHT = "trammel probe thought"
_USER = Message("user", "trammel probe question")
_USUAL_MARKS = (
    Reasoning("<think>", "</think>"),
    Reasoning("[THINK]", "[/THINK]"),
    Reasoning("<|START_THINKING|>", "<|END_THINKING|>"),
)
_TAGS = re.compile(r"(?:<[^<>]+>)+")


def derive_reasoning(template: ChatTemplate) -> Reasoning | None:
    """The marks around `reasoning_content`, or around `reasoning`; None if the template shows neither."""
    for field in ("reasoning_content", "reasoning", "thinking"):
        message = _Thinking("assistant", _CONTENT, field=field)
        try:
            text = template.render([_USER, message], add_generation_prompt=False)
        except TemplateError:
            continue
        if text.count(_THOUGHT) != 1 or _CONTENT not in text.split(_THOUGHT)[1]:
            continue
        before, rest = text.split(_THOUGHT)
        between = rest.split(_CONTENT)[0].strip()
        marks = Reasoning(_last_tag(before), _first_tag(between))
        text_begin = derive_text_begin(template, marks)
        if text_begin and between.endswith(text_begin) and between != text_begin:  # a new turn after the thought
            marks = Reasoning(marks.begin, between.removesuffix(text_begin).strip())
        if (
            marks.begin
            and marks.end
            and any(word in f"{marks.begin}{marks.end}".lower() for word in ("think", "thought", "reason"))
        ):
            return marks
    return next((marks for marks in _USUAL_MARKS if marks.end in template.source), None)


def derive_text_begin(template: ChatTemplate, reasoning: Reasoning | None) -> str:
    """The marks between the generation prompt and an answer's text (Cohere's `<|START_TEXT|>`); mostly none."""
    try:
        begin = template.render([_USER])
        plain = template.render([_USER, Message("assistant", _CONTENT)], add_generation_prompt=False)
    except TemplateError:
        return ""
    if plain.count(_CONTENT) != 1:
        return ""
    common = os.path.commonprefix((begin, plain))  # noqa: RUF071 - of texts, not of paths
    if common.rfind("<") > common.rfind(">"):
        common = common[: common.rfind("<")]
    between = plain[len(common) :].split(_CONTENT)[0]
    if reasoning is not None:
        between = between.rpartition(reasoning.end)[2]
    return between.strip() if _TAGS.fullmatch(between.strip()) else ""


@dataclass(frozen=True)
class _Thinking(Message):
    field: str = "reasoning_content"

    def as_template_value(self) -> dict[str, Any]:
        return {"role": self.role, "content": self.content, self.field: _THOUGHT}


def _last_tag(text: str) -> str:
    text = text.rstrip()
    start = max(text.rfind("<"), text.rfind("["))
    return text[start:] if start >= 0 and text[-1] in ">]" else ""


def _first_tag(text: str) -> str:
    text = text.lstrip()
    ends = [end for end in (text.find(">"), text.find("]")) if end >= 0]
    return text[: min(ends) + 1] if text[:1] in ("<", "[") and ends else ""
