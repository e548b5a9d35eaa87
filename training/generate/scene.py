"""A conversation in the making: turns are added one by one, and calls get their ids and results."""

import random
from dataclasses import dataclass, field
from typing import Any, Literal

from training.conversation import compact_json
from training.data.record import Call, Function, RecordMessage
from training.generate.request import Request
from training.generate.slots import Slot, arguments_of
from training.tools import values
from training.tools.definition import Json, Tool


@dataclass(slots=True)
class Scene:
    """`needs` are the tools that must be in reach."""

    rng: random.Random
    messages: list[RecordMessage] = field(default_factory=list)
    needs: dict[str, Tool] = field(default_factory=dict)
    withheld: dict[str, Tool] = field(default_factory=dict)
    """Tools that must not be in reach."""
    _calls: int = 0

    def user(self, text: str) -> None:
        self.messages.append(RecordMessage(role="user", content=text))

    def says(self, text: str, expects: Literal["ask", "talk"] | None = None) -> None:
        extra = {"expects": expects} if expects else {}
        self.messages.append(RecordMessage(role="assistant", content=text, **extra))

    def calls(self, *made: tuple[Tool, dict[str, Slot]], is_learnt: bool = True) -> list[str]:
        """One message with these calls. Returns their ids."""
        calls = []
        for tool, slots in made:
            self.needs[tool.name] = tool
            self._calls += 1
            arguments = compact_json(arguments_of(_in_order(tool, slots)))
            calls.append(Call(id=f"call_{self._calls}", function=Function(name=tool.name, arguments=arguments)))
        weight = None if is_learnt else 0
        self.messages.append(RecordMessage(role="assistant", tool_calls=calls, weight=weight))
        return [call.id for call in calls]

    def returns(self, identity: str, result: Any) -> None:
        text = result if isinstance(result, str) else compact_json(result)
        self.messages.append(RecordMessage(role="tool", tool_call_id=identity, content=text))

    def result(self, request: Request) -> Any:
        return self.result_of(request.tool, request.slots)

    def result_of(self, tool: Tool, slots: dict[str, Slot]) -> Any:
        """What a call gives: what the tool simulates, or something made up."""
        if tool.simulate is not None:
            return tool.simulate(**arguments_of(slots))
        noun = tool.name.replace("-", "_").split("_")[-1].lower()
        made: list[Json] = [
            {"status": "ok", f"{noun}_id": values.code(self.rng)},
            {"name": values.invented(self.rng), "price": values.money(self.rng)},
            {"result": values.phrase(self.rng), "count": self.rng.randint(1, 50)},
            {"ok": True},
        ]
        return self.rng.choice(made)


def _in_order(tool: Tool, slots: dict[str, Slot]) -> dict[str, Slot]:
    """As the schema has them: the only order that the server's grammars admit."""
    return {name: slots[name] for name in tool.arguments_schema()["properties"] if name in slots}
