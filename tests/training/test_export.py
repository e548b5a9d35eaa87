"""The export: llama.cpp must compute what torch computes, and split text where the tokenizer splits it."""

from pathlib import Path

import llama_cpp.llama_cpp as llama
import numpy as np
import pytest
import torch
from transformers import LlamaForCausalLM

from server.engine.model import Model
from server.engine.vocabulary import Vocabulary
from training.export import gguf_file
from training.export.card import ExportError, ModelCard
from training.export.gate import F32_TOLERANCE, check_same_logits, compare_logits
from training.export.gguf_file import write_gguf
from training.export.run import export, probe_prompts
from training.tokenizer import load_tokenizer

NASTY = [
    "",
    " ",
    "  \n\n\t x",
    "Hello, world!",
    "don't we'll I'VE",
    "12345 3.14",
    "äöü ñ é é",
    "你好，世界 日本語",
    "🙂👩\u200d👩\u200d👧 🇩🇪",
    "a\r\nb\r\n\r\nc",
    "x" * 200,
    '{"name": "a", "b": [1, 2]}',
    "\xa0\u2003\u200b",
    "\x00\x01\x7f",
    "\u202ertl\u202c שלום مرحبا",
    "<tool_call>{}</tool_call><tools>",
    "<tool_cal",
    "< |end|>",
    "don’t “quote” — …",
    "a  b   c    d",
    "\n \n  \n",
    "ǅ ß ﬁ Ⅷ ²",
]


@pytest.fixture(scope="module")
def exported(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    export(run, path, ModelCard("tiny", license="CC0", temperature=0.5), "f16", say=lambda _: None)
    return path


def test_both_sides_split_text_alike(run: Path, exported: Path) -> None:
    tokenizer = load_tokenizer(run / "tokenizer.json")
    vocabulary = Model(exported).vocabulary
    for text in NASTY:
        assert list(vocabulary.tokenize(text)) == tokenizer.encode(text).ids, repr(text)


def test_the_shipped_model_splits_at_the_same_places_as_a_tokenizer_made_of_it() -> None:
    vocabulary = Model(Path(__file__).parents[2] / "models" / "trammel-tiny.gguf").vocabulary
    for text in NASTY:
        assert b"".join(vocabulary.pieces[token] for token in vocabulary.tokenize(text)) == text.encode()


def test_the_file_says_what_it_is(exported: Path) -> None:
    model = Model(exported)
    assert model.metadata("general.name") == "tiny"
    assert model.sampling_defaults.temperature == 0.5
    assert model.chat_template
    assert model.train_context == 512
    assert isinstance(model.vocabulary, Vocabulary)
    assert llama.llama_model_n_params(model.handle) > 0


def test_the_gate_passes_a_right_export(run: Path, tmp_path: Path) -> None:
    path = tmp_path / "exact.gguf"
    write_gguf(run / "model", run / "tokenizer.json", "t", path, ModelCard("x"), "f32")
    worst = check_same_logits(run / "model", path, probe_prompts(run / "tokenizer.json"), F32_TOLERANCE)
    assert worst < 0.0025


def test_the_gate_catches_a_forgotten_permutation(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = LlamaForCausalLM.from_pretrained(run / "model")
    with torch.no_grad():  # a few steps have hardly taught it to attend to one thing more than to another
        for layer in model.model.layers:
            layer.self_attn.q_proj.weight *= 20
            layer.self_attn.k_proj.weight *= 20
    model.save_pretrained(tmp_path / "model")
    path, prompts = tmp_path / "exported.gguf", probe_prompts(run / "tokenizer.json")

    def check() -> None:
        write_gguf(tmp_path / "model", run / "tokenizer.json", "t", path, ModelCard("x"), "f32")
        check_same_logits(tmp_path / "model", path, prompts, F32_TOLERANCE)

    check()
    monkeypatch.setattr(gguf_file, "interleave_heads", lambda rows, _: rows)
    with pytest.raises(ExportError, match="does not compute"):
        check()


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
@pytest.mark.parametrize("tolerance", [F32_TOLERANCE, float("inf")])
def test_the_gate_lets_nothing_pass_that_is_no_number(wrong: float, tolerance: float) -> None:
    right = [np.zeros((2, 3), np.float32), np.zeros((2, 3), np.float32)]
    other = [array.copy() for array in right]
    other[1][1, 2] = wrong
    assert compare_logits(right, right, tolerance, "x") == 0
    for one, two in ((right, other), (other, other)):
        with pytest.raises(ExportError, match="prompt 1, position 1, token 2"):
            compare_logits(one, two, tolerance, "x")


def test_a_checkpoint_of_another_kind_is_refused(run: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(ExportError, match="bert"):
        write_gguf(tmp_path, run / "tokenizer.json", "t", tmp_path / "x.gguf", ModelCard("x"), "f32")
    with pytest.raises(FileNotFoundError, match=r"config\.json"):
        write_gguf(tmp_path / "none", run / "tokenizer.json", "t", tmp_path / "x.gguf", ModelCard("x"), "f32")
