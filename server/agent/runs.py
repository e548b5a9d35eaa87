"""All runs of a server: started, found again, driven in the background, and told what people and clients decide."""

import asyncio
import contextlib
import logging
import secrets
import time
import uuid
import weakref
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Protocol

from sqlalchemy.exc import SQLAlchemyError

from server.agent.caps import Caps
from server.agent.events import Decided, Ended, Event, Received, Started, read_event, write_event
from server.agent.loop import Loop, denial
from server.agent.run import OverError, Run
from server.agent.speaker import Listener, Piece, UnavailableError
from server.agent.state import RunState
from server.agent.tally import Tally
from server.agent.tracing import agent_span, describe_end
from server.store.runs import ConflictError, RunRow, RunStore
from server.tools.definition import ToolDefinition
from server.tools.pinning import of_run

logger = logging.getLogger("trammel.agent")

_PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
"""Seconds between attempts to make the model speak when it can't just now."""
_RELOADS = (0.1, 1.0, 5.0)
"""Seconds after which a run is read again whose next event was there already."""
_AWAY = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0)
"""Seconds between attempts to go on with a run whose database fails."""
_TOOL_SECONDS = 10.0
"""What sources that connect after the start may take until runs go on without their tools."""
_CLOSING_SECONDS = 5.0


class RefusedError(Exception):
    """What was asked of a run can't be done as it stands now. Says why."""


class Places(Protocol):
    """What owners may have under way at once, requests and runs together."""

    def take_place(self, owner: str) -> None:
        """A run works. It was let in as a request, or before the server was started: it is not refused."""
        ...

    def free_place(self, owner: str) -> None:
        """It has ended, or waits for somebody."""
        ...


