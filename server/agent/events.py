"""The steps of a run as they are stored: what was decided or learnt, in an order that tells everything.

A run's state is the fold of its events (`state.py`) and nothing else, so one that is killed goes on where it was.
What acts is stored before it acts: `Begun` is there before a tool is called.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Discriminator, TypeAdapter

from server.agent.caps import CapName, Caps
from server.agent.ledger import Outcome
from server.agent.policy import Restrictions
from server.agent.provenance import Origin
from server.chat.messages import Message, Tool

FaultKind = Literal["syntax", "schema", "check", "execution", "timeout", "denied"]
Verdict = Literal["run", "repeat", "fault", "client", "question"]
Status = Literal["completed", "incomplete", "failed", "cancelled"]
QUESTION_TOOL = "ask_user"


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a turn."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Started:
    """The first event: all that the run may ever use."""

    messages: tuple[Message, ...]
    tools: Mapping[str, str]
    """Name to version: the set is fixed before anything untrusted is read, and a tool that changes leaves it."""
    client_tools: tuple[Tool, ...] = ()
    """Executed by the client."""
    caps: Caps = field(default_factory=Caps)
    restrictions: Restrictions = field(default_factory=Restrictions)
    principal: str = ""
    request: Mapping[str, Any] = field(default_factory=dict)
    """What the door was asked with, for the door's own use."""
    asks: bool = False
    """The model may ask the user."""
    needed: tuple[str, ...] = ()
    """Tools that the model is shown whatever the user says, because the request names them."""
    kind: Literal["started"] = "started"


@dataclass(frozen=True, slots=True)
class Offered:
    """Tools that the model is shown from now on; without such an event, all of the run's."""

    tools: tuple[str, ...]
    heard: int
    """How many of the user's messages were looked at."""
    why: Mapping[str, str] = field(default_factory=dict)
    """Tool to its places in the search."""
    kind: Literal["offered"] = "offered"


@dataclass(frozen=True, slots=True)
class Spoke:
    """The model's turn."""

    content: str
    calls: tuple[Call, ...] = ()
    seconds: float = 0.0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    is_cut: bool = False
    """It ran into its own token limit."""
    reasoning: str = ""
    """What it thought before."""
    reasoning_tokens: int = 0
    """Of the completion's."""
    kind: Literal["spoke"] = "spoke"


@dataclass(frozen=True, slots=True)
class Approval:
    """A person must approve a call before it runs."""

    id: str
    hash: str
    """`canonical.approval_hash`: what the approval is for, and for nothing else."""
    reasons: tuple[str, ...]
    expires: float
    """Seconds since the epoch; it must be given and used by then."""
    request: Mapping[str, Any] | None = None
    """What would be sent, for a tool that calls an API."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What becomes of a call. A call that needs approval says so here: between two events a process may die."""

    call: str
    verdict: Verdict
    key: str = ""
    text: str = ""
    """What the model reads, for `fault` and `repeat`."""
    fault: FaultKind | None = None
    repeats: str | None = None
    """The call of the same turn that this one is again; its result is still to come."""
    origins: Mapping[str, Origin] = field(default_factory=dict)
    approval: Approval | None = None
    kind: Literal["judged"] = "judged"


@dataclass(frozen=True, slots=True)
class Decided:
    """Somebody did, or nobody in time."""

    approval: str
    approved: bool
    text: str = ""
    """What the model reads if it was denied."""
    kind: Literal["decided"] = "decided"


@dataclass(frozen=True, slots=True)
class Begun:
    """A tool is about to be called. Without `Ended` behind it nobody knows whether it was."""

    call: str
    number: int
    attempt: int = 1
    kind: Literal["begun"] = "begun"


@dataclass(frozen=True, slots=True)
class Returned:
    """A tool has answered, or failed."""

    call: str
    outcome: Outcome
    text: str
    """What the model reads."""
    data: Any = None
    """What it said, as far as it was kept; provenance looks here."""
    fault: FaultKind | None = None
    seconds: float = 0.0
    size: int = 0
    """Bytes, untrimmed."""
    at: float = 0.0
    """Seconds since the epoch."""
    kind: Literal["returned"] = "returned"


@dataclass(frozen=True, slots=True)
class Received:
    """The client's result of a call, or the user's answer to a question."""

    call: str
    text: str
    kind: Literal["received"] = "received"


@dataclass(frozen=True, slots=True)
class Ended:
    """The last event."""

    status: Status
    cap: CapName | None = None
    error: str | None = None
    kind: Literal["ended"] = "ended"


Event = Started | Offered | Spoke | Judged | Decided | Begun | Returned | Received | Ended
_ADAPTER: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Discriminator("kind")])


def write_event(event: Event) -> dict[str, Any]:
    """As JSON values."""
    written: dict[str, Any] = _ADAPTER.dump_python(event, mode="json")
    return written


def read_event(body: Mapping[str, Any]) -> Event:
    """Raises: pydantic.ValidationError."""
    return _ADAPTER.validate_python(dict(body))
