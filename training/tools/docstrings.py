"""Reads what a docstring says of a function and its parameters: Google's, NumPy's and Sphinx' styles."""

import inspect
import re
from typing import NamedTuple

_SECTION = re.compile(
    r"(args|arguments|parameters|returns?|raises|yields?|examples?|notes?|attributes|see also):?$", re.I
)
_OWN = {"args:", "arguments:", "parameters:", "parameters", "args"}
_SPHINX = re.compile(r"^:param\s+(?:[\w\[\], |.]+\s+)?(\w+)\s*:\s*(.*)$")
_GOOGLE = re.compile(r"^\*{0,2}(\w+)\s*(?:\([^)]*\))?\s*:\s*(.*)$")
_NUMPY = re.compile(r"^(\w+)\s*:\s*\S.*$")


class Documentation(NamedTuple):
    """The text before the sections, and a text for each parameter that has one."""

    description: str
    parameters: dict[str, str]


def read_docstring(text: str | None, names: set[str]) -> Documentation:
    """`names`: the function's parameters; whatever else looks like one is text."""
    lines = inspect.cleandoc(text or "").splitlines()
    description: list[str] = []
    for line in lines:
        if _SECTION.match(line.strip()) or _SPHINX.match(line) or line.startswith((":return", ":rais", ":rtype")):
            break
        description.append(line)
    found = {**_section(lines, names), **_sphinx(lines, names)}
    return Documentation(" ".join(" ".join(description).split()), found)


def _sphinx(lines: list[str], names: set[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    current = ""
    for line in lines:
        match = _SPHINX.match(line)
        if match and match[1] in names:
            current = match[1]
            found[current] = match[2].strip()
        elif line.startswith(":") or not line.strip():
            current = ""
        elif current:
            found[current] += " " + line.strip()
    return found


def _section(lines: list[str], names: set[str]) -> dict[str, str]:
    """The parameters' section, whose entries are indented (Google) or underlined by what is indented (NumPy)."""
    start = next((i for i, line in enumerate(lines) if line.strip().lower() in _OWN), None)
    if start is None:
        return {}
    is_numpy = start + 1 < len(lines) and set(lines[start + 1].strip()) == {"-"}
    found: dict[str, str] = {}
    current = ""
    for line in lines[start + (2 if is_numpy else 1) :]:
        stripped = line.strip()
        if _SECTION.match(stripped) or set(stripped) == {"-"} or (not is_numpy and stripped and not line[0].isspace()):
            break
        match = (_NUMPY if is_numpy and not line[:1].isspace() else _GOOGLE).match(stripped)
        if match and match[1] in names and not (is_numpy and line[:1].isspace()):
            current = match[1]
            found[current] = "" if is_numpy else match[2]
        elif current:
            found[current] = f"{found[current]} {stripped}".strip()
    return found
