"""Talk without tools: small talk between two people, and quiz questions with their answers.

Sources: Synthetic-Persona-Chat (https://github.com/google-research-datasets/Synthetic-Persona-Chat, CC BY 4.0) and
OpenTriviaQA (https://github.com/uberspot/OpenTriviaQA, CC BY-SA 4.0).
"""

import csv
import re
from collections.abc import Iterator
from pathlib import Path

from server.chat.messages import Message
from training.conversation import Conversation

_PHRASE = re.compile(r"[A-Za-z][A-Za-z'&.,: -]{1,38}[A-Za-z]")
_PERSONA_FILES = "persona/data/Synthetic-Persona-Chat_*.csv"


def read_persona_chats(folder: Path) -> Iterator[Conversation]:
    """Each exchange with the first speaker as the user and the second as the assistant."""
    for path in sorted(folder.glob(_PERSONA_FILES)):
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
            elif line.startswith("^ ") and question:
                messages = (Message("user", question), Message("assistant", line[2:].strip()))
                yield Conversation(messages, source=f"trivia/{path.name}")
                question = ""


def phrases(folder: Path) -> list[str]:
    """Names, titles and words of all kinds: answers to quiz questions, as long as what somebody may wish for."""
    answers = {conversation.messages[1].content or "" for conversation in read_trivia(folder)}
    return sorted(answer for answer in answers if _PHRASE.fullmatch(answer))


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
