"""`tool_choice` over the turns of a run. A call that is required is required once: a model that must always call never
answers. What is allowed (`allowed_tools`, none) is allowed in every turn.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from server.agent.events import QUESTION_TOOL
from server.api.errors import invalid
from server.api.wire import ChatCompletionRequest
from server.chat.request import ToolChoice


@dataclass(frozen=True, slots=True)
class RunChoice:
    """What a request says about calling."""

    mode: Literal["none", "auto", "required"] = "auto"
    names: tuple[str, ...] | None = None
    """The tools it names; None: all of the run's."""
    is_lasting: bool = True
    """The names hold for every turn, not for the first only."""

    def of_turn(self, names: tuple[str, ...], *, is_first: bool) -> ToolChoice:
        """`names`: the tools that the run may call now."""
        left = names
        if self.names is not None and (is_first or self.is_lasting):
            left = tuple(name for name in names if name in self.names or (self.is_lasting and name == QUESTION_TOOL))
        if not left or self.mode == "none":
            return ToolChoice("none")
        return ToolChoice(self.mode if is_first else "auto", left)

    def check(self, names: Collection[str]) -> None:
        """`names`: of all tools that the run may call. Raises: ApiError, if one is named that is none of them."""
        unknown = [name for name in self.names or () if name not in names]
        if unknown:
            told = ", ".join(names) or "none"
            raise invalid(f"There is no tool '{unknown[0]}' to choose. There are: {told}.", "tool_choice")
        if self.mode == "required" and not names:
            raise invalid("There is no tool that could be called.", "tool_choice")


def choice_of(body: ChatCompletionRequest) -> RunChoice:
    match body.tool_choice:
        case None | "auto":
            return RunChoice()
        case "none" | "required" as word:
            return RunChoice(word)
        case choice:
            written: Mapping[str, Any] = choice.model_dump()
    if written["type"] == "allowed_tools":
        allowed = written["allowed_tools"]
        return RunChoice(allowed["mode"], tuple(tool[tool["type"]]["name"] for tool in allowed["tools"]))
    return RunChoice("required", (written[written["type"]]["name"],), is_lasting=False)
