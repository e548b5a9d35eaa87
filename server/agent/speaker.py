"""Who speaks in a run: the model behind an engine, or a script in a test. Who listens hears it piece by piece."""

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Protocol, TypeVar

from server.agent.events import Event, Spoke, Started
from server.chat.messages import Message, Tool
from server.chat.parser import CallDelta, CallEnd, CallStart, ContentDelta, Delta, ReasoningDelta


class UnavailableError(Exception):
    """Nobody can speak just now: the queue is full, the engine stops. Not the run's fault; it may go on later."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Of a turn that is being spoken: told to those who listen, never stored."""

    delta: Delta
    call: str = ""
    """The id of the call that it belongs to."""


Hear = Callable[[Piece], Awaitable[None]]


class Listener:
    """Keeps what is said for one who listens at their own pace, turn by turn.

    A turn that broke off and is spoken anew is told once: as far as the first attempt came.
    """

    def __init__(self) -> None:
        self._pieces: deque[tuple[int, int, Piece]] = deque()
        self._turn = self._attempt = -1

    def hear(self, turn: int, attempt: int, piece: Piece) -> None:
        """`turn`: the number of the event that the turn will be."""
        self._pieces.append((turn, attempt, piece))

    def has_heard(self, turn: int) -> bool:
        """Whether there may be something of a turn that was not told yet."""
        return bool(self._pieces) and self._pieces[-1][0] >= turn

    def told(self, turn: int) -> Iterator[Piece]:
        """What was said of a turn until now and not told yet; what was said before is dropped."""
        while self._pieces and self._pieces[0][0] <= turn:
            number, attempt, piece = self._pieces.popleft()
            if number == turn != self._turn:
                self._turn, self._attempt = turn, attempt
            if (number, attempt) == (self._turn, self._attempt):
                yield piece


class Speaker(Protocol):
    """Continues a conversation by one turn."""

    async def speak(
        self,
        started: Started,
        messages: tuple[Message, ...],
        tools: tuple[Tool, ...],
        names: tuple[str, ...],
        max_tokens: int,
        hear: Hear,
    ) -> Spoke:
        """`names`: the tools that may be called, of those that are shown; the others can't be decoded.

        `hear` gets the turn's pieces as they come; what was not heard is in what is returned all the same. Calls have
        ids that no other call of the run has. Raises: UnavailableError; any other ends the run as failed.
        """
        ...


Told = TypeVar("Told", bound=tuple[int, float, Event])


async def with_whole_turns(told: AsyncIterator[Told | Piece]) -> AsyncIterator[Told | Piece]:
    """The same, with those pieces of each turn that nobody has heard (it was spoken before) in front of its event."""
    heard: list[Piece] = []
    async for one in told:
        if isinstance(one, Piece):
            heard.append(one)
        elif isinstance(one[2], Spoke):
            for piece in unheard(one[2], heard):
                yield piece
            heard = []
        yield one


def unheard(spoke: Spoke, heard: list[Piece]) -> Iterator[Piece]:
    """What of a turn is not among the pieces."""
    thought = "".join(one.delta.text for one in heard if isinstance(one.delta, ReasoningDelta))
    said = "".join(one.delta.text for one in heard if isinstance(one.delta, ContentDelta))
    if rest := _rest(spoke.reasoning, thought):
        yield Piece(ReasoningDelta(rest))
    if rest := _rest(spoke.content, said):
        yield Piece(ContentDelta(rest))
    for index, call in enumerate(spoke.calls):
        deltas = [one.delta for one in heard if one.call == call.id]
        if not deltas:
            yield Piece(CallStart(index, call.name), call.id)
        argued = "".join(delta.arguments for delta in deltas if isinstance(delta, CallDelta))
        if rest := _rest(call.arguments, argued):
            yield Piece(CallDelta(index, rest), call.id)
        if not any(isinstance(delta, CallEnd) for delta in deltas):
            yield Piece(CallEnd(index), call.id)


def _rest(text: str, told: str) -> str:
    """What follows. A turn that broke off and was spoken anew may say something else: then all of it."""
    return text[len(told) :] if text.startswith(told) else text
