"""How many of a prompt's first tokens are its opening: the system text and the tools, as other requests have them too.

Found by rendering the same request with another question, and kept for the next requests with the same opening. Where a
template puts the tools behind the conversation there is no opening to speak of.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from itertools import takewhile
from threading import Lock

from server.chat.messages import Message
from server.chat.request import ChatRequest
from server.chat.template import TemplateError
from server.engine.shared_prefix import common_prefix

_OTHER_QUESTION = Message("user", "\u2014 trammel probe question")
_REMEMBERED = 64
Render = Callable[[ChatRequest], tuple[int, ...]]
"""The tokens of a request's prompt."""


class Openings:
    """The openings of the last requests. Thread-safe."""

    def __init__(self) -> None:
        self._others: OrderedDict[str, tuple[int, ...]] = OrderedDict()
        """A request's opening, as a text, to the tokens of a prompt that begins with it and goes on otherwise."""
        self._lock = Lock()

    def length(self, request: ChatRequest, tokens: tuple[int, ...], render: Render) -> int:
        """Tokens of the opening of `request`, whose prompt is `tokens`; `render` makes other requests' prompts."""
        opening = tuple(takewhile(lambda message: message.role in ("system", "developer"), request.messages))
        key = repr((opening, request.tools, request.template_variables))
        with self._lock:
            other = self._others.pop(key, None)
        if other is None:
            try:
                other = render(replace(request, messages=(*opening, _OTHER_QUESTION)))
            except TemplateError:  # a template that wants more of a conversation
                other = ()
        with self._lock:
            self._others[key] = other
            while len(self._others) > _REMEMBERED:
                self._others.popitem(last=False)
        return common_prefix(tokens, other)
