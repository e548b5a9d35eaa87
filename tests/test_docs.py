"""The docs say what the code does: paths exist, tables and examples are the real ones."""

import re
from pathlib import Path

import pytest

from server.settings import settings_table

ROOT = Path(__file__).parents[1]


def test_every_file_the_architecture_names_exists() -> None:
    names = re.findall(r"`((?:server|grammars|training|evals)/[\w/.]+)`", (ROOT / "docs/architecture.md").read_text())
    assert len(names) > 25
    assert [name for name in names if not (ROOT / name).exists()] == []


def test_the_settings_table_is_the_codes_own() -> None:
    assert settings_table() in (ROOT / "docs/settings.md").read_text()


@pytest.mark.parametrize("document", ["README.md", "docs/architecture.md", "CONTRIBUTING.md"])
def test_links_between_documents_lead_somewhere(document: str) -> None:
    path = ROOT / document
    links = re.findall(r"\]\(([^)#:]+)\)", path.read_text())
    assert [link for link in links if not (path.parent / link).exists()] == []


def test_every_case_of_the_loops_safety_is_a_test_and_every_guards_test_a_case() -> None:
    table = (ROOT / "docs/safety.md").read_text().partition("## Cases")[2].partition("## Measured")[0]
    files = [ROOT / "tests/server/agent" / name for name in ("test_guards.py", "test_fixed_tools.py")]
    tests = {name for file in files for name in re.findall(r"^async def (test_\w+)", file.read_text(), re.MULTILINE)}
    assert set(re.findall(r"`(test_\w+)`", table)) == tests - {"test_guards_can_be_switched_off_to_measure_them"}
