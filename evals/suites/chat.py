"""Short answers without tools, and talk to be judged, to see what training on tools has made a model forget.

How likely a model finds a text is told in bits per byte, which compares models whatever their tokens are.

Sources: OpenTriviaQA (https://github.com/uberspot/OpenTriviaQA, CC BY-SA 4.0), asked openly, without its choices; GSM8K
(https://github.com/openai/grade-school-math, MIT), judged by the number it comes to. Questions that
`trammel pretrain` and `trammel data mix --chat public` train on are of the group `seen`, those kept back `unseen`.
"""

import csv
import json
import re
import zlib
from collections.abc import Iterator
from pathlib import Path

from evals.case import Case
from evals.suites.lines import SuiteError
from evals.suites.public_data import find_data

_TALK = 1000
"""Characters of a conversation that are judged."""
_NEEDS_CHOICES = re.compile(r"\b(following|these|those|below|not|except)\b|_|\.\.\.", re.IGNORECASE)
_LONGEST = 3
"""Words of an answer; longer ones are said in too many ways."""


def read_chat(data: Path | None = None) -> list[Case]:
    """Short answers to trivia and arithmetic, without tools: what has been forgotten?"""
    return read_folder(find_data(("chat",), data))


def read_folder(folder: Path) -> list[Case]:
    """Raises: SuiteError."""
    cases = [
        *_trivia(folder / "trivia" / "categories"),
        *_arithmetic(folder / "gsm8k"),
        *_talk(folder / "persona" / "data"),
    ]
    if not cases:
        raise SuiteError(f"{folder} holds neither trivia/categories nor gsm8k nor persona/data")
    return cases


def _trivia(folder: Path) -> Iterator[Case]:
    """A block is `#Q question`, `^ answer` and the choices."""
    for path in sorted(folder.glob("*")):
        for number, block in enumerate(path.read_text(encoding="utf-8", errors="replace").split("#Q ")[1:]):
            question, sign, rest = block.partition("\n^ ")
            answer = rest.partition("\n")[0].strip()
            if sign and answer and len(answer.split()) <= _LONGEST and not _NEEDS_CHOICES.search(question):
                asked = f"{' '.join(question.split())} Answer in a few words."
                yield _case(f"trivia/{path.name}/{number}", f"trivia/{path.name}/{_standing(question)}", asked, answer)


def _arithmetic(folder: Path) -> Iterator[Case]:
    for path in sorted(folder.rglob("*.jsonl")):
        for number, text in enumerate(path.read_text(encoding="utf-8").splitlines()):
            line = json.loads(text)
            result = line["answer"].rpartition("#### ")[2].strip()
            yield _case(
                f"arithmetic/{path.stem}/{number}",
                f"arithmetic/{_standing(line['question'])}",
                line["question"],
                result,
            )


def _talk(folder: Path) -> Iterator[Case]:
    """Conversations of Synthetic-Persona-Chat (https://github.com/google-research-datasets/Synthetic-Persona-Chat)."""
    for path in sorted(folder.glob("*_test.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            for number, row in enumerate(csv.DictReader(file)):
                text = " ".join(row.get("Best Generated Conversation", "").split())[:_TALK]
                if text:
                    yield Case(f"talk/{number}", "chat", "talk/unseen", [], text=text)


def _standing(question: str) -> str:
    """The same choice as `training.corpus.general.is_kept_back`, which may not be imported here."""
    return "seen" if zlib.crc32(" ".join(question.split()).encode()) % 10 else "unseen"


def _case(name: str, group: str, asked: str, answer: str) -> Case:
    return Case(name, "chat", group, [{"role": "user", "content": asked}], accepts=(answer,))
