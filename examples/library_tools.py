"""The tools of a public library's desk: what the shipped adapter `models/adapters/library.gguf` was trained on.

`trammel data generate --tools examples/library_tools.py` makes conversations with them: `requests` are what visitors
say, `draw` makes the values, `simulate` gives the results.
"""

import random
from typing import Any

from training.tools import Tool, ToolParameter
from training.tools.values import code, full_name, invented, place

BRANCHES = ("Central", "Harbour", "Northside", "Mill Lane")
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
_FIRST = ("The Silent", "A Short History of", "Letters to", "The Last", "Beyond", "Songs of", "Winter in", "My Year in")


def _title(rng: random.Random) -> str:
    return f"{rng.choice(_FIRST)} {place(rng) if rng.random() < 0.5 else invented(rng)}"


def _author(rng: random.Random) -> str:
    return full_name(rng)


def find_book(title: str, author: str = "") -> dict[str, Any]:
    rng = random.Random(title + author)
    return {"shelf": f"{rng.choice('ABCDEFGH')}{rng.randint(1, 99)}", "copies": rng.randint(1, 6)}


def reserve_book(title: str, branch: str) -> dict[str, Any]:
    return {"reservation": random.Random(title + branch).randint(1000, 9999), "branch": branch}


def renew_loan(card: str, weeks: int = 2) -> dict[str, Any]:
    return {"due_date": f"2026-{random.Random(card).randint(1, 12):02}-{10 + weeks}"}


def opening_hours(branch: str, day: str) -> dict[str, Any]:
    rng = random.Random(branch + day)
    return {"opening_time": f"{rng.randint(8, 11)}:00", "closing_time": f"{rng.randint(16, 21)}:00"}


_BRANCH = ToolParameter("branch", description="Branch of the library", enum=BRANCHES)

TOOLS = [
    Tool(
        "find_book", "Find a book in the catalogue.",
        [ToolParameter("title", description="Title of the book", draw=_title),
         ToolParameter("author", description="Who wrote it", required=False, draw=_author)],
        requests=["Do you have {title}?", "Where can I find {title}?", "I'm looking for {title} by {author}",
                  "Is there a copy of {title} by {author}?", "Which shelf is {title} on?"],
        simulate=find_book,
    ),
    Tool(
        "reserve_book", "Reserve a book for pick-up at a branch.",
        [ToolParameter("title", description="Title of the book", draw=_title), _BRANCH],
        requests=["Please reserve {title} at {branch}", "Hold {title} for me at the {branch} branch",
                  "I'd like to pick up {title} at {branch}", "Put {title} aside for me at {branch}"],
        simulate=reserve_book,
    ),
    Tool(
        "renew_loan", "Renew all loans of a library card.",
        [ToolParameter("card", description="Number on the card", draw=code),
         ToolParameter("weeks", "integer", "How many weeks longer", required=False,
                       schema={"minimum": 1, "maximum": 4})],
        requests=["Renew my loans, card {card}", "Please extend everything on card {card} by {weeks} weeks",
                  "My card is {card}, can I keep the books {weeks} weeks longer?", "Extend the loans of {card}"],
        simulate=renew_loan,
    ),
    Tool(
        "opening_hours", "Tell when a branch is open.",
        [_BRANCH, ToolParameter("day", description="Day of the week", enum=_DAYS)],
        requests=["When does {branch} open on {day}?", "Is the {branch} branch open on {day}?",
                  "Until when is {branch} open on {day}?", "Opening hours of {branch} on {day}, please"],
        simulate=opening_hours,
    ),
]  # fmt: skip
