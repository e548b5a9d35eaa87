"""Tools for servers of tests. What they do is written to the file AGENT_TALLY, so that it outlives the server."""

import os
import time
from pathlib import Path
from typing import Annotated

from pydantic import Field

from server.tools import ToolError, tool

Short = Annotated[str, Field(max_length=12)]


def note(text: str) -> None:
    with Path(os.environ["AGENT_TALLY"]).open("a") as file:
        file.write(text + "\n")


@tool(effect="read", trust="trusted")
def get_weather(city: Short) -> str:
    """Get the weather for a city"""
    note(f"get_weather {city}")
    return "clear"


@tool(effect="read", trust="untrusted")
def read_book() -> str:
    """Read the book"""
    return "word " * 200_000


@tool(effect="write", trust="trusted")
def add_note(title: Short) -> str:
    """Add a note"""
    note("add_note")
    return f"added {title}"


@tool(effect="write", trust="trusted")
def slow_write() -> str:
    """Write slowly"""
    note("slow_write")
    time.sleep(30)
    return "written"


@tool(effect="destructive", trust="trusted")
def delete_note(title: Short) -> str:
    """Delete a note"""
    note("delete_note")
    return f"deleted {title}"


@tool(effect="read", trust="trusted")
def find_user(name: Short) -> str:
    """Find a user"""
    raise ToolError(f"There is no user {name}.")
