"""The chat templates in llama.cpp's sources, which `scripts/llama_sources.sh` fetches; skipped loudly without."""

import os
import re
from functools import cache
from pathlib import Path

import pytest

from server.chat.template import ChatTemplate

_ROOT = Path(__file__).parents[3]
_VERSION = re.findall(r"(?m)^llama-cpp-python==(\S+)", (_ROOT / "constraints.txt").read_text())[0]
_CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
FOLDER = _CACHE / f"trammel/sources/llama_cpp_python-{_VERSION}/vendor/llama.cpp/models/templates"
NAMES = sorted(path.stem for path in FOLDER.glob("*.jinja"))
PARAMETERS = NAMES or [
    pytest.param("", marks=pytest.mark.skip(f"no templates in {FOLDER}: run scripts/llama_sources.sh .venv"))
]


@cache
def template(name: str) -> ChatTemplate:
    return ChatTemplate((FOLDER / f"{name}.jinja").read_text(), bos_token="<BOS>", eos_token="<EOS>")
