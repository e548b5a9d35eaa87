"""Commands and generated code as tools, in a sandbox and nowhere else.

A command is a list of words, never a shell's line: an argument is one word or a part of one, whatever it holds. Since a
sandbox lets nothing out but the output, such a tool is a read.
"""

import asyncio
import json
import string
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from server.tools.definition import CallContext, Json, ToolDefinition, ToolError
from server.tools.sandbox import Bounds, Job, Sandbox, find_sandbox


class BoundPassedError(RuntimeError):
    """A job was ended because it took too much. Names the bound."""


def command_tool(
    name: str,
    command: Sequence[str],
    parameters: Mapping[str, Any],
    *,
    bounds: Bounds | None = None,
    readable: Sequence[str | Path] = (),
    environment: Mapping[str, str] | None = None,
    stdin: str | None = None,
    sandbox: str = "auto",
    image: str | None = None,
    **options: Any,
) -> ToolDefinition:
    """A program of this machine as a tool.

    `command`: its words; `{argument}` in a word stands for that argument, and the word goes where the argument is left
    out (so write an option and its value as one word: `--unit={unit}`). `stdin`: the argument that it reads as its
    input; by default it reads all arguments as JSON. `readable`: what it may read beside the system's programs.
    `sandbox` and `image`: see `find_sandbox`. `options`: further fields of `ToolDefinition`.

    Raises: ValueError, if a word or `stdin` names an argument that `parameters` doesn't have.
    """
    known = set(parameters.get("properties", {}))
    named = {field for word in command for field in _fields(word)}
    if unknown := sorted((named | ({stdin} if stdin else set())) - known):
        raise ValueError(f"{name}: the command names {', '.join(unknown)}, which is no argument of it")
    paths = tuple(Path(path).resolve() for path in readable)
    host = _Host(sandbox, image)
    limits = bounds or Bounds()

    async def execute(arguments: Json, context: CallContext) -> Any:
        job = Job(
            command=_words(command, arguments),
            stdin=_input(arguments, stdin),
            bounds=limits,
            readable=paths,
            environment={**(environment or {}), "TRAMMEL_KEY": context.key},
        )
        return await host.run(job)

    options.setdefault("effect", "read")
    options.setdefault("timeout", limits.seconds + 5)
    return ToolDefinition(name, parameters, execute, source_text=json.dumps([list(command), stdin]), **options)


def code_tool(
    name: str = "run_python", interpreter: Sequence[str] = ("python3", "-I", "-"), **options: Any
) -> ToolDefinition:
    """Code that the model writes, given to an interpreter of this machine. `options`: those of `command_tool`."""
    parameters = {
        "type": "object",
        "properties": {"code": {"type": "string", "description": "The whole program; what it prints is the result."}},
        "required": ["code"],
        "additionalProperties": False,
    }
    options.setdefault("description", "Run a short Python program, without network or files, and get what it prints")
    return command_tool(name, interpreter, parameters, stdin="code", **options)


class _Host:
    """The sandbox of a tool, looked for when the tool is first called."""

    def __init__(self, name: str, image: str | None) -> None:
        self._name = name
        self._image = image
        self._found: Sandbox | None = None
        self._looking = asyncio.Lock()

    async def run(self, job: Job) -> Any:
        """Raises: NoSandboxError, BoundPassedError, OSError."""
        async with self._looking:
            if self._found is None:
                self._found = await find_sandbox(self._name, self._image)
        outcome = await self._found.run(job)
        if outcome.ended != "exit":
            raise BoundPassedError(f"it was ended: too much {outcome.ended}")
        output = outcome.stdout.decode("utf-8", "replace")
        if outcome.exit_code != 0:
            problem = outcome.stderr.decode("utf-8", "replace")
            return {"exit_code": outcome.exit_code, "output": output, "error": problem[-2000:]}
        try:
            return json.loads(output)
        except ValueError:
            return output


def _words(command: Sequence[str], arguments: Json) -> tuple[str, ...]:
    """The command without the words that stand for an argument which was left out. Raises: ToolError."""
    return tuple(_word(word, arguments) for word in command if _fields(word) <= arguments.keys())


def _fields(word: str) -> set[str]:
    return {field for _, field, _, _ in string.Formatter().parse(word) if field is not None}


def _word(word: str, arguments: Json) -> str:
    """Raises: ToolError, if the argument would be read as an option or can't be a word."""
    made = word.format(**{field: _text(arguments[field]) for field in _fields(word)})
    if "\0" in made:
        raise ToolError("an argument of a command can't hold a NUL character")
    if made.startswith("-") and not word.startswith("-"):
        raise ToolError(f"{made!r} would be read as an option: it can't begin with a dash")
    return made


def _input(arguments: Json, stdin: str | None) -> bytes:
    text = _text(arguments.get(stdin, "")) if stdin else json.dumps(arguments)
    return text.encode("utf-8", "replace")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
