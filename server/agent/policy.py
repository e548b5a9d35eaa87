"""What may run by itself, what a person must approve, and what may not run at all. The model has no say in it.

A run's restrictions reach into the grammar: a tool that is forbidden is not among those that can be decoded. Guards can
be switched off only in code, to measure what they prevent.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from server.agent.provenance import Origin
from server.tools.definition import ToolDefinition


@dataclass(frozen=True, slots=True)
class Guards:
    """All on, unless something is being measured."""

    dedup: bool = True
    taint: bool = True
    approval: bool = True
    sources: bool = True


@dataclass(frozen=True, slots=True)
class Restrictions:
    """What a run may not do, though its tools could. Given at its start, and only ever narrower than the operator's."""

    read_only: bool = False
    forbidden: tuple[str, ...] = ()
    approve: tuple[str, ...] = ()
    """Tools whose every call needs approval."""

    def permit(self, tool: ToolDefinition) -> bool:
        return tool.name not in self.forbidden and (tool.effect == "read" or not self.read_only)


def callable_names(tools: Sequence[ToolDefinition], restrictions: Restrictions) -> tuple[str, ...]:
    """The tools that the grammar lets the model name."""
    return tuple(tool.name for tool in tools if restrictions.permit(tool))


def refusal(
    tool: ToolDefinition, origins: Mapping[str, Origin], restrictions: Restrictions, guards: Guards
) -> str | None:
    """Why a call may not run, in words for the model; None if it may."""
    if not restrictions.permit(tool):
        return f"The tool {tool.name} is not allowed here. Do without it."
    if not guards.sources:
        return None
    for pointer, origin in origins.items():
        name = pointer.split("/")[1] if "/" in pointer else ""
        allowed = tool.sources.get(name)
        if allowed is not None and origin.source not in allowed:
            wanted = " or ".join("an earlier result" if one == "result" else f"the {one}" for one in allowed)
            return f"The argument {name} must come from {wanted}; this value comes from {_told(origin)}. Ask the user."
    return None


def approval_reasons(
    tool: ToolDefinition,
    tainted_by: Sequence[int],
    restrictions: Restrictions,
    guards: Guards,
    shown: Iterable[ToolDefinition] = (),
) -> tuple[str, ...]:
    """Why a person must approve a call; empty if nobody need. `tainted_by`: calls that gave untrusted output; 0 stands
    for what the client brought. `shown`: the tools whose descriptions the model reads."""
    reasons = []
    if not guards.approval:
        return ()
    if tool.name in restrictions.approve:
        reasons.append("this run asks for approval of every call of it")
    if tool.approval == "always":
        reasons.append("every call of it needs approval")
    if tool.approval == "auto" and tool.effect == "destructive":
        reasons.append("it is destructive")
    if tool.approval == "auto" and tool.effect != "read" and tainted_by and guards.taint:
        calls = ", ".join(str(number) if number else "the client's" for number in tainted_by)
        reasons.append(f"the run has read untrusted output (of call {calls})")
    strangers = [one.name for one in shown if one.words == "untrusted"]
    if tool.approval == "auto" and tool.effect != "read" and strangers and guards.taint:
        more = " and others" if len(strangers) > 1 else ""
        reasons.append(f"strangers wrote the description of a tool that the model is shown ({strangers[0]}{more})")
    return tuple(reasons)


def _told(origin: Origin) -> str:
    return {"invented": "nowhere", "result": f"the result of call {origin.result}"}.get(
        origin.source, f"the {origin.source}"
    )
