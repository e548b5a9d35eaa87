"""Tools out of code and documents, and what can't be made a tool."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel, Field
from typer.testing import CliRunner

from tests.training.openapi_sample import OPENAPI
from training.cli import app
from training.tools import Tool, ToolError, ToolParameter, load_tools, tool_from_function, tool_from_model
from training.tools.examples import EXAMPLE_TOOLS
from training.tools.loading import tool_from_json
from training.tools.openapi import tools_from_openapi


def google(city: str, unit: Literal["c", "f"] = "c", days: int | None = None) -> str:
    """Get the weather.

    Of a city, that is.

    Args:
        city: Name of
            the city
        unit (str): c or f

    Returns:
        days: not a parameter's text
    """
    return city + unit + str(days)


def numpy(city: str, days: int) -> None:
    """Get the weather.

    Parameters
    ----------
    city : str
        Name of the city
    days : int
        How many

    Returns
    -------
    None
    """


def sphinx(city: str, days: int) -> None:
    """Get the weather.

    :param city: Name of
        the city
    :param int days: How many
    :return: nothing
    """


def annotated(city: Annotated[str, "Name of the city"], days: Annotated[int, Field(ge=1)]) -> None: ...


def copies(copy: str, schema: dict[str, int]) -> None:
    """Names that pydantic's models have themselves."""


def texts_of(tool: Tool) -> dict[str, str]:
    return {name: schema.get("description") for name, schema in tool.arguments_schema()["properties"].items()}


def test_a_function_becomes_a_tool() -> None:
    assert tool_from_function(google).as_json() == {
        "type": "function",
        "function": {
            "name": "google",
            "description": "Get the weather. Of a city, that is.",
            "parameters": {
                "type": "object",
                "properties": {
                    "city": {"type": "string", "description": "Name of the city"},
                    "unit": {"type": "string", "enum": ["c", "f"], "default": "c", "description": "c or f"},
                    "days": {"anyOf": [{"type": "integer"}, {"type": "null"}], "default": None},
                },
                "required": ["city"],
                "additionalProperties": False,
            },
        },
    }


@pytest.mark.parametrize("function", [numpy, sphinx])
def test_docstrings_of_all_styles_are_read(function: Any) -> None:
    tool = tool_from_function(function)
    assert tool.description == "Get the weather."
    assert texts_of(tool) == {"city": "Name of the city", "days": "How many"}


def test_annotations_describe_and_bound() -> None:
    tool = tool_from_function(annotated)
    assert texts_of(tool)["city"] == "Name of the city"
    assert tool.judge is not None
    assert tool.judge({"city": "Oslo", "days": 0}) == ["days: Input should be greater than or equal to 1"]
    assert tool.judge({"city": "Oslo", "days": 1}) == []


def test_parameters_may_be_called_anything() -> None:
    assert set(texts_of(tool_from_function(copies))) == {"copy", "schema"}


def untyped(city): ...  # type: ignore[no-untyped-def]


def starred(*cities: str) -> None: ...


def exotic(city: object.__class__.__class__) -> None: ...  # type: ignore[valid-type]


@pytest.mark.parametrize("function", [untyped, starred, exotic])
def test_a_function_that_no_schema_describes_is_refused(function: Any) -> None:
    with pytest.raises(ToolError, match=function.__name__):
        tool_from_function(function)


def test_a_model_becomes_a_tool() -> None:
    class Stay(BaseModel):
        name: str

    class BookHotel(BaseModel):
        """Book a room."""

        stay: Stay
        nights: int = Field(1, description="How many")

    tool = tool_from_model(BookHotel)
    assert (tool.name, tool.description) == ("book_hotel", "Book a room.")
    Draft202012Validator(tool.arguments_schema()).validate({"stay": {"name": "Ritz"}, "nights": 2})
    assert "title" not in json.dumps(tool.arguments_schema())


def test_classes_become_a_tool() -> None:
    tool = Tool("f", "F", (ToolParameter("a", "integer", "An a"), ToolParameter("b", required=False, enum=("x", "y"))))
    assert tool.arguments_schema() == {
        "type": "object",
        "properties": {"a": {"type": "integer", "description": "An a"}, "b": {"type": "string", "enum": ["x", "y"]}},
        "required": ["a"],
        "additionalProperties": False,
    }


@pytest.mark.parametrize(
    ("make", "word"),
    [(lambda: Tool("no name"), "no name"), (lambda: Tool("f", schema={"type": "objekt"}), "objekt")],
)
def test_what_is_no_tool_is_refused(make: Any, word: str) -> None:
    with pytest.raises(ToolError, match=word):
        make()


