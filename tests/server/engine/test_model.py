"""Files that can't be served, and what is said about them."""

from pathlib import Path

import gguf
import numpy as np
import pytest

from server.engine.errors import ModelLoadError
from server.engine.model import Model

from .conftest import MODEL


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError, match=r"nothing\.gguf does not exist"):
        Model(tmp_path / "nothing.gguf")


def test_a_folder_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError, match="folder"):
        Model(tmp_path)


def test_another_kind_of_file_is_no_gguf(tmp_path: Path) -> None:
    path = tmp_path / "notes.gguf"
    path.write_text("hello")
    with pytest.raises(ModelLoadError, match="not a GGUF file"):
        Model(path)


@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
def test_a_truncated_file_is_called_truncated(tmp_path: Path, share: float) -> None:
    data = MODEL.read_bytes()
    path = tmp_path / "half.gguf"
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(ModelLoadError, match="truncated or damaged"):
        Model(path)


def test_an_unknown_architecture_is_named(tmp_path: Path) -> None:
    path = tmp_path / "strange.gguf"
    writer = gguf.GGUFWriter(str(path), "wonder")
    writer.add_block_count(1)
    writer.add_tensor("a", np.zeros((32, 32), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(ModelLoadError, match="architecture 'wonder'"):
        Model(path)


def test_the_default_model_says_how_it_wants_to_be_sampled(model: Model) -> None:
    assert model.sampling_defaults.temperature == 0.0
    assert model.chat_template
    assert "<tool_call>" in model.chat_template
    assert model.eos_token == "<|end|>"


def test_control_tokens_are_no_text_and_words_are(model: Model) -> None:
    vocabulary = model.vocabulary
    (end,), (call,) = vocabulary.tokenize("<|end|>"), vocabulary.tokenize("<tool_call>")
    assert vocabulary.pieces[end] == b""
    assert vocabulary.pieces[call] == b"<tool_call>"
    assert end in vocabulary.end_tokens
    assert end not in vocabulary.tokenize("<|end|>", parse_special=False)
