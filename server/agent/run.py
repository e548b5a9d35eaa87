"""One run in memory: its state, and the only way to change it, which is to store an event first."""

import asyncio
import contextlib
import weakref
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from server.agent.events import Event, write_event
from server.agent.speaker import Listener, Piece
from server.agent.state import RunState
from server.tools.definition import ToolDefinition


class Journal(Protocol):
    """Where events are kept, by run and number."""

    def append(self, run: str, number: int, body: Mapping[str, Any], status: str) -> None:
        """Durable when it returns. Raises: ConflictError, if the run has an event of that number."""
        ...


class OverError(Exception):
    """The run has ended; nothing can be recorded any more."""


class Run:
    """Events are applied in the order they are stored, by whomever they come from."""

    def __init__(
        self,
        id_: str,
        owner: str,
        state: RunState,
        journal: Journal,
        tools: Mapping[str, ToolDefinition],
        observe: Callable[[Event, RunState], None] | None = None,
    ) -> None:
        """`observe`: told of every event once it is stored and applied."""
        self.id = id_
        self.owner = owner
        self.state = state
        self.lock = asyncio.Lock()
        """Hold it from looking at the state to recording what follows from it, if somebody else may record too."""
        self.changed = asyncio.Condition()
        """Told of every event and every piece of a turn, and when the run comes to rest."""
        self._said: list[Piece] = []
        """Of the turn under way."""
        self._attempt = 0
        """At that turn, counted over all turns."""
        self._listeners: weakref.WeakSet[Listener] = weakref.WeakSet()
        self.is_known_from_here = False
        """An event of it was recorded by this very process, so nobody else's can be left over from before."""
        self.reloads = 0
        self.failures = 0
        """Of its database, since the last event that was stored."""
        self.is_interrupted = False
        """Nobody goes on with it here, though it has not ended."""
        self.is_resting = False
        self.has_place = False
        """It counts among what its owner has under way."""
        self.tools = tools
        self._journal = journal
        self._observe = observe

    @property
    def status(self) -> str:
        return status_of(self.state)

    async def record(self, event: Event) -> None:
        """Store and apply. Raises: OverError, ConflictError."""
        async with self.lock:
            await self.record_locked(event)

    async def record_locked(self, event: Event) -> None:
        """For one that holds the lock. A cancelled caller leaves no event half recorded."""
        if self.state.ended is not None:
            raise OverError
        recording = asyncio.ensure_future(self._record(event))
        try:
            await asyncio.shield(recording)
        except asyncio.CancelledError:
            # the lock is held until the event is stored: what is recorded next has the next number
            while not recording.done():
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.wait([recording])
            if not recording.cancelled():
                recording.exception()  # nobody is left to hear of it
            raise

    def silence(self) -> None:
        """Nothing of the next turn has been said yet."""
        self._said = []
        self._attempt += 1

    def listen(self) -> Listener:
        """Hears everything from the beginning of the turn under way, for as long as somebody holds it."""
        listener = Listener()
        for piece in self._said:
            listener.hear(self.state.length, self._attempt, piece)
        self._listeners.add(listener)
        return listener

    async def hear(self, piece: Piece) -> None:
        """Pass on a piece of the turn under way to those who listen."""
        self._said.append(piece)
        for listener in self._listeners:
            listener.hear(self.state.length, self._attempt, piece)
        async with self.changed:
            self.changed.notify_all()

    async def take(self, state: RunState, tools: Mapping[str, ToolDefinition]) -> None:
        """See it as it is stored, with the tools there are now; the lock is held."""
        self.state, self.tools = state, tools
        async with self.changed:
            self.changed.notify_all()

    async def rest(self) -> None:
        """Nothing more will happen until somebody outside does something."""
        self.is_resting = True
        async with self.changed:
            self.changed.notify_all()

    async def until_rest(self) -> None:
        """Wait until the run has ended or waits for a person or a client."""
        async with self.changed:
            await self.changed.wait_for(lambda: self.is_resting)

    async def until_longer(self, length: int) -> None:
        """Wait until the run has more events than that."""
        async with self.changed:
            await self.changed.wait_for(lambda: self.state.length > length)

    async def until_changed(self, length: int, listener: Listener, *, to_rest: bool) -> None:
        """Wait until the run has more events than that, or more of the next turn was heard, or it rests or ends."""

        def is_changed() -> bool:
            is_over = self.state.ended is not None or (to_rest and self.is_resting)
            return is_over or self.state.length > length or listener.has_heard(length)

        async with self.changed:
            await self.changed.wait_for(is_changed)

    async def _record(self, event: Event) -> None:
        ahead = _status_after(event)
        await asyncio.to_thread(self._journal.append, self.id, self.state.length, write_event(event), ahead)
        self.is_known_from_here = True
        self.failures = 0
        self.state.apply(event, self.tools)
        self.silence()
        if self._observe is not None:
            self._observe(event, self.state)
        async with self.changed:
            self.changed.notify_all()


def status_of(state: RunState) -> str:
    """running, waiting_for_approval, waiting_for_client, waiting_for_user, or how it ended."""
    if state.ended is not None:
        return state.ended.status
    if state.unjudged or state.runnable or state.waits_for is None:
        return "running"
    return f"waiting_for_{state.waits_for}"


def _status_after(event: Event) -> str:
    """As the store's index of open runs needs it."""
    return event.status if event.kind == "ended" else "open"
