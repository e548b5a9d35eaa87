"""A tool as one writes it down in code, with what the generator of training data can make use of."""

import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import grammars
from server.chat import messages

Json = dict[str, Any]
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


class ToolError(ValueError):
    """A tool can't be made of what was given; the text says why."""


@dataclass(frozen=True, slots=True)
class ToolParameter:
    """One parameter. `schema` holds JSON Schema keywords beyond the usual ones."""

    name: str
    type: str = "string"
    description: str = ""
    required: bool = True
    enum: Sequence[Any] = ()
    schema: Mapping[str, Any] = field(default_factory=dict)
    examples: Sequence[Any] = ()
    """Values that generated data use; they don't stand in the schema."""
    draw: Callable[[random.Random], Any] | None = None
    """Makes a value for generated data, where a list of examples is not enough."""

    def as_schema(self) -> Json:
        described = {"description": self.description} if self.description else {}
        options = {"enum": list(self.enum)} if self.enum else {}
        return {"type": self.type, **described, **options, **self.schema}


@dataclass(frozen=True, slots=True)
class Tool:
    """A function a model is to learn to call. Raises: ToolError, for a name or a schema that is none."""

    name: str
    description: str = ""
    parameters: Sequence[ToolParameter] = ()
    schema: Mapping[str, Any] | None = None
    """JSON Schema of the arguments, where they aren't told by `parameters`."""
    requests: Sequence[str] = ()
    """What users say, with `{name}` for values: "What is {expression}?". Generated data use it."""
    simulate: Callable[..., Any] | None = None
    """Gives the result of a call for generated data. Nothing else of a tool is ever run."""
    judge: Callable[[Json], list[str]] | None = None
    """What is wrong with arguments that satisfy the schema, such as by a pydantic model."""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ToolError(f"{self.name!r} is no name of a tool: 1 to 64 letters, digits, _ and - make one")
        try:
            grammars.compile(self.arguments_schema(), strict=False, closed=True)
        except grammars.InvalidSchema as error:
            raise ToolError(f"{self.name}: {error}") from error
        except grammars.GrammarError:  # can't be held by a grammar, and is a schema all the same
            pass

    def arguments_schema(self) -> Json:
        """JSON Schema of an object."""
        if self.schema is not None:
            return {"type": "object", "properties": {}, **self.schema}
        return {
            "type": "object",
            "properties": {parameter.name: parameter.as_schema() for parameter in self.parameters},
            "required": [parameter.name for parameter in self.parameters if parameter.required],
            "additionalProperties": False,
        }

    def as_message_tool(self) -> messages.Tool:
        """The tool as conversations carry it."""
        return messages.Tool(self.name, self.arguments_schema(), self.description or None)

    def as_json(self) -> Json:
        """The tool as OpenAI writes it."""
        return self.as_message_tool().as_template_value()

    def parameter(self, name: str) -> ToolParameter | None:
        """What is known about a parameter beyond its schema."""
        return next((parameter for parameter in self.parameters if parameter.name == name), None)
