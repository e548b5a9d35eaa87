"""Python functions as tools."""

import asyncio
import time
from pathlib import Path
from typing import Any, Literal

import pytest

from server.tools import ToolDefinition, ToolError, tool
from server.tools.definition import CallContext
from server.tools.functions import ToolsError, define, load_tools

CONTEXT = CallContext("run_1", "key_1")


@tool(effect="read", trust="trusted", check=lambda city, unit: None if city != "Atlantis" else f"no city {city}")
def get_weather(city: str, unit: Literal["celsius", "fahrenheit"] = "celsius") -> dict[str, Any]:
    """Get the weather for a city"""
    return {"city": city, "unit": unit}


def test_a_signature_becomes_a_schema() -> None:
    defined = define(get_weather)
    assert (defined.name, defined.effect, defined.description) == ("get_weather", "read", "Get the weather for a city")
    assert defined.parameters["properties"]["unit"] == {
        "default": "celsius", "enum": ["celsius", "fahrenheit"], "type": "string"
    }  # fmt: skip
    assert defined.parameters["required"] == ["city"]
    assert defined.parameters["additionalProperties"] is False


async def test_functions_and_coroutines_are_called_with_their_arguments() -> None:
    @tool()
    async def later(number: int, context: CallContext) -> str:
        return f"{number} {context.key}"

    assert await define(get_weather).execute({"city": "Oslo"}, CONTEXT) == {"city": "Oslo", "unit": "celsius"}
    assert await define(later).execute({"number": 3}, CONTEXT) == "3 key_1"
    assert "context" not in define(later).parameters["properties"]


async def test_checks_say_what_is_wrong() -> None:
    check = define(get_weather).check
    assert check is not None
    assert await check({"city": "Atlantis", "unit": "celsius"}) == "no city Atlantis"
    assert await check({"city": "Oslo", "unit": "celsius"}) is None


async def test_errors_cross_the_thread() -> None:
    @tool()
    def fail() -> None:
        raise ToolError("no such thing")

    @tool()
    def stop() -> None:
        raise StopIteration

    with pytest.raises(ToolError, match="no such thing"):
        await define(fail).execute({}, CONTEXT)
    with pytest.raises(RuntimeError, match="StopIteration"):
        await define(stop).execute({}, CONTEXT)


async def test_many_hanging_functions_hold_up_nothing() -> None:
    @tool()
    def hang() -> None:
        time.sleep(5)

    hanging = [asyncio.create_task(asyncio.wait_for(define(hang).execute({}, CONTEXT), 0.05)) for _ in range(40)]
    assert await define(get_weather).execute({"city": "Oslo"}, CONTEXT)
    results = await asyncio.gather(*hanging, return_exceptions=True)
    assert all(isinstance(result, TimeoutError) for result in results)


def test_the_version_changes_with_the_code_and_the_effect() -> None:
    async def nothing(*_: Any) -> None: ...

    versions = {
        ToolDefinition("x", {}, nothing, effect=effect, source_text=text).version
        for effect in ("read", "write")
        for text in ("a", "b")
    }
    assert len(versions) == 4


def test_a_file_of_tools_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(
        "from server.tools import tool\n\n@tool(effect='read')\ndef one(a: int) -> int:\n    return a\n\n"
        "def not_one() -> None: ...\n"
    )
    assert [defined.name for defined in load_tools(str(path))] == ["one"]


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("x = 1", "has no tools"),
        ("1 / 0", "ZeroDivisionError"),
        ("from server.tools import tool\n@tool(effekt='read')\ndef f(): ...", "effekt"),
        ("from server.tools import tool\n@tool()\ndef f(*a): ...", "no schema"),
        ("from server.tools import tool\n@tool(name='a')\ndef f(): ...\n@tool(name='a')\ndef g(): ...", "same name"),
    ],
)
def test_a_file_that_is_wrong_says_why(tmp_path: Path, code: str, reason: str) -> None:
    path = tmp_path / "wrong.py"
    path.write_text(code)
    with pytest.raises(ToolsError, match=reason):
        load_tools(str(path))


def test_a_module_that_is_not_there_says_so() -> None:
    with pytest.raises(ToolsError, match="no_such_module"):
        load_tools("no_such_module")
