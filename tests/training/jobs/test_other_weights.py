"""A model that a job has made is served with the weights it was trained on only."""

import hashlib
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import gguf
import httpx
import pytest

from server.engine.gguf_header import read_header
from tests.conftest import MODEL, ServerProcess, running_server
from training.export.adapter import TRAINED_ON

ADAPTER = MODEL.parent / "adapters" / "library.gguf"


def adapter_of(digest: str, path: Path) -> Path:
    """The adapter that ships, as if it had been trained on a base of that SHA-256."""
    reader = gguf.GGUFReader(ADAPTER)
    fields = read_header(ADAPTER)
    writer = gguf.GGUFWriter(path, fields.architecture)
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, float(reader.fields[gguf.Keys.Adapter.LORA_ALPHA].contents()))
    writer.add_string(TRAINED_ON, digest)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, tensor.data)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def note(home: Path, name: str, file: Path) -> None:
    """As the worker does it."""
    with closing(sqlite3.connect(home / "trammel.db", timeout=10)) as database:
        row = (name, "", time.time(), "trammel-tiny", "ftjob-1", str(file.relative_to(home)))
        database.execute(
            "insert into fine_tuned_models (name, owner, created, base, job, file) values (?,?,?,?,?,?)", row
        )
        database.commit()


def names(server: ServerProcess) -> set[str]:
    return {model["id"] for model in httpx.get(f"{server.url}/v1/models").json()["data"]}


def test_an_adapter_of_other_weights_is_not_served(tmp_path: Path) -> None:
    digest = hashlib.sha256(MODEL.read_bytes()).hexdigest()
    with running_server("--home", str(tmp_path)) as server:
        note(tmp_path, "ft:other", adapter_of("0" * 64, tmp_path / "other.gguf"))
        note(tmp_path, "ft:right", adapter_of(digest, tmp_path / "right.gguf"))
        for _ in range(100):
            if "ft:right" in names(server):
                break
            time.sleep(0.1)
        assert names(server) == {"trammel-tiny", "ft:right"}
        log = server.stop()
    assert "ft:other is not served: it was trained on other weights than trammel-tiny has now" in log


@pytest.mark.parametrize("length", [0, 10])
def test_a_broken_file_is_the_engines_to_refuse(length: int, tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(ADAPTER.read_bytes()[:length])
    with running_server("--home", str(tmp_path)) as server:
        note(tmp_path, "ft:broken", broken)
        time.sleep(2)
        assert names(server) == {"trammel-tiny"}
        assert "ft:broken" in server.stop()
