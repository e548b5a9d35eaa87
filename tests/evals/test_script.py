"""`make eval`, on a small scale."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import free_port
from tests.lora import write_lora

ROOT = Path(__file__).parents[2]
SAMPLE = "tests/evals/sample.jsonl"


@pytest.mark.timeout(120)
def test_base_and_adapter_with_and_without_grammar_stand_in_one_table(tmp_path: Path) -> None:
    adapter = write_lora(tmp_path / "adapter.gguf", ROOT / "models" / "trammel-tiny.gguf", strength=0.1)
    command = [str(ROOT / "scripts" / "eval.sh"), str(Path(sys.executable).parent), f"{SAMPLE} sgd", "2"]
    given = {
        "PORT": str(free_port()), "ADAPTER": str(adapter), "LLAMA_SERVER": "", "TRAMMEL_DATA": str(tmp_path),
        "OUTPUT": str(tmp_path / "run"),
    }  # fmt: skip
    result = subprocess.run(command, env={**os.environ, **given}, capture_output=True, text=True, timeout=100)
    assert result.returncode == 0, result.stderr
    for column in ("base", "base, no grammar", "adapter", "adapter, no grammar"):
        assert f" {column} " in result.stdout
    assert "NOT RUN: suite sgd" in result.stderr
    assert "NOT RUN: llama-server" in result.stderr
    assert (tmp_path / "run" / "report.html").exists()


def test_a_model_that_cannot_be_served_is_said_and_nothing_is_asked(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    command = [str(ROOT / "scripts" / "eval.sh"), str(Path(sys.executable).parent), SAMPLE, "2"]
    given = {"PORT": str(free_port()), "MODEL": str(tmp_path / "model.gguf"), "LLAMA_SERVER": ""}
    result = subprocess.run(command, env={**os.environ, **given}, capture_output=True, text=True, timeout=60)
    assert result.returncode == 1
    assert "trammel did not come up" in result.stderr
    assert "model.gguf" in result.stderr
