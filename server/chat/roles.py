"""What a template makes of the roles of messages: many drop or refuse some of them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from server.chat.messages import Message, Role, ToolCall
from server.chat.template import ChatTemplate, TemplateError

_TEXT = "trammel probe instruction"
_USER = Message("user", "trammel probe question")
_CALLING = Message("assistant", _TEXT, (ToolCall("trammel_probe", "{}", "probe0001"),))
_THINKING = replace(_CALLING, reasoning="trammel probe thought")


@dataclass(frozen=True, slots=True)
class Roles:
    """How messages may be arranged."""

    knows_developer: bool = True
    knows_system: bool = True
    may_repeat: bool = True
    """Two messages of one role may follow each other."""
    may_think_aloud: bool = True
    """A turn of calls may have both a thought and words beside it (gpt-oss: either)."""


ALL_ROLES = Roles()


def roles_of(template: ChatTemplate, variables: Mapping[str, Any]) -> Roles:
    """`variables`: what the template can't do without."""
    return Roles(
        _shows(template, variables, Message("developer", _TEXT), _USER),
        _shows(template, variables, Message("system", _TEXT), _USER),
        _shows(template, variables, _USER, Message("user", _TEXT)),
        not _shows(template, variables, _USER, _CALLING) or _shows(template, variables, _USER, _THINKING),
    )


def fitted(messages: list[Message], roles: Roles) -> list[Message]:
    """The messages with roles that the template knows: what it does not is said by a role that it does."""
    if not roles.knows_developer:
        messages = [_as(message, "system") if message.role == "developer" else message for message in messages]
    if not roles.knows_system:
        messages = _joined([_as(m, "user") if m.role == "system" else m for m in messages])
    return messages if roles.may_repeat else _joined(messages)


def _as(message: Message, role: Role) -> Message:
    return Message(role, message.content)


def _joined(messages: list[Message]) -> list[Message]:
    """Neighbouring users' texts in one message each."""
    joined: list[Message] = []
    for message in messages:
        if joined and joined[-1].role == message.role == "user":
            joined[-1] = Message("user", f"{joined[-1].content}\n\n{message.content}")
        else:
            joined.append(message)
    return joined


def _shows(template: ChatTemplate, variables: Mapping[str, Any], *messages: Message) -> bool:
    try:
        return _TEXT in template.render(messages, **variables)
    except TemplateError:
        return False
