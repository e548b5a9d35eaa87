"""Reads off a template how a model marks what it thinks, by rendering a thought."""

from dataclasses import dataclass
from typing import Any

from server.chat.dialect import Reasoning
from server.chat.messages import Message
from server.chat.template import ChatTemplate, TemplateError

_CONTENT = "trammel probe content"
_THOUGHT = "trammel probe thought"
_USER = Message("user", "trammel probe question")
_USUAL_MARKS = (Reasoning("<think>", "</think>"), Reasoning("[THINK]", "[/THINK]"))


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
        marks = Reasoning(_last_tag(before), _first_tag(rest.split(_CONTENT)[0]))
        if (
            marks.begin
            and marks.end
            and any(word in f"{marks.begin}{marks.end}".lower() for word in ("think", "thought", "reason"))
        ):
            return marks
    return next((marks for marks in _USUAL_MARKS if marks.end in template.source), None)


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
