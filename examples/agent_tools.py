"""Three tools for `trammel serve --tools examples/agent_tools.py`: one reads, one writes, one destroys."""

from typing import Annotated, Literal

from pydantic import Field

from server.tools import ToolError, tool

NOTES: dict[str, str] = {"Paris": "Buy a ticket"}
SKIES = {"Paris": "clear", "Oslo": "snow"}
City = Annotated[str, Field(max_length=40, description="Name of the city")]


@tool(effect="read", trust="trusted")
def get_weather(city: City, unit: Literal["celsius", "fahrenheit"] = "celsius") -> dict[str, object]:
    """Get the weather for a city"""
    return {"city": city, "temperature": 21 if unit == "celsius" else 70, "sky": SKIES.get(city, "clear")}


@tool(effect="write", trust="trusted", touches=["notes"])
def add_note(title: City, text: Annotated[str, Field(max_length=80)]) -> str:
    """Add a note"""
    NOTES[title] = text
    return "added"


@tool(effect="destructive", trust="trusted", touches=["notes"])
def delete_note(title: City) -> str:
    """Delete a note"""
    if title not in NOTES:
        raise ToolError(f"There is no note {title!r}; there are: {', '.join(NOTES)}.")
    del NOTES[title]
    return "deleted"
