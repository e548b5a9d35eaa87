"""A run as its events tell it, and the one thing to be done next.

`RunState` only folds and looks; it decides nothing and does nothing. Judging and executing give new events.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from server.agent.caps import CapName, Spent, reached
from server.agent.events import (
    Approval,
    Begun,
    Call,
    Decided,
    Ended,
    Event,
    Judged,
    Offered,
    Received,
    Returned,
    Spoke,
    Started,
)
from server.agent.ledger import Entry, Ledger
from server.agent.provenance import Voices
from server.agent.wording import size_of, with_calls
from server.chat.messages import Message, ToolCall
from server.tools.definition import ToolDefinition
from server.tools.retrieval import SEARCH_TOOLS, names_of

Waiting = Literal["approval", "client", "user"]


@dataclass(slots=True)
class CallState:
    """A call of the turn under way, or of one before."""

    call: Call
    judged: Judged | None = None
    decided: Decided | None = None
    begun: Begun | None = None
    outcome: str | None = None
    has_fault: bool = False
    text: str | None = None
    """What the model reads; None until it is settled."""

    @property
    def is_settled(self) -> bool:
        return self.text is not None

    @property
    def approval(self) -> Approval | None:
        return self.judged.approval if self.judged else None

    @property
    def awaits_decision(self) -> bool:
        return self.approval is not None and self.decided is None and not self.is_settled


@dataclass(slots=True)
class RunState:
    """Fold of a run's events."""

    started: Started
    messages: list[Message]
    voices: Voices = field(default_factory=Voices)
    ledger: Ledger = field(default_factory=Ledger)
    spent: Spent = field(default_factory=Spent)
    calls: dict[str, CallState] = field(default_factory=dict)
    """By id, in order; ids are the run's own, so none comes twice."""
    turn: tuple[str, ...] = ()
    """Ids of the latest turn's calls."""
    tainted_by: list[int] = field(default_factory=list)
    """Calls that gave untrusted output; 0: the client brought some."""
    taint_of_turn: tuple[int, ...] = ()
    """What the model had read when it made the calls of the turn."""
    latest: Spoke | None = None
    follows_fault: bool = False
    """A call of the turn before the latest had a fault."""
    user_words: list[str] = field(default_factory=list)
    """The user's messages and answers."""
    offered: list[str] = field(default_factory=list)
    """Tools that the model is shown, once some were looked for (`offered_for`); before, all of the run's."""
    offered_for: int = 0
    """How many of the user's words they were looked for by."""
    ended: Ended | None = None
    length: int = 1
    """Events so far."""

    @staticmethod
    def of(events: Iterable[Event], tools: Mapping[str, ToolDefinition]) -> "RunState":
        """`tools`: as they are now, for what results are worth."""
        first, *rest = events
        if not isinstance(first, Started):
            raise TypeError("a run begins with Started")
        state = RunState(first, list(first.messages))
        for message in first.messages:
            state._hear(message)
        for event in rest:
            state.apply(event, tools)
        return state

    def apply(self, event: Event, tools: Mapping[str, ToolDefinition]) -> None:
        self.length += 1
        match event:
            case Offered():
                self._offer(event.tools)
                self.offered_for = max(1, event.heard)
            case Spoke():
                self._speak(event)
            case Judged():
                self._judge(event)
            case Decided():
                self._decide(event)
            case Begun():
                self.calls[event.call].begun = event
                self.spent.calls += event.attempt == 1
            case Returned():
                self._return(event, tools.get(self.calls[event.call].call.name))
            case Received():
                self._receive(event)
            case Ended():
                self.ended = event

    @property
    def model(self) -> str:
        """As the request named it."""
        return str(self.started.request.get("model", ""))

    @property
    def shown(self) -> list[str]:
        """Names of the server's tools in the prompt."""
        return self.offered if self.offered_for else list(self.started.tools)

    @property
    def unjudged(self) -> list[CallState]:
        return [call for call in self._turn if call.judged is None and not call.is_settled]

    @property
    def runnable(self) -> list[CallState]:
        """Calls to be executed now, those that were under way when the process died among them."""
        return [
            call
            for call in self._turn
            if call.judged
            and call.judged.verdict == "run"
            and not call.is_settled
            and (call.approval is None or (call.decided is not None and call.decided.approved))
        ]

    @property
    def waits_for(self) -> Waiting | None:
        """Whom the run waits for, when nothing else is left to do."""
        open_ = [call for call in self._turn if not call.is_settled]
        if any(call.awaits_decision for call in open_):
            return "approval"
        verdicts = {call.judged.verdict for call in open_ if call.judged}
        return "client" if "client" in verdicts else "user" if "question" in verdicts else None

    @property
    def handed_over(self) -> list[Call]:
        """Calls that the client is to make."""
        return [
            call.call for call in self._turn if not call.is_settled and call.judged and call.judged.verdict == "client"
        ]

    @property
    def question(self) -> CallState | None:
        """What the model wants to know of the user."""
        verdict = (c for c in self._turn if not c.is_settled and c.judged and c.judged.verdict == "question")
        return next(verdict, None)

    @property
    def approvals(self) -> list[CallState]:
        """Calls that wait for a person; none once the run has ended."""
        return [call for call in self._turn if call.awaits_decision and self.ended is None]

    @property
    def is_turn_over(self) -> bool:
        return all(call.is_settled for call in self._turn)

    @property
    def must_answer(self) -> bool:
        """The model goes round in circles: the next turn has no tools."""
        return self.spent.repeats >= self.started.caps.repeats or self.ledger.period() is not None

    @property
    def cap(self) -> CapName | None:
        return reached(self.started.caps, self.spent)

    @property
    def next_number(self) -> int:
        """Of the next call that is executed."""
        return 1 + max((call.begun.number for call in self.calls.values() if call.begun), default=0)

    def was_denied(self, key: str) -> bool:
        """Whether a person has said no to an equal call."""
        denied = (call for call in self.calls.values() if call.decided and not call.decided.approved)
        return any(call.judged is not None and call.judged.key == key for call in denied)

    @property
    def prompt(self) -> tuple[Message, ...]:
        """What the model is to continue: the conversation, its calls and what came of them."""
        return tuple(self.messages)

    @property
    def scratchpad(self) -> list[str]:
        """One line for each call made."""
        done = [call for call in self.calls.values() if call.begun and call.outcome]
        return [f"{c.begun.number}. {c.call.name}({c.call.arguments[:200]}): {c.outcome}" for c in done if c.begun]

    @property
    def _turn(self) -> list[CallState]:
        return [self.calls[id_] for id_ in self.turn]

    def _offer(self, names: Iterable[str]) -> None:
        self.offered += [name for name in names if name in self.started.tools and name not in self.offered]

    def _speak(self, event: Spoke) -> None:
        self.follows_fault = any(call.has_fault for call in self._turn)
        self.latest = event
        self.spent.steps += 1
        self.spent.seconds += event.seconds
        self.spent.tokens += event.completion_tokens + max(0, event.prompt_tokens - event.cached_tokens)
        calls = tuple(ToolCall(call.name, _arguments(call), call.id) for call in event.calls)
        self.messages.append(Message("assistant", event.content or None, calls, reasoning=event.reasoning or None))
        self.voices.assistant.append(event.content)
        self.turn = tuple(call.id for call in event.calls)
        self.taint_of_turn = tuple(self.tainted_by)
        self.calls |= {call.id: CallState(call) for call in event.calls}

    def _judge(self, event: Judged) -> None:
        call = self.calls[event.call]
        call.judged = event
        if event.key:
            self.ledger.wanted.append(event.key)
        match event.verdict:
            case "fault":
                self.spent.faults += 1
                call.has_fault = True
            case "repeat":
                self.spent.repeats += 1
            case _:
                self.spent.faults = self.spent.repeats = 0
        if event.verdict in ("fault", "repeat") and event.repeats is None:
            self._settle(event.call, event.text)

    def _decide(self, event: Decided) -> None:
        for id_, call in self.calls.items():
            if call.approval and call.approval.id == event.approval:
                call.decided = event
                if not event.approved:
                    self._settle(id_, event.text)

    def _return(self, event: Returned, tool: ToolDefinition | None) -> None:
        call = self.calls[event.call]
        call.outcome = event.outcome
        number = call.begun.number if call.begun else 0
        self.spent.seconds += event.seconds
        self.spent.bytes += event.size
        self.spent.faults += event.fault is not None
        call.has_fault = event.fault is not None
        if tool is not None and call.judged is not None:
            entry = Entry(number, tool.name, call.judged.key, tool.effect, event.outcome, event.at, tool.touches)
            self.ledger.add(entry)
        self.voices.hear_result(number, event.data)
        if call.call.name == SEARCH_TOOLS and event.outcome == "ok":
            self._offer(names_of(event.data))
        if tool is None or tool.trust == "untrusted":
            self.tainted_by.append(number)
        self._settle(event.call, event.text)

    def _receive(self, event: Received) -> None:
        call = self.calls[event.call]
        if call.judged and call.judged.verdict == "question":
            self.voices.user.append(event.text)
            self.user_words.append(event.text)
        else:
            self.voices.hear_result(0, event.text)
            self.tainted_by.append(0)
            self.spent.bytes += size_of(event.text)
        self._settle(event.call, event.text)

    def _settle(self, id_: str, text: str) -> None:
        """A call has what the model reads; the calls of the turn that repeat it have it too."""
        self.calls[id_].text = text
        for call in self._turn:
            if call.judged and call.judged.repeats == id_ and not call.is_settled:
                call.text = call.judged.text
        if self.is_turn_over:
            self._write_scratchpad()
            self.messages += [
                Message("tool", call.text, tool_call_id=call.call.id, name=call.call.name) for call in self._turn
            ]

    def _write_scratchpad(self) -> None:
        """The calls so far, behind the turn's last result of a server's tool, once there are some of earlier turns."""
        lines = self.scratchpad
        made = [call for call in self._turn if call.begun and call.outcome]
        if made and len(lines) > len(made):
            made[-1].text = with_calls(made[-1].text or "", lines)

    def _hear(self, message: Message) -> None:
        text = message.content or ""
        match message.role:
            case "tool":
                self.voices.hear_result(0, text)
                if 0 not in self.tainted_by:
                    self.tainted_by.append(0)
            case "assistant":
                self.voices.assistant.append(text)
            case role:
                self.voices.user.append(text)
                if role == "user":
                    self.user_words.append(text)


def _arguments(call: Call) -> str:
    """Templates want an object; a text that is none is shown as an empty one, and the fault says what was wrong."""
    try:
        return call.arguments if isinstance(json.loads(call.arguments), dict) else "{}"
    except (ValueError, RecursionError):
        return "{}"
