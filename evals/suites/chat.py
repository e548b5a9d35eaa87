"""Short answers without tools, to see what training on tools has made a model forget.

Sources: OpenTriviaQA (https://github.com/uberspot/OpenTriviaQA, CC BY-SA 4.0), asked openly, without its choices; GSM8K
(https://github.com/openai/grade-school-math, MIT), judged by the number it comes to.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path

from evals.case import Case
from evals.suites.lines import SuiteError
from evals.suites.public_data import find_data

_NEEDS_CHOICES = re.compile(r"\b(following|these|those|below|not|except)\b|_|\.\.\.", re.IGNORECASE)
_LONGEST = 3
"""Words of an answer; longer ones are said in too many ways."""


def read_chat(data: Path | None = None) -> list[Case]:
    """Short answers to trivia and arithmetic, without tools: what has been forgotten?"""
    return read_folder(find_data(("chat",), data))


def read_folder(folder: Path) -> list[Case]:
    """Raises: SuiteError."""
    cases = [*_trivia(folder / "trivia" / "categories"), *_arithmetic(folder / "gsm8k")]
    if not cases:
        raise SuiteError(f"{folder} holds neither trivia/categories nor gsm8k")
    return cases


def _trivia(folder: Path) -> Iterator[Case]:
    """A block is `#Q question`, `^ answer` and the choices."""
    for path in sorted(folder.glob("*")):
        for number, block in enumerate(path.read_text(encoding="utf-8", errors="replace").split("#Q ")[1:]):
            question, sign, rest = block.partition("\n^ ")
            answer = rest.partition("\n")[0].strip()
            if sign and answer and len(answer.split()) <= _LONGEST and not _NEEDS_CHOICES.search(question):
                asked = f"{' '.join(question.split())} Answer in a few words."
                yield _case(f"trivia/{path.name}/{number}", f"trivia/{path.name}", asked, answer)


def _arithmetic(folder: Path) -> Iterator[Case]:
    for path in sorted(folder.rglob("*.jsonl")):
        for number, text in enumerate(path.read_text(encoding="utf-8").splitlines()):
            line = json.loads(text)
            result = line["answer"].rpartition("#### ")[2].strip()
            yield _case(f"arithmetic/{path.stem}/{number}", "arithmetic", line["question"], result)


def _case(name: str, group: str, asked: str, answer: str) -> Case:
    return Case(name, "chat", group, [{"role": "user", "content": asked}], accepts=(answer,))
