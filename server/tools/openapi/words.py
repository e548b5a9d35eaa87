"""What a document says in words, and what it calls things, as far as the model gets to see it.

Words of a document are shown to the model beside the operator's own, so nothing in them is hidden from a person who
reads them: signs that don't show are taken out, and there is a bound. Names fit what every client takes for a name.
"""

import re
import unicodedata
from collections.abc import Container
from typing import Any

_LONGEST = 1_000
"""Characters of a description."""
_LONGEST_NAME = 64


def plain_text(text: Any) -> str | None:
    """A description with no hidden signs, in one paragraph and within bounds."""
    if not isinstance(text, str):
        return None
    shown = "".join(sign if unicodedata.category(sign) not in ("Cf", "Co", "Cs", "Cn") else "" for sign in text)
    shown = " ".join("".join(" " if unicodedata.category(sign) == "Cc" else sign for sign in shown).split())
    return (shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST - 1]}…") or None


def legal_name(text: str, taken: Container[str] = (), *, dots: bool = False) -> str:
    """Letters, digits, `_` and `-` (and dots), at most 64, that nobody else has."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    name = re.sub(r"[^a-zA-Z0-9_.-]+" if dots else r"[^a-zA-Z0-9_-]+", "_", plain).strip("_.") or "unnamed"
    name = name[:_LONGEST_NAME]
    number = 1
    while name in taken:
        number += 1
        name = f"{name[: _LONGEST_NAME - len(str(number)) - 1].removesuffix(f'_{number - 1}')}_{number}"
    return name
