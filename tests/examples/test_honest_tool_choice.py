"""What other servers get wrong, eight promises about tools, and that this server keeps every one of them."""

import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from tests.conftest import MODEL, ROOT, running_server
from tests.lora import write_lora

PLAIN = (
    "{% for message in messages %}<|{{ message.role }}|>{{ message.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def load_example() -> ModuleType:
    path = ROOT / "examples" / "honest_tool_choice.py"
    spec = importlib.util.spec_from_file_location("honest_tool_choice", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


EXAMPLE = load_example()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("models")
    plain = folder / "plain.gguf"
    command = [sys.executable, "-m", "gguf.scripts.gguf_new_metadata", "--chat-template", PLAIN, str(MODEL), str(plain)]
    subprocess.run(command, check=True, capture_output=True)
    lora = write_lora(folder / "lora.gguf", MODEL, 1)
    with running_server("--adapter", f"one={lora}") as first, running_server("--model", str(plain)) as second:
        yield EXAMPLE.Server(first.url, second.url, "one")


@pytest.mark.parametrize("promise", EXAMPLE.PROMISES, ids=lambda promise: str(promise.__name__))
def test_it_is_kept_that(promise: Any, server: Any) -> None:
    verdict = promise(server)
    assert verdict.is_kept, verdict.seen


def test_broken_promises_would_be_seen() -> None:
    assert EXAMPLE.fault_of('{"number": 100}')
    assert EXAMPLE.fault_of("{")
    assert EXAMPLE.fault_of('{"number": 105}') is None
    assert len(EXAMPLE.PROMISES) == 8
