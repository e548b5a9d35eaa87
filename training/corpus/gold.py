"""Gold conversations for evaluation: a corpus split as JSONL, with what an evaluator must know beside each call.

A line is an OpenAI fine-tuning line with fields more: `seen` (all its services are in the training split); in each tool
call, `variants`: per argument every wording the annotators counted as the same value; and `expects: ask` in the answers
that ask for what is missing.
"""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from training.conversation import Conversation
from training.corpus import sgd
from training.corpus.archives import find_corpus


def write_gold(output: Path, data: Path | None, split: str, limit: int, seed: int = 0) -> int:
    """Write a random sample of a split of SGD. Returns the number of lines. Raises: DataMissingError, OSError."""
    folder = find_corpus("sgd", data)
    if not (folder / split / "schema.json").is_file():
        raise FileNotFoundError(f"the corpus has no split {split!r}")
    dialogues = list(sgd.read_dialogues(folder / split))
    chosen = random.Random(seed).sample(dialogues, min(limit, len(dialogues)))
    trained = set(sgd.read_services(folder / "train"))
    services = sgd.read_services(folder / split)
    with output.open("w", encoding="utf-8") as file:
        for dialogue in chosen:
            line = _line(dialogue, services)
            line["seen"] = set(dialogue.services) <= trained
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
    return len(chosen)


def _line(dialogue: sgd.Dialogue, services: sgd.Services) -> dict[str, Any]:
    conversation: Conversation = sgd.convert(dialogue, services)
    line = {**conversation.as_json(), "source": conversation.source}
    _mark_questions(line["messages"], dialogue)
    variants = _variants(dialogue)
    for message in line["messages"]:
        for call in message.get("tool_calls", ()):
            call["variants"] = {slot: sorted(values) for slot, values in next(variants).items()}
    return line


def _mark_questions(messages: list[dict[str, Any]], dialogue: sgd.Dialogue) -> None:
    """Every SYSTEM turn says one thing; where it requests a slot, asking is what is due."""
    said = (message for message in messages if message["role"] == "assistant" and not message.get("tool_calls"))
    for turn in dialogue.turns:
        if turn["speaker"] == "SYSTEM":
            message = next(said)
            if any(action["act"] == "REQUEST" for frame in turn["frames"] for action in frame.get("actions", ())):
                message["expects"] = "ask"


def _variants(dialogue: sgd.Dialogue) -> Iterator[dict[str, set[str]]]:
    """One entry a call, in order."""
    surface: dict[str, dict[str, list[str]]] = {}
    for turn in dialogue.turns:
        if turn["speaker"] == "USER":
            for frame in turn["frames"]:
                surface[frame["service"]] = frame["state"]["slot_values"]
        elif any("service_call" in frame for frame in turn["frames"]):
            yield sgd.argument_variants(turn, surface)
