"""Real JSON Schemas that an answer must conform to.

Source: MaskBench (https://github.com/guidance-ai/jsonschemabench, maskbench/data), one schema a file. Schemas longer
than a small model's context has room for are left out.
"""

import json
import re
from pathlib import Path

from evals.case import Case
from evals.suites.lines import SuiteError
from evals.suites.public_data import find_data

_FOLDERS = ("maskbench", "maskbench-half")
_LONGEST = 4_000
"""Characters."""
_ASKED = "Make up an example that fits this JSON Schema. Answer with its JSON and with nothing else.\n\n"


def read_schemas(data: Path | None = None) -> list[Case]:
    """Answers that must conform to real JSON Schemas (MaskBench)."""
    return read_folder(find_data(_FOLDERS, data))


def read_folder(folder: Path) -> list[Case]:
    """One case a file. Raises: SuiteError."""
    cases = []
    for path in sorted(folder.glob("*.json")):
        try:
            schema = json.loads(path.read_text(encoding="utf-8"))["schema"]
        except (ValueError, KeyError, TypeError) as error:
            raise SuiteError(f"{path} holds no schema: {error}") from error
        text = json.dumps(schema, ensure_ascii=False)
        if len(text) <= _LONGEST:
            messages = [{"role": "user", "content": _ASKED + text}]
            cases.append(Case(path.stem, "schema", _family(path.stem), messages, schema=schema))
    if not cases:
        raise SuiteError(f"{folder} holds no schemas")
    return cases


def _family(name: str) -> str:
    """Where a schema was found: Github_easy---o123 is of Github_easy, BFCL_java_13 of BFCL_java."""
    return re.sub(r"(---.*|_\d+)$", "", name)