class Runs:
    """Built once; `resume` at the start, `close` at the end."""

    def __init__(
        self,
        store: RunStore,
        loop: Loop,
        *,
        ceiling: Caps | None = None,
        places: Places | None = None,
        sources: Sequence[asyncio.Event] = (),
    ) -> None:
        """`ceiling`: the most that any run may ask for; None: it may ask for anything.

        `sources`: of tools, that connect only after the start; each is set once it has told of its tools.
        """
        self.store = store
        self.loop = loop
        self.ceiling = ceiling
        self.tally = Tally()
        self._places = places
        self._sources = sources
        self._told_by = 0.0
        """When runs go on without the tools of sources that have not told of them (monotonic)."""
        self._live: weakref.WeakValueDictionary[str, Run] = weakref.WeakValueDictionary()
        self._drivers: dict[str, asyncio.Task[None]] = {}
        self._finding = asyncio.Lock()

    @property
    def waiting_approvals(self) -> int:
        """Calls that wait for a person."""
        return sum(len(run.state.approvals) for run in self._live.values())

    async def start(self, started: Started, owner: str = "") -> Run:
        """A new run, stored and under way."""
        id_ = f"run_{uuid.uuid4().hex}"
        await asyncio.to_thread(self.store.create, id_, owner, write_event(started))
        tools = of_run(self.loop.tools, started.tools)
        run = Run(id_, owner, RunState.of([started], tools), self.store, tools, self.tally.note)
        self._live[id_] = run
        self._drive(run)
        return run

    async def find(self, id_: str, owner: str = "") -> Run | None:
        """A run of that owner's, under way or not."""
        async with self._finding:
            live = self._live.get(id_)
            if live is not None:
                return live if live.owner == owner else None
            row = await asyncio.to_thread(self.store.get, id_, owner)
            return None if row is None else await self._load(row)

    async def resume(self) -> int:
        """Go on with every run that has not ended; gives their number."""
        self._told_by = time.monotonic() + _TOOL_SECONDS
        rows = await asyncio.to_thread(self.store.open_runs)
        for row in rows:
            async with self._finding:
                run = self._live.get(row.id) or await self._load(row)
            self._drive(run)
        return len(rows)

    async def decide(self, run: Run, approval: str, *, approved: bool, bound: str | None = None) -> None:
        """Approve or deny a call, once. `bound`: the hash that was shown, if the person sends it back.

        Raises: RefusedError.
        """
        async with run.lock:
            call = next((one for one in run.state.approvals if one.approval and one.approval.id == approval), None)
            if call is None or call.approval is None:
                raise RefusedError(
                    "There is no such approval that waits: it was decided, or has expired, or never was."
                )
            if bound is not None and not secrets.compare_digest(bound, call.approval.hash):
                raise RefusedError("The hash is not the one of this approval.")
            if call.approval.expires <= time.time():
                event: Decided = denial(approval, call.call.name, "Nobody approved it in time.")
            elif approved:
                event = Decided(approval, approved=True)
            else:
                event = denial(approval, call.call.name, "A person said no.")
            await self._record(run, event)
        self._drive(run)
        if approved and not event.approved:
            raise RefusedError("The approval has expired.")

    async def receive(self, run: Run, results: Mapping[str, str]) -> None:
        """The client's results by call id, and the user's answer to a question. Raises: RefusedError."""
        async with run.lock:
            open_ = {call.id for call in run.state.handed_over}
            if run.state.question:
                open_.add(run.state.question.call.id)
            unknown = [id_ for id_ in results if id_ not in open_]
            if unknown:
                raise RefusedError(f"The run does not wait for a result of {', '.join(unknown)}.")
            for id_, text in results.items():
                await self._record(run, Received(id_, text))
        self._drive(run)

    async def cancel(self, run: Run) -> None:
        """End it now; what a tool is doing is not taken back. Raises: RefusedError, if it has ended."""
        driver = self._drivers.pop(run.id, None)
        if driver is not None:
            driver.cancel()
            await asyncio.wait([driver])
        async with run.lock:
            await self._record(run, Ended("cancelled"))
        await run.rest()

    async def forget(self, run: Run) -> None:
        """Delete a run that has ended. Raises: RefusedError."""
        if run.state.ended is None:
            raise RefusedError(f"The run is {run.status}: cancel it first.")
        self._live.pop(run.id, None)
        await asyncio.to_thread(self.store.delete, run.id)

    def watch(
        self, run: Run, after: int = -1, *, to_rest: bool = False
    ) -> AsyncIterator[tuple[int, float, Event] | Piece]:
        """Events behind number `after`, and then those that come, with the pieces of a turn while it is spoken.

        Until the run has ended; with `to_rest`, only until it waits for somebody. No piece is missed from the call on.
        """
        return self._watch(run, run.listen(), after, to_rest=to_rest)

    async def _watch(
        self, run: Run, listener: Listener, after: int, *, to_rest: bool
    ) -> AsyncIterator[tuple[int, float, Event] | Piece]:
        while True:
            for number, at, body in await asyncio.to_thread(self.store.events, run.id, after):
                for piece in listener.told(number):
                    yield piece
                yield number, at, read_event(body)
                after = number
            while after >= run.state.length - 1:
                for piece in listener.told(after + 1):
                    yield piece
                if after < run.state.length - 1:
                    break
                if run.state.ended is not None or (to_rest and run.is_resting):
                    return
                await run.until_changed(after + 1, listener, to_rest=to_rest)

    async def close(self) -> None:
        """Stop driving; runs stay as they are stored, and go on when the server is started again."""
        drivers = list(self._drivers.values())
        for driver in drivers:
            driver.cancel()
        if drivers:
            await asyncio.wait(drivers, timeout=_CLOSING_SECONDS)

    async def _folded(self, id_: str) -> tuple[RunState, Mapping[str, ToolDefinition]]:
        """A run as it is stored, and its tools as they are now."""
        events = await asyncio.to_thread(self.store.events, id_)
        first, *rest = (read_event(body) for _, _, body in events)
        tools = of_run(self.loop.tools, first.tools if isinstance(first, Started) else {})
        return RunState.of([first, *rest], tools), tools

    async def _load(self, row: RunRow) -> Run:
        state, tools = await self._folded(row.id)
        run = Run(row.id, row.owner, state, self.store, tools, self.tally.note)
        run.is_resting = run.status != "running"
        self._live[row.id] = run
        return run

    async def _record(self, run: Run, event: Event) -> None:
        """What somebody from outside has said; the lock is held. Raises: RefusedError."""
        try:
            await run.record_locked(event)
        except OverError as error:
            raise RefusedError(f"The run has ended: it is {run.status}.") from error
        except ConflictError as error:
            if run.is_known_from_here:
                self._live.pop(run.id, None)  # what we know of it is old
            else:
                await run.take(*await self._folded(run.id))
            raise RefusedError("Another process has gone on with the run. Look at it again.") from error
        except SQLAlchemyError:
            run.is_known_from_here = False  # it may be stored all the same
            raise
        run.is_resting = False

    def _drive(self, run: Run) -> None:
        """See to it that a task drives the run."""
        if run.state.ended is not None or run.id in self._drivers:
            return
        run.is_resting = run.is_interrupted = False
        task = asyncio.create_task(self._driving(run))
        self._drivers[run.id] = task
        task.add_done_callback(lambda done: self._forget(run, done))
        self._take_place(run)

    def _forget(self, run: Run, task: asyncio.Task[None]) -> None:
        self._free_place(run)
        if self._drivers.get(run.id) is task:
            del self._drivers[run.id]
        if not task.cancelled() and task.exception() is not None:
            logger.error("the run %s broke off", run.id, exc_info=task.exception())

    def _take_place(self, run: Run) -> None:
        if self._places is not None and not run.has_place:
            run.has_place = True
            self._places.take_place(run.owner)

    def _free_place(self, run: Run) -> None:
        if self._places is not None and run.has_place:
            run.has_place = False
            self._places.free_place(run.owner)

    async def _driving(self, run: Run) -> None:
        """To the run's end, through every wait."""
        try:
            await self._until_tools(run)
            while not await self._drive_on(run):
                pass
        finally:
            self._free_place(run)
            is_cancelled = self._drivers.get(run.id) is not asyncio.current_task()
            run.is_interrupted = run.state.ended is None and not is_cancelled
            await run.rest()

    async def _drive_on(self, run: Run) -> bool:
        """False: look again. True: it has ended, or another process works on it."""
        try:
            while run.state.ended is None:
                await self._see_tools(run)
                await self._advance(run)
                if run.status != "running" and run.state.ended is None:
                    await self._sleep(run)
        except OverError:
            return True
        except ConflictError:
            if run.is_known_from_here or run.reloads >= len(_RELOADS):
                logger.warning("the run %s is driven by another process", run.id)
                self._live.pop(run.id, None)
                return True
            # A process that was killed may have left an event that its database stored only after we had looked.
            await asyncio.sleep(_RELOADS[run.reloads])
            run.reloads += 1
            return await self._reload(run)
        except SQLAlchemyError as error:
            return await self._outlast(run, error)
        return True

    async def _outlast(self, run: Run, error: SQLAlchemyError) -> bool:
        """Wait, and look at what its database has of the run. Raises: SQLAlchemyError, if it goes on failing."""
        if run.failures >= len(_AWAY):
            raise error
        logger.warning("the run %s waits for its database: %s", run.id, type(error).__name__)
        await asyncio.sleep(_AWAY[run.failures])
        run.failures += 1
        run.is_known_from_here = False  # what failed may be stored all the same, and late
        return await self._reload(run)

    async def _reload(self, run: Run) -> bool:
        """See it as it is stored, once its database can be read. Raises: SQLAlchemyError, if it goes on failing."""
        try:
            async with run.lock:
                await run.take(*await self._folded(run.id))
        except SQLAlchemyError as error:
            return await self._outlast(run, error)
        return False

    async def _until_tools(self, run: Run) -> None:
        """Until the sources that connect after the start have told of their tools, if it lacks any; not for ever."""
        names = run.state.started.tools
        if names.keys() - of_run(self.loop.tools, names).keys():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._all_told(), self._told_by - time.monotonic())

    async def _all_told(self) -> None:
        for source in self._sources:
            await source.wait()

    async def _see_tools(self, run: Run) -> None:
        """Read it again if tools have come that were not there: only so is known what it has done with them."""
        if of_run(self.loop.tools, run.state.started.tools).keys() - run.tools.keys():
            await self._reload(run)

    async def _advance(self, run: Run) -> None:
        """As far as it goes; a model that can't speak just now is asked again."""
        for pause in _PAUSES:
            try:
                with agent_span(run.id, run.state.model) as operation:
                    await self.loop.advance(run)
                    describe_end(operation, run.state.ended)
            except UnavailableError as error:
                logger.info("the run %s waits for the model: %s", run.id, error)
                await asyncio.sleep(pause)
            else:
                return
        await run.record(Ended("failed", error="The model could not be reached."))

    async def _sleep(self, run: Run) -> None:
        """Until somebody does something, or the time for it is over."""
        seen = run.state.length
        expires = min((call.approval.expires for call in run.state.approvals if call.approval), default=None)
        seconds = None if expires is None else max(0.0, expires - time.time())
        self._free_place(run)
        await run.rest()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(run.until_longer(seen), seconds)
        self._take_place(run)
        run.is_resting = False
