"""Draws arguments for a tool, each with the words in which a user would say it.

A value and its words are drawn together: what stands in the call stands in the conversation, so that reading is what
is learnt. Where a schema can't be drawn from (a pattern, say), `examples` in it or in the `ToolParameter` help.
"""

import random
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from training.data.argument_faults import argument_faults
from training.tools import values
from training.tools.definition import Json, Tool

_ATTEMPTS = 20
_DEEPEST = 4


class DrawError(ValueError):
    """No arguments can be made up for a tool; the text says which and why."""


@dataclass(frozen=True, slots=True)
class Slot:
    """An argument and how it is said."""

    name: str
    value: Any
    text: str
    """The value in the user's words."""
    mention: str
    """The same with what leads to it: `in Oslo`, `subject "Lunch"`."""


def draw_slots(tool: Tool, names: Collection[str], rng: random.Random) -> dict[str, Slot]:
    """Values for the parameters named, in the schema's order. Raises: DrawError."""
    schema = tool.arguments_schema()
    ordered = [name for name in schema["properties"] if name in names]
    fault = ""
    for _ in range(_ATTEMPTS):
        try:
            slots = {name: draw_slot(tool, name, rng) for name in ordered}
        except DrawError as error:
            fault = str(error)
            continue
        faults = argument_faults(schema, arguments_of(slots))
        faults += tuple(tool.judge(arguments_of(slots))) if tool.judge and not faults else ()
        missing = [name for name in schema.get("required", ()) if name not in slots]
        if not faults or missing:  # what is missing on purpose is a fault on purpose
            return slots
        fault = faults[0]
    raise DrawError(f"can't make up arguments for {tool.name}: {fault}; `examples` would help")


def draw_slot(tool: Tool, name: str, rng: random.Random) -> Slot:
    """Raises: DrawError."""
    schema = tool.arguments_schema()
    known = tool.parameter(name)
    if known is not None and known.draw is not None:
        value = known.draw(rng)
    elif known is not None and known.examples:
        value = rng.choice(list(known.examples))
    else:
        value = _draw(schema["properties"][name], name, schema, rng, 0)
    return make_slot(name, value)


def make_slot(name: str, value: Any) -> Slot:
    """How a given value is said."""
    text = said(value)
    if value is True or value is False:
        mention = f"{'with' if value else 'without'} {words(name)}"
    else:
        mention = f"{_lead(name)} {text}" if _lead(name) else f"{words(name)} {quoted(text)}"
    return Slot(name, value, text, mention)


def arguments_of(slots: Mapping[str, Slot]) -> Json:
    return {slot.name: slot.value for slot in slots.values()}


