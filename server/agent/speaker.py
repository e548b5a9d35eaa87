"""Who speaks in a run: the model behind an engine, or a script in a test."""

from typing import Protocol

from server.agent.events import Spoke, Started
from server.chat.messages import Message, Tool


class UnavailableError(Exception):
    """Nobody can speak just now: the queue is full, the engine stops. Not the run's fault; it may go on later."""


class Speaker(Protocol):
    """Continues a conversation by one turn."""

    async def speak(
        self,
        started: Started,
        messages: tuple[Message, ...],
        tools: tuple[Tool, ...],
        names: tuple[str, ...],
        max_tokens: int,
    ) -> Spoke:
        """`names`: the tools that may be called, of those that are shown; the others can't be decoded.

        Calls have ids that no other call of the run has. Raises: UnavailableError; any other ends the run as failed.
        """
        ...
