"""A teacher: any OpenAI-compatible endpoint that says generated requests in better words.

Nothing it says is trusted. Every value that a call needs must stand in its words as it did before; else it is asked
again, and in the end the template's own words stay. The answer's form is asked for as a JSON Schema, which our server
holds by its grammar. Answers are kept in a journal: a run that was broken off pays for none twice, and ends as an
unbroken one would.
"""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from training.data.record import Json, Record, RecordMessage
from training.generate.endpoint import Endpoint, EndpointError
from training.generate.slots import said
from training.mix.words import fingerprint, normalised

Mode = Literal["paraphrase", "write"]
_SCHEMA: Json = {
    "type": "object",
    "properties": {"message": {"type": "string", "minLength": 1, "maxLength": 400}},
    "required": ["message"],
    "additionalProperties": False,
}
_PARAPHRASE = (
    "Rewrite this message to an assistant in other words, as another person would say it. Keep its meaning, and keep "
    "these values exactly as they are written: {values}. Do not answer it.\n\nMessage: {text}"
)
_WRITE = (
    "A person wants an assistant to use this tool: {tool}. Write what they say to it, naturally and in one or two "
    "sentences. These values must stand in it exactly as they are written: {values}.\n\nThe arguments are: {arguments}"
)


class TeacherError(RuntimeError):
    """The endpoint can't be asked; the text says why."""


@dataclass(slots=True)
class Teacher:
    """Asks one endpoint. Its key is `$TRAMMEL_TEACHER_API_KEY`, or else `$OPENAI_API_KEY`."""

    url: str
    """Up to and with /v1."""
    model: str
    journal: Path
    mode: Mode = "paraphrase"
    temperature: float = 0.9
    attempts: int = 3
    """For one message, until all values stand in it."""
    retries: int = 4
    """After errors that may pass."""
    timeout: float = 120.0
    asked: int = 0
    rewritten: int = 0
    kept: int = 0
    """Messages whose own words stayed, because no answer would do."""
    _known: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.journal.exists():
            for line in self.journal.read_text(encoding="utf-8").split("\n"):
                entry = _entry(line)
                if entry is not None:
                    self._known[entry["key"]] = entry["text"]

    def rewrite(self, record: Record) -> Record:
        """The record with its first request in the teacher's words.

        Where the assistant must ask before it calls, the template's words stay: a teacher might say what is missing.
        Raises: TeacherError.
        """
        index = next((i for i, message in enumerate(record.messages) if message.role == "user"), None)
        if index is None or not _calls_first(record):
            return record
        old = record.messages[index].text
        values = _values_in(record, old)
        prompt = self._prompt(record, old, values)
        for attempt in range(self.attempts):
            text = self._ask(prompt, attempt)
            if _will_do(text, old, values):
                self.rewritten += 1
                messages = list(record.messages)
                messages[index] = RecordMessage(role="user", content=text)
                return record.model_copy(update={"messages": messages})
        self.kept += 1
        return record

    def _prompt(self, record: Record, text: str, values: list[str]) -> str:
        calls = [call for message in record.messages for call in message.tool_calls or ()]
        shown = ", ".join(f"`{value}`" for value in values) or "none"
        said_all = all(leaf in values for call in calls for leaf in _leaves(json.loads(call.function.arguments)))
        if self.mode == "paraphrase" or len(calls) > 1 or not said_all:
            return _PARAPHRASE.format(values=shown, text=text)
        function = calls[0].function
        description = next(
            (t.function.description for t in record.tools or () if t.function.name == function.name), None
        )
        return _WRITE.format(tool=description or function.name, values=shown, arguments=function.arguments)

    def _ask(self, prompt: str, attempt: int) -> str:
        """From the journal, or from the endpoint and into the journal."""
        key = f"{fingerprint(f'{self.model} {self.temperature} {attempt} {prompt}'):016x}"
        if key not in self._known:
            self.asked += 1
            body: Json = {
                "model": self.model,
                "messages": [{"role": "user", "content": prompt}],
                "temperature": self.temperature,
                "max_tokens": 300,
                "seed": attempt,
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "message", "schema": _SCHEMA, "strict": True},
                },
            }
            self._known[key] = _message_of(self._post(body))
            with self.journal.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"key": key, "text": self._known[key]}, ensure_ascii=False) + "\n")
        return self._known[key]

    def _post(self, body: Json) -> Any:
        endpoint = Endpoint(self.url, ("TRAMMEL_TEACHER_API_KEY", "OPENAI_API_KEY"), self.retries, self.timeout)
        try:
            return endpoint.complete(body).get("content")
        except EndpointError as error:
            raise TeacherError(f"the teacher at {error}") from error


def _entry(line: str) -> dict[str, str] | None:
    """None for a line that was not written to its end."""
    try:
        entry: dict[str, str] = json.loads(line)
    except ValueError:
        return None
    return entry


def _calls_first(record: Record) -> bool:
    """Whether the first thing the assistant does is to call."""
    first = next((message for message in record.messages if message.role == "assistant"), None)
    return first is not None and bool(first.tool_calls)


def _message_of(content: Any) -> str:
    """The text in the answer, whether or not the endpoint held the form."""
    text = str(content or "").strip()
    try:
        value = json.loads(text)
    except ValueError:
        return "" if text.startswith("{") else text  # an object that was cut off says nothing
    return str(value.get("message", "") if isinstance(value, dict) else value).strip()


def _values_in(record: Record, text: str) -> list[str]:
    """What calls need of a message: values that stand in it word by word."""
    values: dict[str, None] = {}
    for message in record.messages:
        for call in message.tool_calls or ():
            values |= dict.fromkeys(
                leaf for leaf in _leaves(json.loads(call.function.arguments)) if _stands_in(leaf, text)
            )
    return list(values)


def _leaves(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [leaf for inner in value.values() for leaf in _leaves(inner)]
    if isinstance(value, list):
        return [leaf for inner in value for leaf in _leaves(inner)]
    return [] if isinstance(value, bool) or value is None else [said(value)]


def _stands_in(value: str, text: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(value)}(?!\w)", text) is not None


def _will_do(text: str, old: str, values: list[str]) -> bool:
    """Other words, all values, no new numbers, and neither a word nor an essay."""
    words, before = normalised(text), normalised(old)
    return (
        all(_stands_in(value, text) for value in values)
        and {word for word in words if word.isdigit()} <= {word for word in before if word.isdigit()}
        and words != before
        and 2 <= len(words) <= 3 * len(before) + 20
        and "\n\n" not in text
    )
