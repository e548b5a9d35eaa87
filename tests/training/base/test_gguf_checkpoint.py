"""GGUF models as checkpoints: torch computes what llama.cpp computes, and cuts text alike."""

from pathlib import Path

import gguf
import pytest
from transformers import AutoTokenizer

from server.engine.model import Model
from server.settings import DEFAULT_MODEL
from training.base.gguf_checkpoint import checkpoint_of, write_checkpoint
from training.export.card import ExportError
from training.export.gate import check_same_logits

TEXTS = [
    "<|system|>Be brief.<|end|><|user|>Hi! It's Ünïcödé 你好 🙂 12345\n\n  ok?<|end|><|assistant|>",
    '<tool_call>{"name":"a_b","arguments":{"x":1.5}}</tool_call><|end|>   \t\n x',
    "",
    "I'LL 3rd\r\n\r\n…",
]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkpoint_of(DEFAULT_MODEL, tmp_path_factory.mktemp("bases"))


def test_the_default_model_becomes_a_checkpoint_that_computes_the_same(checkpoint: Path) -> None:
    prompts = [AutoTokenizer.from_pretrained(checkpoint).encode(TEXTS[0])]
    assert check_same_logits(checkpoint, DEFAULT_MODEL, prompts, 0.5) > 0  # llama.cpp rounds activations to 8 bits


def test_text_is_cut_as_the_server_cuts_it(checkpoint: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    model = Model(DEFAULT_MODEL)
    for text in TEXTS:
        ids = tokenizer.encode(text, add_special_tokens=False)
        assert ids == list(model.vocabulary.tokenize(text))
        assert tokenizer.decode(ids) == text
    model.close()


def test_a_checkpoint_is_made_once(checkpoint: Path) -> None:
    made = (checkpoint / "config.json").stat().st_mtime_ns
    assert checkpoint_of(DEFAULT_MODEL, checkpoint.parent) == checkpoint
    assert (checkpoint / "config.json").stat().st_mtime_ns == made


def test_a_folder_is_taken_as_it_is_and_nothing_else_is(tmp_path: Path) -> None:
    assert checkpoint_of(tmp_path) == tmp_path
    with pytest.raises(FileNotFoundError):
        checkpoint_of(tmp_path / "none.gguf")
    (tmp_path / "torn.gguf").write_bytes(b"GGUF")
    with pytest.raises(ExportError, match="not a whole GGUF"):
        checkpoint_of(tmp_path / "torn.gguf", tmp_path)


def test_other_architectures_and_tokenizers_are_refused(tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(str(tmp_path / "bert.gguf"), "bert")
    writer.add_name("x")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(ExportError, match="'bert'"):
        write_checkpoint(tmp_path / "bert.gguf", tmp_path / "out")
