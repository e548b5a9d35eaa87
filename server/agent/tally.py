"""What all runs of this process did, counted as it is recorded."""

from collections import Counter
from dataclasses import dataclass, field

from server.agent.events import Begun, Decided, Ended, Event, Judged, Returned
from server.agent.state import RunState


@dataclass(slots=True)
class Tally:
    """Counters that only grow; keys are label values."""

    calls: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """By tool, its version, and outcome."""
    faults: Counter[str] = field(default_factory=Counter)
    """By kind: syntax, schema, check, execution, timeout, denied."""
    repeats: Counter[str] = field(default_factory=Counter)
    """Calls answered from the ledger, by tool."""
    retries: int = 0
    """Calls made again after a crash."""
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
                if fault is not None:
                    self.faults[fault] += 1
                if approval is not None:
                    self.approvals["asked"] += 1
            case Decided(approved=approved):
                self.approvals["approved" if approved else "denied"] += 1
            case Begun(attempt=attempt):
                self.retries += attempt > 1
            case Returned(call=id_, outcome=outcome, fault=fault):
                name = state.calls[id_].call.name
                self.calls[name, state.started.tools.get(name, ""), outcome] += 1
                if fault is not None:
                    self.faults[fault] += 1
            case Ended(status=status, cap=cap):
                self.runs[status, cap or ""] += 1
