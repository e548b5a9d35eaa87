"""STAR's form: a folder with `dialogues/*.json` (events) and `apis/apis/*.json` (schemas).

https://github.com/RasaHQ/STAR. A wizard's query and the knowledge base's item are a call and its result. Queries by
ranges and sets (`api.is_at_least(4)`) say more than a JSON argument does, and leave a dialogue out.
"""

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from training.convert.builder import ConvertError, OneSchemaEach, RecordBuilder, refuse_nested
from training.data.record import Json, Record
from training.generate.slots import words

_EQUAL = re.compile(r"\s*api\.is_equal_to\((.*)\)\s*", re.S)
_PYTHON = {"True": "true", "False": "false", "None": "null"}


def read_star(folder: Path) -> Iterator[Record | ConvertError]:
    """Raises: OSError."""
    apis = {path.stem: _read_api(path) for path in sorted((folder / "apis" / "apis").glob("*.json"))}
    paths = sorted((folder / "dialogues").glob("*.json"), key=lambda path: (len(path.stem), path.stem))
    if not apis or not paths:
        raise FileNotFoundError(f"{folder} has no dialogues/ with apis/apis/")
    for path in paths:
        try:
            yield _record(json.loads(path.read_text(encoding="utf-8")), apis, path.stem)
        except ConvertError as error:
            yield error


def write_star(records: Iterable[Record], folder: Path) -> Iterator[ConvertError | None]:
    """One answer a record: None, or why it can't be written. Raises: OSError."""
    for name in ("dialogues", "apis/apis"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    written = OneSchemaEach(
        lambda api: [(entry["Name"], entry["Type"], entry.get("Categories")) for entry in api["input"]]
    )
    for number, record in enumerate(records, 1):
        try:
            dialogue = _dialogue(record, number)
            written.add({tool.function.name: _api(tool.function.parameters) for tool in record.tools or ()})
        except ConvertError as error:
            yield error
            continue
        (folder / "dialogues" / f"{number}.json").write_text(json.dumps(dialogue, ensure_ascii=False), encoding="utf-8")
        yield None
    for name, api in written.schemas.items():
        path = folder / "apis" / "apis" / f"{name}.json"
        path.write_text(json.dumps(api, ensure_ascii=False), encoding="utf-8")


def _record(dialogue: Json, apis: dict[str, Json], identity: str) -> Record:
    if dialogue.get("CompletionLevel") != "Complete":
        raise ConvertError("the dialogue was broken off")
    builder = RecordBuilder()
    used = {task["Task"] for task in dialogue["Scenario"]["WizardCapabilities"]}
    for event in dialogue["Events"]:
        match event["Agent"], event["Action"]:
            case "User", "utter":
                builder.user(event["Text"])
            case "Wizard", "utter" | "pick_suggestion":
                builder.says(event["Text"])
            case "Wizard", "query":
                used.add(event["APIName"])
                builder.calls([(event["APIName"], _arguments(event["Constraints"], apis.get(event["APIName"], {})))])
            case "KnowledgeBase", "return_item":
                builder.result(event.get("Item") or {"error": "nothing found"})
    return builder.record([apis[name] for name in apis if name in used], source=f"star/{identity}")


def _arguments(constraints: list[Json], api: Json) -> Json:
    given = {name: text for constraint in constraints for name, text in constraint.items()}
    values = {name: _value(str(text)) for name, text in given.items()}
    known = api["parameters"]["properties"] if api else {}
    ordered = {name: values[name] for name in known if name in values}
    return {name: _cast(value, known[name]) for name, value in ordered.items() if value is not None}


def _value(text: str) -> Any:
    equal = _EQUAL.fullmatch(text)
    text = (equal[1] if equal else text).strip()
    try:
        value = json.loads(_PYTHON.get(text, text or "null"))
    except ValueError:
        if text.startswith("api."):
            raise ConvertError(f"a query by {text.split('(')[0]}") from None
        return text  # digits with zeros before them
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _cast(value: Any, schema: Json) -> Any:
    """Account numbers and PINs are text, though the corpus writes them as numbers."""
    return json.dumps(value) if schema["type"] == "string" and not isinstance(value, str) else value


def _read_api(path: Path) -> Json:
    api = json.loads(path.read_text(encoding="utf-8"))
    properties = {entry["Name"]: _schema(entry) for entry in api["input"]}
    required = [name for name in api.get("required", ()) if name in properties]
    parameters = {"type": "object", "properties": properties, "required": required}
    description = words(path.stem).capitalize() + "."
    return {"name": path.stem, "description": description, "parameters": parameters}


def _schema(entry: Json) -> Json:
    described = {"description": entry.get("ReadableName", entry["Name"])}
    match entry["Type"]:
        case "Boolean":
            return {"type": "boolean", **described}
        case "Integer" | "Number":  # the latter is not STAR's, and written for what has decimals
            return {"type": entry["Type"].lower(), **described}
        case "Categorical" | "RequestType" if entry.get("Categories"):
            return {"type": "string", **described, "enum": entry["Categories"]}
    return {"type": "string", **described}


def _dialogue(record: Record, number: int) -> Json:
    events: list[Json] = []
    results = {m.tool_call_id: m.text for m in record.messages if m.role == "tool"}
    for message in record.messages:
        if message.role in ("user", "assistant") and message.text:
            agent = "User" if message.role == "user" else "Wizard"
            events.append({"Action": "utter", "Agent": agent, "Text": message.text})
        if len(message.tool_calls or ()) > 1:
            raise ConvertError("several calls in one message, which STAR has no place for")
        for call in message.tool_calls or ():
            values = json.loads(call.function.arguments)
            refuse_nested(values, "STAR")
            constraints = [{key: json.dumps(value, ensure_ascii=False)} for key, value in values.items()]
            query = {"Action": "query", "Agent": "Wizard", "APIName": call.function.name, "Constraints": constraints}
            item = {"Action": "return_item", "Agent": "KnowledgeBase", "Item": _item(results.get(call.id, "{}"))}
            events += [query, item]
    tasks = [{"Domain": "", "Task": tool.function.name} for tool in record.tools or ()]
    return {
        "FORMAT-VERSION": 7, "DialogueID": number, "CompletionLevel": "Complete",
        "Scenario": {"WizardCapabilities": tasks}, "Events": events,
    }  # fmt: skip


def _item(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return {"Message": text}


def _api(parameters: Json) -> Json:
    kinds = {"boolean": "Boolean", "integer": "Integer", "number": "Number"}
    entries = [
        {
            "Name": name,
            "ReadableName": schema.get("description", name),
            "Type": "Categorical" if schema.get("enum") else kinds.get(str(schema.get("type")), "ShortString"),
            **({"Categories": schema["enum"]} if schema.get("enum") else {}),
        }
        for name, schema in parameters.get("properties", {}).items()
    ]
    return {"input": entries, "output": [], "required": parameters.get("required", [])}
