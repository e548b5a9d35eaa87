"""Embedding models: llama.cpp cuts and computes as torch does; what it can't say is refused."""

import asyncio
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel
from typer.testing import CliRunner

from server.engine.embedder import Embedder, EmbedderSettings
from server.engine.model import Model
from training.cli import app
from training.export import embedder as export
from training.export.card import ExportError, ModelCard
from training.export.embedder import export_embedder
from training.export.embedder_gate import LEAST_COSINE, TEXTS, torch_vectors

CARD = ModelCard("words", license="Apache-2.0")


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model whose words are single letters and their continuations."""
    folder = tmp_path_factory.mktemp("bert")
    letters = sorted({letter for text in TEXTS for letter in text.lower() if not letter.isspace()} | set("aeiouc"))
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters), "book"]
    tokenizer = Tokenizer(models.WordPiece({word: n for n, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.add_special_tokens(words[:5])
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast"}))
    torch.manual_seed(0)
    model = BertModel(
        BertConfig(
            vocab_size=len(words), hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=96,
            max_position_embeddings=640,
        )
    )  # fmt: skip
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, 0.0, 0.15)
    model.save_pretrained(folder)
    return folder


def changed(bert: Path, folder: Path, name: str, **values: Any) -> Path:
    shutil.copytree(bert, folder, dirs_exist_ok=True)
    (folder / name).parent.mkdir(exist_ok=True)
    known = json.loads((folder / name).read_text()) if (folder / name).exists() else {}
    (folder / name).write_text(json.dumps({**known, **values}))
    return folder


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_the_server_computes_torchs_vectors(bert: Path, tmp_path: Path, pooling: str) -> None:
    mode = "cls_token" if pooling == "cls" else "mean_tokens"
    folder = changed(bert, tmp_path / "bert", "1_Pooling/config.json", **{f"pooling_mode_{mode}": True})
    assert export_embedder(folder, tmp_path / "out.gguf", CARD, "f32", lambda _: None) >= LEAST_COSINE
    vectors = asyncio.run(_served(tmp_path / "out.gguf"))
    right = np.stack(torch_vectors(folder, pooling)[1])
    cosines = (vectors * right).sum(axis=1) / np.linalg.norm(right, axis=1)
    assert cosines.min() >= LEAST_COSINE


async def _served(path: Path) -> Any:
    model = Model(path)
    embedder = Embedder(model, EmbedderSettings(threads=1))
    try:
        return await embedder.embed([embedder.tokenize(text) for text in TEXTS])
    finally:
        await embedder.close()
        model.close()


def test_the_gate_sees_another_pooling(bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(export._POOLING, "mean", export._POOLING["cls"])
    with pytest.raises(ExportError, match="cosine"):
        export_embedder(bert, tmp_path / "out.gguf", CARD, "f32", lambda _: None)
    assert not (tmp_path / "out.gguf").exists()


def test_the_gate_sees_words_that_are_not_turned_over(
    bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "_turned", lambda name: name)
    with pytest.raises(ExportError, match="cuts"):
        export_embedder(bert, tmp_path / "out.gguf", CARD, "f32", lambda _: None)


@pytest.mark.parametrize(
    ("name", "values", "reason"),
    [
        ("1_Pooling/config.json", {"pooling_mode_max_tokens": True}, "pooling"),
        ("config.json", {"position_embedding_type": "relative_key"}, "relative_key"),
        ("config.json", {"hidden_act": "relu"}, "relu"),
        ("tokenizer.json", {"normalizer": None}, "case"),
        ("tokenizer.json", {"model": {"type": "Unigram"}}, "Unigram"),
    ],
)
def test_what_llama_cpp_cant_say_is_refused(
    bert: Path, tmp_path: Path, name: str, values: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ExportError, match=reason):
        export_embedder(changed(bert, tmp_path / "b", name, **values), tmp_path / "o.gguf", CARD, "f32", lambda _: None)


def test_the_command_exports_an_embedding_model(bert: Path, tmp_path: Path) -> None:
    made = CliRunner().invoke(app, ["export", str(bert), f"{tmp_path}/out.gguf", "--precision", "q8_0"])
    assert made.exit_code == 0, made.output
    assert "smallest cosine" in made.output


@pytest.mark.skipif("TRAMMEL_MINILM" not in os.environ, reason="set TRAMMEL_MINILM to all-MiniLM-L6-v2's folder")
def test_minilm_is_exported(tmp_path: Path) -> None:
    folder = Path(os.environ["TRAMMEL_MINILM"])
    assert export_embedder(folder, tmp_path / "out.gguf", CARD, "f32", lambda _: None) >= LEAST_COSINE