@pytest.mark.parametrize("key", ["parameters", "inputSchema", "input_schema"])
def test_json_tools_are_read_in_every_usual_form(key: str) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    flat = tool_from_json({"name": "f", "description": "F", key: schema})
    assert flat == tool_from_json({"type": "function", "function": {"name": "f", "description": "F", key: schema}})
    assert flat.arguments_schema()["properties"] == schema["properties"]


def test_operations_become_tools() -> None:
    get, put = tools_from_openapi(OPENAPI)
    assert (get.name, get.description) == ("get_pets_id", "Show a pet")
    assert list(get.arguments_schema()["properties"]) == ["id"]
    assert put.name == "update_pet"
    schema = put.arguments_schema()
    assert schema["required"] == ["id", "name"]
    assert set(schema["properties"]) == {"id", "name", "friend"}
    Draft202012Validator(schema).validate({"id": 1, "name": "Rex", "friend": {"of": None}})
    assert not Draft202012Validator(schema).is_valid({"id": 1, "name": "Rex", "friend": {"of": 1}})


def test_references_that_lead_nowhere_are_refused() -> None:
    document = {**OPENAPI, "components": {}}
    with pytest.raises(ToolError, match="leads nowhere"):
        tools_from_openapi(document)


def test_tools_are_found_by_name_and_in_files(tmp_path: Path) -> None:
    (tmp_path / "tools.json").write_text(json.dumps([tool.as_json() for tool in EXAMPLE_TOOLS[:2]]))
    (tmp_path / "api.json").write_text(json.dumps(OPENAPI))
    (tmp_path / "mine.py").write_text(
        "from training.tools import Tool\nping = Tool('ping')\ndef pong(n: int) -> int:\n    'Answer.'\n    return n\n"
        "def _hidden(n): ...\n"
    )
    (tmp_path / "listed.py").write_text("def f(n: int): ...\ndef g(n: int): ...\nTOOLS = [g]\n")

    def names(source: str) -> list[str]:
        return [tool.name for tool in load_tools(source)]

    assert names("send_email,search") == ["send_email", "search"]
    assert names(f"{tmp_path}/tools.json") == ["search", "calculate"]
    assert names(f"{tmp_path}/tools.json:calculate") == ["calculate"]
    assert names(f"{tmp_path}/api.json+search") == ["get_pets_id", "update_pet", "search"]
    assert names(f"{tmp_path}/mine.py") == ["ping", "pong"]
    assert names(f"{tmp_path}/listed.py") == ["g"]
    for wrong in ("nothing", "search,search", f"{tmp_path}/tools.json:ping"):
        with pytest.raises(ToolError):
            names(wrong)


def test_a_python_file_that_fails_is_told(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text("1 / 0")
    with pytest.raises(ToolError, match="ZeroDivisionError"):
        load_tools(f"{tmp_path}/bad.py")


def test_the_tools_that_ship_are_printed_and_simulate_what_they_do() -> None:
    result = CliRunner().invoke(app, ["data", "tools", "calculate"])
    assert json.loads(result.stdout)[0]["function"]["name"] == "calculate"
    calculate = next(tool for tool in EXAMPLE_TOOLS if tool.name == "calculate")
    assert calculate.simulate is not None
    assert calculate.simulate(expression="(2 + 3) * 4") == {"result": 20}
    assert "error" in calculate.simulate(expression="__import__('os')")


def test_arguments_are_judged_by_python_types_too(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from typing import Annotated\nfrom pydantic import AfterValidator\n"
        "def even(n: int) -> int:\n    if n % 2:\n        raise ValueError('odd')\n    return n\n"
        "def f(n: Annotated[int, AfterValidator(even)]): ...\nTOOLS = [f]\n"
    )
    (tool,) = load_tools(f"{tmp_path}/mine.py")
    calls = [{"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"n":3}'}}]
    line = {"messages": [{"role": "user", "content": "3"}, {"role": "assistant", "content": None, "tool_calls": calls}]}
    (tmp_path / "data.jsonl").write_text(json.dumps({**line, "tools": [tool.as_json()]}))
    arguments = ["data", "validate", f"{tmp_path}/data.jsonl"]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    judged = CliRunner().invoke(app, [*arguments, "--tools", f"{tmp_path}/mine.py"])
    assert judged.exit_code == 1
    assert "odd" in judged.stdout
