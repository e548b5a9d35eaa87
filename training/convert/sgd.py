"""The Schema-Guided Dialogue corpus' form, a folder with `schema.json` and `dialogues_*.json`.

Read by `training.corpus.sgd`. Written with a service for every tool; all values become text, as the corpus has them.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from training.convert.builder import ConvertError, OneSchemaEach, RecordBuilder, names_by_id, refuse_nested
from training.corpus import sgd
from training.data.record import Json, Record, RecordMessage

_PER_FILE = 128


def read_sgd(folder: Path) -> Iterator[Record | ConvertError]:
    """A split's folder. Raises: OSError."""
    services = sgd.read_services(folder)
    for dialogue in sgd.read_dialogues(folder):
        try:
            conversation = sgd.convert(dialogue, services)
            builder = RecordBuilder()
            for message in conversation.messages:
                if message.tool_calls:
                    builder.calls([(call.name, call.arguments) for call in message.tool_calls])
                elif message.role == "tool":
                    builder.result(message.content or "")
                elif message.role == "user":
                    builder.user(message.content or "")
                else:
                    builder.says(message.content or "")
            tools = [
                {"name": t.name, "description": t.description, "parameters": t.parameters} for t in conversation.tools
            ]
            yield builder.record(tools, source=dialogue.id)
        except (ConvertError, KeyError) as error:
            yield error if isinstance(error, ConvertError) else ConvertError(f"the schema lacks {error}")


def write_sgd(records: Iterable[Record], folder: Path) -> Iterator[ConvertError | None]:
    """One answer a record: None, or why it can't be written. Raises: OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    services = OneSchemaEach(
        lambda service: (
            [(slot["name"], slot["possible_values"]) for slot in service["slots"]],
            service["intents"][0]["required_slots"],
        )
    )
    dialogues: list[Json] = []
    for number, record in enumerate(records):
        try:
            dialogue = _dialogue(record, f"1_{number:05}")
            services.add({tool.function.name: _service(tool.function.model_dump()) for tool in record.tools or ()})
            dialogues.append(dialogue)
            yield None
        except ConvertError as error:
            yield error
    schema = json.dumps(list(services.schemas.values()), ensure_ascii=False)
    (folder / "schema.json").write_text(schema, encoding="utf-8")
    for start in range(0, len(dialogues), _PER_FILE):
        path = folder / f"dialogues_{start // _PER_FILE + 1:03}.json"
        path.write_text(json.dumps(dialogues[start : start + _PER_FILE], ensure_ascii=False), encoding="utf-8")


def _dialogue(record: Record, identity: str) -> Json:
    turns: list[Json] = []
    messages = [message for message in record.messages if message.role not in ("system", "developer")]
    names = names_by_id(record)
    for before, message in zip([None, *messages], messages, strict=False):
        if message.role == "user":
            turns.append({"speaker": "USER", "utterance": message.text, "frames": []})
        elif message.role == "assistant" and before is not None and before.role == "tool":
            if message.tool_calls:
                raise ConvertError("a call right after a result, which SGD has no place for")
            turns[-1]["utterance"] = message.text
        elif message.role == "tool":
            turns[-1]["frames"][0]["service_results"] = [_result(message.text)]
        else:
            turns.append({"speaker": "SYSTEM", "utterance": message.text, "frames": _frames(message)})
    return {"dialogue_id": identity, "services": sorted(set(names.values())), "turns": turns}


def _frames(message: RecordMessage) -> list[Json]:
    if not message.tool_calls:
        return []
    if len(message.tool_calls) > 1:
        raise ConvertError("several calls in one message, which SGD has no place for")
    if message.text:
        raise ConvertError("text beside a call, which SGD has no place for")
    function = message.tool_calls[0].function
    arguments = json.loads(function.arguments)
    refuse_nested(arguments, "SGD")
    values = {key: _text(value) for key, value in arguments.items()}
    call = {"method": function.name, "parameters": values}
    return [{"service": function.name, "service_call": call, "service_results": []}]


def _service(function: Json) -> Json:
    properties = function["parameters"].get("properties", {})
    required = [name for name in function["parameters"].get("required", ()) if name in properties]
    slots = [
        {
            "name": name,
            "description": schema.get("description", name.replace("_", " ")),
            "is_categorical": bool(schema.get("enum")),
            "possible_values": [_text(value) for value in schema.get("enum", ())],
        }
        for name, schema in properties.items()
    ]
    intent = {
        "name": function["name"],
        "description": function.get("description") or function["name"],
        "required_slots": required,
        "optional_slots": {name: "dontcare" for name in properties if name not in required},
    }
    return {"service_name": function["name"], "description": intent["description"], "slots": slots, "intents": [intent]}


def _result(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return {"result": text}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else str(value) if isinstance(value, bool) else json.dumps(value)
