"""The table of llama-server's own tests is whole, and what it names exists."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.contract.llama_server import TABLE, page

TESTS = ROOT / "tests"
HERE = ("contract/test_llama_chat.py", "contract/test_llama_server.py")


def names(file: Path) -> set[str]:
    return set(re.findall(r"^(?:async )?def test_(\w+)", file.read_text(encoding="utf-8"), re.MULTILINE))


def reproduced() -> set[str]:
    return {name for file in HERE for name in names(TESTS / file)}


def test_the_page_is_the_tables() -> None:
    assert (ROOT / "docs" / "llama-server-tests.md").read_text(encoding="utf-8") == page()


def test_every_counterpart_exists_and_all_else_has_a_reason() -> None:
    for row in TABLE:
        assert bool(row.ours) == (row.verdict != "not here"), row
        assert row.ours or row.why, row
        for one in filter(None, row.ours.split(", ")):
            file, _, test = one.rpartition("::")
            found = names(TESTS / file) if file else reproduced()
            assert test in found if test != "*" else found, one


def test_every_reproduced_case_stands_for_one_of_theirs() -> None:
    named = {one for row in TABLE for one in row.ours.split(", ")}
    assert reproduced() - named == set()


def test_no_test_of_theirs_is_missing() -> None:
    script = ROOT / "scripts" / "llama_sources.sh"
    # Its sources are there only if something has fetched them: the script would download them.
    cached = re.search(r"cache=(.*)", script.read_text(encoding="utf-8"))
    assert cached is not None
    version = re.search(r"^llama-cpp-python==(\S+)", (ROOT / "constraints.txt").read_text(), re.MULTILINE).group(1)  # type: ignore[union-attr]
    folder = f'echo "{cached.group(1)}/llama_cpp_python-{version}/vendor/llama.cpp/tools/server/tests/unit"'
    unit = Path(subprocess.run(["bash", "-c", folder], capture_output=True, text=True, check=True).stdout.strip())
    if not unit.is_dir():
        pytest.skip("llama.cpp's sources are absent: scripts/llama_sources.sh fetches them")
    theirs = {(file.stem.removeprefix("test_"), name) for file in unit.glob("test_*.py") for name in names(file)}
    ours = {(row.file, row.test) for row in TABLE}
    whole = {file for file, test in ours if test == "*"}
    assert {pair for pair in theirs if pair[0] not in whole} == {pair for pair in ours if pair[1] != "*"}
    assert {file for file, _ in theirs} == {file for file, _ in ours}
