"""Schemas as cases: ours, and real ones where they are."""

import json
from pathlib import Path

import pytest

from evals.suites.lines import SuiteError
from evals.suites.public_data import find_data
from evals.suites.schemas import read_folder, read_schemas


def test_every_file_is_a_case_of_its_family(tmp_path: Path) -> None:
    for name in ("Github_easy---o123", "BFCL_java_13", "JsonSchemaStore---a_1"):
        (tmp_path / f"{name}.json").write_text(json.dumps({"schema": {"type": "object"}, "tests": []}))
    cases = read_folder(tmp_path)
    assert [case.group for case in cases] == ["BFCL_java", "Github_easy", "JsonSchemaStore"]
    assert cases[0].schema == {"type": "object"}
    assert '{"type": "object"}' in cases[0].messages[0]["content"]


def test_a_schema_too_long_to_be_read_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"schema": {"description": "x" * 5000}}))
    with pytest.raises(SuiteError, match="holds no schemas"):
        read_folder(tmp_path)


@pytest.mark.parametrize("text", ["{oops", "[]", "{}"])
def test_a_file_without_a_schema_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(SuiteError, match=r"a\.json holds no schema"):
        read_folder(tmp_path)


def test_thousands_of_real_schemas_are_read() -> None:
    try:
        find_data(("maskbench", "maskbench-half"), None)
    except SuiteError as error:
        pytest.skip(f"NOT RUN: {error}")
    assert len(read_schemas()) > 4000
