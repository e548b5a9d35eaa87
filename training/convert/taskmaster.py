"""Taskmaster-4's form: utterances whose annotations are API calls with request and response.

https://github.com/google-research-datasets/Taskmaster (TM-4-2024). The corpus has no schemas, so the tools are told
from all calls of all files: a parameter that every call gives is required.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from training.convert.builder import ConvertError, RecordBuilder
from training.data.record import Json, Record

_DESCRIPTIONS = {
    "get_menu_items": "Search the menu.",
    "add_order_item": "Add an item to an order, or begin one.",
    "get_order_details": "Show what is in an order.",
    "finish_order": "Send an order off to be made.",
    "get_addons": "Search what can be added to an item.",
    "update_order": "Change an order's attributes.",
    "update_order_item": "Change an item of an order.",
    "show_menu": "Show the whole menu.",
}


def read_taskmaster(folder: Path) -> Iterator[Record | ConvertError]:
    """The folder of `data_*.json`, or one above. Raises: OSError."""
    paths = sorted(folder.glob("data_*.json")) or sorted(folder.glob("**/data/data_*.json"))
    if not paths:
        raise FileNotFoundError(f"{folder} has no data_*.json")
    tools = _infer_tools(paths)
    for path in paths:
        for dialogue in json.loads(path.read_text(encoding="utf-8")):
            try:
                yield _record(dialogue, tools)
            except ConvertError as error:
                yield error


def write_taskmaster(records: Iterable[Record], folder: Path) -> Iterator[ConvertError | None]:
    """One answer a record: None, or why it can't be written. Raises: OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    dialogues = []
    for number, record in enumerate(records):
        try:
            dialogues.append(_dialogue(record, f"dlg-{number:06}"))
            yield None
        except ConvertError as error:
            yield error
    (folder / "data_00.json").write_text(json.dumps(dialogues, ensure_ascii=False), encoding="utf-8")


def _record(dialogue: Json, tools: dict[str, Json]) -> Record:
    builder = RecordBuilder()
    for utterance in dialogue["utterances"]:
        if utterance["speaker"] == "user":
            builder.user(utterance["text"])
            _read_calls(builder, utterance["annotations"])
        else:
            _read_calls(builder, utterance["annotations"])
            builder.says(utterance["text"])
    own = {call.function.name for message in builder.messages for call in message.tool_calls or ()}
    shown = [tool for name, tool in tools.items() if name in own or name in _DESCRIPTIONS]
    return builder.record(shown, source=f"taskmaster4/{dialogue['conversation_id']}")


def _read_calls(builder: RecordBuilder, annotations: list[Json]) -> None:
    """Calls follow each other, each with its response."""
    for name, request, response in _calls(annotations):
        builder.calls([(name, request)])
        builder.result(response)


def _calls(annotations: list[Json]) -> Iterator[tuple[str, Any, str]]:
    name, request = "", "{}"
    for annotation in annotations:
        if annotation["name"] == "api_call":
            name, request = annotation["value"], "{}"
        elif annotation["name"] == "request":
            request = annotation["value"]
        elif annotation["name"] == "response":
            yield name, request, annotation["value"]


def _infer_tools(paths: list[Path]) -> dict[str, Json]:
    calls: Counter[str] = Counter()
    given: dict[str, Counter[str]] = {}
    kinds: dict[tuple[str, str], Json] = {}
    for path in paths:
        for dialogue in json.loads(path.read_text(encoding="utf-8")):
            for utterance in dialogue["utterances"]:
                for name, request, _ in _calls(utterance["annotations"]):
                    try:
                        values = json.loads(request)
                    except ValueError:
                        continue
                    calls[name] += 1
                    given.setdefault(name, Counter()).update(values.keys())
                    kinds |= {(name, key): _merged(kinds.get((name, key)), value) for key, value in values.items()}
    return {name: _tool(name, calls[name], given[name], kinds) for name in calls}


def _tool(name: str, calls: int, given: Counter[str], kinds: dict[tuple[str, str], Json]) -> Json:
    properties = {key: kinds[name, key] for key in given}
    required = [key for key, count in given.items() if count == calls]
    parameters = {"type": "object", "properties": properties, "required": required}
    return {
        "name": name,
        "description": _DESCRIPTIONS.get(name, name.replace("_", " ").capitalize() + "."),
        "parameters": parameters,
    }


def _merged(schema: Json | None, value: Any) -> Json:
    """A schema that admits this value beside what it admitted."""
    if isinstance(value, dict):
        before = (schema or {}).get("properties", {})
        members = {**before, **{key: _merged(before.get(key), inner) for key, inner in value.items()}}
        return {"type": "object", "properties": members}
    if isinstance(value, list):
        items = (schema or {}).get("items")
        for item in value:
            items = _merged(items, item)
        return {"type": "array", **({"items": items} if items else {})}
    kind = {bool: "boolean", int: "integer", float: "number"}.get(type(value), "string")
    return {"type": kind} if schema is None or schema.get("type") == kind else {}


def _dialogue(record: Record, identity: str) -> Json:
    utterances: list[Json] = []
    results = {m.tool_call_id: m.text for m in record.messages if m.role == "tool"}
    for message in record.messages:
        if message.role in ("system", "developer", "tool"):
            continue
        if not message.tool_calls:
            speaker = "user" if message.role == "user" else "assistant"
            text = {"index": len(utterances), "speaker": speaker, "text": message.text}
            utterances.append({**text, "segments": [], "annotations": []})
            continue
        if len(message.tool_calls) > 1 or message.text:
            raise ConvertError("several calls or text in a calling message, which Taskmaster has no place for")
        call = message.tool_calls[0]
        if not utterances or utterances[-1]["speaker"] != "user" or call.id not in results:
            raise ConvertError("a call that is not a user's, or without result, which Taskmaster has no place for")
        utterances[-1]["annotations"] += _annotations(call.function.name, call.function.arguments, results[call.id])
    return {"conversation_id": identity, "vertical": "", "scenario": "", "instructions": None, "utterances": utterances}


def _annotations(name: str, request: str, response: str) -> list[Json]:
    values = (("api_call", name), ("request", request), ("api_response", name), ("response", response))
    return [{"name": kind, "value": value, "context": ""} for kind, value in values]
