"""The loop: looks at a run's state, does the one thing that is next, records it, and looks again.

Between any two lines here the process may be killed; the state is folded from what was recorded, so the same thing is
next. A call that had begun is begun again only if that does no harm.
"""

import asyncio
import json
import time
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

from server.agent.canonical import approval_hash
from server.agent.events import Begun, Decided, Ended, Judged, Returned
from server.agent.execution import execute, interrupted
from server.agent.judging import QUESTION, Judge
from server.agent.offering import has_to_offer, offer
from server.agent.policy import Guards, callable_names
from server.agent.run import Run
from server.agent.speaker import Speaker, UnavailableError
from server.agent.state import CallState, RunState
from server.agent.tracing import chat_span, describe_turn
from server.agent.wording import error_text
from server.chat.messages import Tool
from server.tools.definition import CallContext, ToolDefinition
from server.tools.pinning import of_run
from server.tools.retrieval import SEARCH_TOOLS, ToolFinder

_TOGETHER = 8
"""Reads that run at the same time."""


@dataclass(frozen=True, slots=True)
class Loop:
    """Drives runs; holds nothing of any."""

    tools: Mapping[str, ToolDefinition]
    speaker: Speaker
    guards: Guards = field(default_factory=Guards)
    approval_seconds: float = 86_400.0
    finder: ToolFinder | None = None
    """Chooses the tools that are shown where there are many; None: all are."""

    async def advance(self, run: Run) -> None:
        """Until the run has ended or waits for somebody. Raises: UnavailableError, ConflictError, OverError."""
        while run.state.ended is None and await self._step(run):
            pass

    async def _step(self, run: Run) -> bool:
        """Do what is next. False: nothing can be done here."""
        state = run.state
        if state.is_turn_over:
            await self._take_turn(run)
        elif state.unjudged:
            judge = Judge(of_run(self.tools, state.started.tools), self.guards, self.approval_seconds)
            await run.record(await judge.judge(state, state.unjudged[0].call))
        elif state.runnable:
            await self._execute(run, state.runnable)
        else:
            return await self._expire(run)
        return True

    async def _take_turn(self, run: Run) -> None:
        state = run.state
        if state.latest is not None and not state.turn:
            await run.record(Ended("incomplete", "tokens") if state.latest.is_cut else Ended("completed"))
        elif state.cap is not None:
            await run.record(Ended("incomplete", state.cap))
        elif self.finder is not None and has_to_offer(state):
            await run.record(await offer(state, self.finder, self._callable(state)))
        else:
            await self._speak(run)

    async def _speak(self, run: Run) -> None:
        state, caps = run.state, run.state.started.caps
        shown = self._shown(state)
        names = () if self.guards.dedup and state.must_answer else self._names(state)
        left = caps.tokens - state.spent.tokens
        run.silence()
        speaking = self.speaker.speak(state.started, state.prompt, shown, names, left, run.hear)
        try:
            with chat_span(state.model) as operation:
                spoke = await asyncio.wait_for(speaking, max(0.0, caps.seconds - state.spent.seconds))
                describe_turn(operation, state.model, spoke)
        except TimeoutError:
            await run.record(Ended("incomplete", "seconds"))
        except UnavailableError:
            raise
        except Exception as error:  # whatever the engine could not do is how this run ends
            await run.record(Ended("failed", error=str(error) or type(error).__name__))
        else:
            await run.record(spoke)

    def _shown(self, state: RunState) -> tuple[Tool, ...]:
        """All tools of the run, in one order, so that the prompt's beginning stays the same."""
        tools = of_run(self.tools, state.started.tools)
        ours = [tools[name] for name in state.shown if name in tools]
        listed = [Tool(tool.name, tool.parameters, tool.description) for tool in ours]
        asking = [QUESTION] if state.started.asks else []
        return (*listed, *state.started.client_tools, *asking)

    def _callable(self, state: RunState) -> tuple[str, ...]:
        pinned = state.started.tools
        ours = [tool for name, tool in of_run(self.tools, pinned).items() if pinned.get(name) == tool.version]
        return callable_names(ours, state.started.restrictions)

    def _names(self, state: RunState) -> tuple[str, ...]:
        shown = set(state.shown)
        others = [tool.name for tool in state.started.client_tools] + [QUESTION.name] * state.started.asks
        return (*(name for name in self._callable(state) if name in shown), *others)

    async def _execute(self, run: Run, calls: list[CallState]) -> None:
        """Reads that stand together run at the same time, anything else by itself."""
        tools = of_run(self.tools, run.state.started.tools)
        reads = list(takewhile(lambda call: is_read(tools, call), calls))[:_TOGETHER]
        batch = self._affordable(run.state, reads or calls[:1])
        if not batch:
            await run.record(Ended("incomplete", "calls"))
            return
        works = [await self._begin(run, call) for call in batch]
        tasks = [asyncio.create_task(work) for work in works if work is not None]
        try:
            for done in asyncio.as_completed(tasks):
                await run.record(await done)
        finally:
            for task in tasks:
                task.cancel()

    async def _begin(self, run: Run, call: CallState) -> Coroutine[Any, Any, Returned] | None:
        """Record that a call begins, and give the work; None where the call must not be made, which is recorded too."""
        state = run.state
        tool = of_run(self.tools, state.started.tools).get(call.call.name)
        problem = "There is no such tool any more." if tool is None else obstacle(state, call, tool)
        if tool is None or problem is not None:
            text = error_text(call.call.name, problem or "", may_retry=False)
            await run.record(Judged(call.call.id, "fault", text=text, fault="denied"))
            return None
        if call.begun is not None and tool.effect != "read" and not tool.is_idempotent:
            await run.record(interrupted(tool, call.call))
            return None
        number, attempt = (call.begun.number, call.begun.attempt + 1) if call.begun else (state.next_number, 1)
        begun = Begun(call.call.id, number, attempt)
        await run.record(begun)
        seconds = max(0.0, state.started.caps.seconds - state.spent.seconds)
        context = CallContext(
            run.id, f"{run.id}:{call.call.id}", state.started.principal, frozenset(state.started.tools)
        )
        return execute(tool, call.call, begun, context, seconds)

    def _affordable(self, state: RunState, calls: list[CallState]) -> list[CallState]:
        left = state.started.caps.calls - state.spent.calls
        fresh = [call for call in calls if call.begun is None]
        return [call for call in calls if call.begun or call in fresh[:left]]

    async def _expire(self, run: Run) -> bool:
        """Deny what nobody has approved in time."""
        async with run.lock:
            late = [call for call in run.state.approvals if call.approval and call.approval.expires <= time.time()]
            for call in late:
                assert call.approval
                await run.record_locked(denial(call.approval.id, call.call.name, "Nobody approved it in time."))
        return bool(late)


def is_read(tools: Mapping[str, ToolDefinition], call: CallState) -> bool:
    tool = tools.get(call.call.name)
    return tool is not None and tool.effect == "read"


def obstacle(state: RunState, call: CallState, tool: ToolDefinition) -> str | None:
    """Why a call that was judged fit may not run now: days may have passed, and the tool may be another."""
    if state.started.tools.get(tool.name) != tool.version:
        return "The tool has changed since this run began."
    if tool.name == SEARCH_TOOLS and state.tainted_by:
        return "Which tools there are is settled once anything untrusted has been read."
    if call.approval is None or call.begun is not None:
        return None
    if call.approval.expires <= time.time():
        return "Its approval has expired."
    arguments = json.loads(call.call.arguments)
    if approval_hash(tool.name, tool.version, arguments, state.started.principal) != call.approval.hash:
        return "It is not what was approved."
    return None


def denial(approval: str, tool: str, reason: str) -> Decided:
    """A call that was not approved."""
    problem = f"The call was not approved, and not made. {reason}".strip()
    return Decided(approval, approved=False, text=error_text(tool, problem, may_retry=False))
