"""What two texts have in common, however they are punctuated and capitalised."""

import json
import re
from collections.abc import Iterator
from hashlib import blake2b

from training.data.record import Record

_WORD = re.compile(r"\w+")


def normalised(text: str) -> tuple[str, ...]:
    """The words, in small letters."""
    return tuple(_WORD.findall(text.casefold()))


def ngrams(words: tuple[str, ...], size: int) -> Iterator[int]:
    """A number for each run of `size` words; a shorter text is one run."""
    for start in range(max(1, len(words) - size + 1)):
        if words:
            yield fingerprint(" ".join(words[start : start + size]))


def fingerprint(text: str) -> int:
    """The same on every machine and in every run, unlike `hash`."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")


def conversation_key(record: Record) -> int:
    """The same for conversations that say and call the same, whatever ids, tools in reach and system text they have."""
    parts = []
    for message in record.messages:
        if message.role in ("system", "developer"):
            continue
        calls = [f"{call.function.name} {_canonical(call.function.arguments)}" for call in message.tool_calls or ()]
        parts.append(" ".join([message.role, *normalised(message.text), *calls]))
    return fingerprint("\n".join(parts))


def _canonical(arguments: str) -> str:
    """The same for texts of the same JSON value."""
    try:
        return json.dumps(json.loads(arguments), sort_keys=True)
    except (ValueError, RecursionError):
        return arguments


def opening_key(record: Record) -> str:
    """What the user says first."""
    return " ".join(next((normalised(m.text) for m in record.messages if m.role == "user"), ()))
