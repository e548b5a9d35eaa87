"""What all runs of this process did, counted as it is recorded."""

from collections import Counter
from dataclasses import dataclass, field

from server.agent.events import Begun, Decided, Ended, Event, FaultKind, Judged, Returned, Spoke
from server.agent.state import RunState


@dataclass(slots=True)
class Tally:
    """Counters that only grow; keys are label values."""

    calls: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """By tool, its version, and outcome."""
    faults: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """By tool, its version, and kind: syntax, schema, check, execution, timeout, denied. A name that is none of the
    server's tools counts as no name: labels must be few."""
    repeats: Counter[str] = field(default_factory=Counter)
    """Calls answered from the ledger, by tool."""
    retries: Counter[str] = field(default_factory=Counter)
    """fault: turns in which the model may correct a faulty call; crash: calls made again after one."""
    approvals: Counter[str] = field(default_factory=Counter)
    """asked, approved, denied."""
    runs: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By the status they ended with, and the cap."""

    def note(self, event: Event, state: RunState) -> None:
        """`state`: with the event applied."""
        match event:
            case Judged(call=id_, verdict=verdict, fault=fault, approval=approval):
                if verdict == "repeat":
                    self.repeats[state.calls[id_].call.name] += 1
                self._note_fault(fault, id_, state)
                if approval is not None:
                    self.approvals["asked"] += 1
            case Decided(approved=approved):
                self.approvals["approved" if approved else "denied"] += 1
            case Begun(attempt=attempt):
                self.retries["crash"] += attempt > 1
            case Spoke():
                self.retries["fault"] += state.follows_fault
            case Returned(call=id_, outcome=outcome, fault=fault):
                name = state.calls[id_].call.name
                self.calls[name, state.started.tools.get(name, ""), outcome] += 1
                self._note_fault(fault, id_, state)
            case Ended(status=status, cap=cap):
                self.runs[status, cap or ""] += 1

    def _note_fault(self, kind: FaultKind | None, call: str, state: RunState) -> None:
        if kind is not None:
            name = state.calls[call].call.name
            version = state.started.tools.get(name, "")
            self.faults[name if version else "", version, kind] += 1