def said(value: Any) -> str:
    """A value as one says it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        parts = [said(item) for item in value]
        return " and ".join([", ".join(parts[:-1]), parts[-1]]) if len(parts) > 1 else "".join(parts)
    if isinstance(value, dict):
        return ", ".join(f"{words(key)} {said(inner)}" for key, inner in value.items())
    return "none" if value is None else str(value)


def quoted(text: str) -> str:
    """Quotes where words would run together with the sentence around them."""
    return f'"{text}"' if " " in text else text


def words(name: str) -> str:
    """A name as words: `check_in_date`, `checkInDate`."""
    spaced = "".join(
        f" {c.lower()}" if c.isupper() and i and not name[i - 1].isupper() else c for i, c in enumerate(name)
    )
    return spaced.replace("_", " ").replace("-", " ").strip()


def _lead(name: str) -> str:
    last = words(name).lower().split()[-1] if words(name) else ""
    leads = {"city": "in", "location": "in", "place": "in", "country": "in", "date": "on", "day": "on", "time": "at"}
    return leads.get(last, "")


def _draw(schema: Any, name: str, root: Json, rng: random.Random, depth: int) -> Any:
    if depth > _DEEPEST or not isinstance(schema, dict):
        raise DrawError(f"{name} is nested too deep")
    schema = _resolved(schema, root)
    if "const" in schema:
        return schema["const"]
    for key in ("enum", "examples"):
        if schema.get(key):
            return rng.choice([value for value in schema[key] if value is not None] or schema[key])
    kind = schema.get("type", "object" if "properties" in schema else "string")
    kind = next((k for k in kind if k != "null"), "null") if isinstance(kind, list) else kind
    if kind == "array":
        least = max(1, schema.get("minItems", 1))
        count = rng.randint(least, max(least, min(3, schema.get("maxItems", 3))))
        return [_draw(schema.get("items", {}), _singular(name), root, rng, depth + 1) for _ in range(count)]
    if kind == "object":
        members = schema.get("properties", {})
        chosen = [key for key in members if key in schema.get("required", ()) or rng.random() < 0.3]
        return {key: _draw(members[key], key, root, rng, depth + 1) for key in chosen}
    return _SCALARS[kind](schema, name, rng)


def _resolved(schema: Json, root: Json) -> Json:
    """References followed, and of alternatives the first that is not null."""
    for _ in range(10):
        if "$ref" in schema:
            target = schema["$ref"].removeprefix("#/$defs/")
            schema = {**root.get("$defs", {}).get(target, {}), **{k: v for k, v in schema.items() if k != "$ref"}}
        alternatives = schema.get("anyOf") or schema.get("oneOf")
        if not alternatives:
            break
        chosen = next((a for a in alternatives if a.get("type") != "null"), alternatives[0])
        schema = {**chosen, **{key: value for key, value in schema.items() if key not in ("anyOf", "oneOf")}}
    return schema


def _singular(name: str) -> str:
    return name[:-1] if name.endswith("s") else name


def _integer(schema: Json, _: str, rng: random.Random) -> int:
    low = schema.get("minimum", schema.get("exclusiveMinimum", 0) + 1 if "exclusiveMinimum" in schema else 1)
    high = schema.get("maximum", schema.get("exclusiveMaximum", 100) - 1 if "exclusiveMaximum" in schema else low + 98)
    step = int(schema.get("multipleOf", 1)) or 1
    return rng.randint(-(-int(low) // step), max(-(-int(low) // step), int(high) // step)) * step


def _number(schema: Json, name: str, rng: random.Random) -> float:
    whole = _integer(schema, name, rng)
    if rng.random() < 0.5 or "multipleOf" in schema or "maximum" in schema:
        return whole
    return round(whole + rng.randint(1, 99) / 100, 2)


def _string(schema: Json, name: str, rng: random.Random) -> str:
    made = _FORMATS.get(str(schema.get("format", "")))
    if made is None:
        last = words(name).lower().split()[-1:] or [""]
        made = next((draw for keys, draw in _BY_NAME if last[0] in keys), values.phrase)
    text = made(rng)
    return text[: schema["maxLength"]].strip() if "maxLength" in schema else text


def _url(rng: random.Random) -> str:
    return f"https://{values.invented(rng).lower()}.example/{values.invented(rng).lower()}"


def _uuid(rng: random.Random) -> str:
    digits = f"{rng.getrandbits(128):032x}"
    return "-".join((digits[:8], digits[8:12], "4" + digits[13:16], "a" + digits[17:20], digits[20:]))


def _moment(rng: random.Random) -> str:
    return f"{values.date(rng)}T{values.time_of_day(rng)}:00Z"


_SCALARS: dict[str, Callable[[Json, str, random.Random], Any]] = {
    "integer": _integer,
    "number": _number,
    "string": _string,
    "boolean": lambda _, __, rng: rng.random() < 0.5,
    "null": lambda _, __, ___: None,
}
_FORMATS: dict[str, Callable[[random.Random], str]] = {
    "date": values.date,
    "time": lambda rng: f"{values.time_of_day(rng)}:00Z",
    "date-time": _moment,
    "email": values.email,
    "uri": _url,
    "url": _url,
    "uuid": _uuid,
}
_BY_NAME: tuple[tuple[tuple[str, ...], Callable[[random.Random], str]], ...] = (
    (("city", "location", "place", "destination", "origin", "town", "area"), values.place),
    (("email", "mail"), values.email),
    (("date", "day", "birthday"), values.date),
    (("time", "hour"), values.time_of_day),
    (("id", "code", "number", "reference", "symbol", "key", "sku"), values.code),
    (("url", "link", "website"), _url),
    (("name", "person", "recipient", "attendee", "user", "customer", "artist", "author"), values.full_name),
)
