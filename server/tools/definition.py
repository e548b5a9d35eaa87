"""A tool as the server runs it: its schema, what it does to the world, how far its output can be trusted.

`effect` and `trust` are the operator's words, never the model's and never the tool's output's; all guards of the loop
stand on them. A tool that says nothing is destructive and its output untrusted.
"""

import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Json = dict[str, Any]
Effect = Literal["read", "write", "destructive"]
Trust = Literal["trusted", "untrusted"]
Approval = Literal["auto", "always", "never"]
Source = Literal["user", "result", "assistant", "default", "invented"]


class ToolError(Exception):
    """The call failed and nothing was done, so it may be tried again. The text is shown to the model."""


class UncertainError(Exception):
    """The call failed, and whether it was carried out is not known. The text is shown to the model."""


@dataclass(frozen=True, slots=True)
class CallContext:
    """What a tool learns of its call beside the arguments."""

    run: str
    key: str
    """The idempotency key: the same for every attempt at one call, and for no other call."""
    principal: str = ""
    """Whom the run works for: the owner of the API key."""
    reach: frozenset[str] = frozenset()
    """Names of the tools that the run may use."""


Execute = Callable[[Json, CallContext], Awaitable[Any]]
Check = Callable[[Json], Awaitable[str | None]]
Preview = Callable[[Json], Json]


@dataclass(frozen=True, slots=True)
class ToolDefinition:
    """A tool that the server executes."""

    name: str
    parameters: Mapping[str, Any]
    """A JSON Schema of an object."""
    execute: Execute
    description: str | None = None
    effect: Effect = "destructive"
    trust: Trust = "untrusted"
    """Of its output. Untrusted: anybody may have written it, as in a mail or a web page."""
    check: Check | None = None
    """Says in words what is wrong with arguments that fit the schema ("there is no user 17"), or None. Only reads."""
    approval: Approval = "auto"
    """auto: destructive calls, and writes once the run has read untrusted output. never: at the operator's risk."""
    sources: Mapping[str, tuple[Source, ...]] = field(default_factory=dict)
    """Where an argument must come from, by its top-level name: {"recipient": ("user",)}."""
    touches: frozenset[str] = frozenset()
    """Names of what it reads or changes. A write invalidates the reads it shares a name with; without names, all."""
    polls: bool = False
    """Asked again on purpose ("is the job done?"): never answered from the ledger."""
    is_idempotent: bool = False
    """A write that does nothing the second time it sees a key: may be repeated after a crash."""
    timeout: float = 30.0
    """Seconds."""
    result_limit: int = 16_384
    """Bytes of a result the model gets to see."""
    preview: Preview | None = None
    """Shows a person what a call would send, exactly. Raises: ToolError, if nothing could be sent."""
    keywords: str = ""
    """Further words it may be found by, where there are more tools than a prompt takes."""
    words: Trust = "trusted"
    """Its name, description and schema. Untrusted: strangers wrote them, and writes of a run that shows them need
    approval."""
    source_text: str = ""
    """What `version` is made of beside the schema: the code."""

    @property
    def version(self) -> str:
        """Changes with anything an approval was given for: schema, effect, trust, code."""
        text = json.dumps(
            [self.name, self.description, dict(self.parameters), self.effect, self.trust, self.source_text],
            sort_keys=True,
        )
        return hashlib.sha256(text.encode()).hexdigest()[:16]
