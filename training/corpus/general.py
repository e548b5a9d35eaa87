"""General chat: small talk between two people, quiz questions with their answers, sums that a calculator works out,
and what people say to assistants that can't do it.

Sources: Synthetic-Persona-Chat (https://github.com/google-research-datasets/Synthetic-Persona-Chat, CC BY 4.0),
OpenTriviaQA (https://github.com/uberspot/OpenTriviaQA, CC BY-SA 4.0), GSM8K (https://github.com/openai/grade-school-math,
MIT) and CLINC150 (https://github.com/clinc/oos-eval, CC BY 3.0).
"""

import csv
import json
import re
import zlib
from collections.abc import Iterator
from pathlib import Path

from server.chat.messages import Message, Tool, ToolCall
from training.conversation import Conversation, compact_json

_CALCULATE = Tool(
    "calculate",
    {
        "type": "object",
        "properties": {"expression": {"type": "string", "description": "Numbers with + - * / and brackets"}},
        "required": ["expression"],
    },
    "Work out an arithmetic expression.",
)
_STEP = re.compile(r"<<([0-9+*/(). -]+)=(-?[0-9.]+)>>")
"""GSM8K's mark of a calculator's work: `<<48/2=24>>`."""
_MOST_STEPS = 4
_PHRASE = re.compile(r"[A-Za-z][A-Za-z'&.,: -]{1,38}[A-Za-z]")
_PERSONA_FILES = "persona/data/Synthetic-Persona-Chat_*.csv"
_KEPT_BACK = "_test"
"""The file that evaluation is left with."""


def read_persona_chats(folder: Path) -> Iterator[Conversation]:
    """Each exchange with the first speaker as the user and the second as the assistant."""
    for path in sorted(path for path in folder.glob(_PERSONA_FILES) if not path.stem.endswith(_KEPT_BACK)):
        with path.open(encoding="utf-8", newline="") as file:
            for number, row in enumerate(csv.DictReader(file)):
                messages = _speakers(row["Best Generated Conversation"])
                if len(messages) >= 2 and "[" not in "".join(m.content or "" for m in messages):
                    yield Conversation(messages, source=f"{path.stem}/{number}")


def read_trivia(folder: Path) -> Iterator[Conversation]:
    """Question and right answer, one a conversation."""
    for path in sorted((folder / "trivia" / "categories").iterdir()):
        question = ""
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("#Q "):
                question = line[3:].strip()
            elif line.startswith("^ ") and question and not is_kept_back(question):
                messages = (Message("user", question), Message("assistant", line[2:].strip()))
                yield Conversation(messages, source=f"trivia/{path.name}")
                question = ""


def read_calculations(folder: Path) -> Iterator[Conversation]:
    """A problem in words, its sums as calls of a calculator, one after the other, and the answer."""
    for number, line in enumerate(_lines(folder / "gsm8k" / "grade_school_math" / "data" / "train.jsonl")):
        problem = json.loads(line)
        if is_kept_back(problem["question"]):
            continue
        working, _, answer = problem["answer"].rpartition("#### ")
        steps = _STEP.findall(working)
        if 0 < len(steps) <= _MOST_STEPS and len(steps) == working.count("<<"):
            messages = [Message("user", problem["question"])]
            for place, (expression, result) in enumerate(steps, 1):
                call = ToolCall(_CALCULATE.name, compact_json({"expression": expression}), f"call_{place}")
                messages += [
                    Message("assistant", None, (call,)),
                    Message("tool", compact_json({"result": _number(result)}), tool_call_id=call.id),
                ]
            messages.append(Message("assistant", f"The answer is {answer}."))
            yield Conversation(tuple(messages), (_CALCULATE,), f"gsm8k/{number}")


def is_kept_back(question: str) -> bool:
    """A tenth of the questions is for evaluation (`evals.suites.chat` asks them as `unseen`)."""
    return zlib.crc32(" ".join(question.split()).encode()) % 10 == 0


def read_off_topic(folder: Path) -> tuple[list[str], list[str]]:
    """What people said: that no assistant of the usual kind does, and that some do (book, pay, remind …)."""
    said = json.loads((folder / "clinc150" / "data" / "data_full.json").read_text(encoding="utf-8"))
    return [text for text, _ in said["oos_train"] + said["oos_test"]], [text for text, _ in said["train"]]


def phrases(folder: Path) -> list[str]:
    """Names, titles and words of all kinds: answers to quiz questions, as long as what somebody may wish for."""
    answers = {conversation.messages[1].content or "" for conversation in read_trivia(folder)}
    return sorted(answer for answer in answers if _PHRASE.fullmatch(answer))


def _number(text: str) -> float | int:
    value = float(text)
    return int(value) if value.is_integer() else value


def _lines(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8") as file:
        yield from file


def _speakers(text: str) -> tuple[Message, ...]:
    messages: list[Message] = []
    for line in text.splitlines():
        speaker, separator, words = line.partition(": ")
        if not separator or speaker not in ("User 1", "User 2"):
            break
        role = "user" if speaker == "User 1" else "assistant"
        if messages and messages[-1].role == role:
            break
        messages.append(Message("user" if role == "user" else "assistant", words.strip()))
    if messages and messages[0].role != "user":
        messages = messages[1:]
    return tuple(messages)
