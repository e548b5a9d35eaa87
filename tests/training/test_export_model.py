"""Whole models: every architecture and kind of tokenizer gives the same tokens and logits in llama.cpp, or is
refused."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast
from typer.testing import CliRunner

from server.engine.gguf_header import read_header
from training.base.gguf_checkpoint import write_checkpoint
from training.base.gguf_tokenizer import PATTERNS
from training.cli import app
from training.export import weights
from training.export.card import ExportError, ModelCard
from training.export.gate import F32_TOLERANCE, GELU_TOLERANCE, check_same_logits
from training.export.model import export_model
from training.export.weights import BaseModel

pytestmark = [
    # PEFT reads a property that transformers wants to drop
    pytest.mark.filterwarnings("ignore:.*gradient_checkpointing:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*save_embedding_layers:UserWarning"),
]
SIZE = 448
SHAPE = {
    "vocab_size": SIZE, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 1024, "head_dim": 16,
}  # fmt: skip
TEXTS = [
    "Hello there, what's the weather in Oslo?",
    "def f(x): return x ** 2\n\n  ok",
    "12345 – it's 21.5 °C",
    "你好",
] * 9
CARD = ModelCard("tiny", license="CC0")


def byte_level(pre_tokenizer: Any) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<|end|>"], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|end|>", pad_token="<|end|>")


def cut_as(name: str) -> PreTrainedTokenizerFast:
    split = pre_tokenizers.Split(Regex(PATTERNS[name]), behavior="isolated")
    return byte_level(
        pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    )


def sentencepiece() -> PreTrainedTokenizerFast:
    """As transformers converts Llama 2's."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    special = ["<unk>", "<s>", "</s>", *(f"<0x{number:02X}>" for number in range(256))]
    trainer = trainers.BpeTrainer(vocab_size=420, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator(TEXTS, trainer)
    described = json.loads(tokenizer.to_str())  # bytes are no special tokens
    described["added_tokens"] = described["added_tokens"][:3]
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(described)), bos_token="<s>", eos_token="</s>",
        unk_token="<unk>", pad_token="</s>",
    )  # fmt: skip


TOKENIZERS: dict[str, Callable[[], PreTrainedTokenizerFast]] = {
    "qwen2": lambda: cut_as("qwen2"),
    "llama-bpe": lambda: cut_as("llama-bpe"),
    "gpt-2": lambda: byte_level(pre_tokenizers.ByteLevel(add_prefix_space=False)),
    "sentencepiece": sentencepiece,
}


def make(folder: Path, kind: str, tokenizer: str, **changes: Any) -> Path:
    """A random checkpoint: biases and norms too, for what is zero or one hides faults."""
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **{**SHAPE, **changes}))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, 1.0 if parameter.ndim == 1 else 0.0, 0.15)
    model.save_pretrained(folder)
    TOKENIZERS[tokenizer]().save_pretrained(folder)
    return folder


def silent(_: str) -> None: ...


@pytest.mark.parametrize(
    ("kind", "tokenizer"),
    [
        ("llama", "llama-bpe"), ("llama", "sentencepiece"), ("mistral", "sentencepiece"), ("qwen2", "qwen2"),
        ("qwen3", "gpt-2"), ("gemma", "sentencepiece"),
    ],
)  # fmt: skip
def test_llama_cpp_cuts_and_computes_as_transformers_does(kind: str, tokenizer: str, tmp_path: Path) -> None:
    folder = make(tmp_path / "model", kind, tokenizer)
    assert export_model(folder, tmp_path / "out.gguf", CARD, "q8_0", silent) <= GELU_TOLERANCE
    header = read_header(tmp_path / "out.gguf")
    assert header.architecture == ("llama" if kind == "mistral" else kind)
    assert header.text("general.license") == "CC0"


@pytest.mark.parametrize("kind", ["llama", "qwen2", "qwen3"])
def test_there_and_back_is_the_same_model(kind: str, tmp_path: Path) -> None:
    folder = make(tmp_path / "model", kind, "qwen2")
    export_model(folder, tmp_path / "out.gguf", CARD, "f32", silent)
    write_checkpoint(tmp_path / "out.gguf", tmp_path / "back")
    ids = [[number % SIZE for number in range(5, 500, 7)]]
    from training.export.gate import llama_logits

    right = llama_logits(tmp_path / "out.gguf", ids)
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "back")
    with torch.no_grad():
        logits = model(input_ids=torch.tensor(ids)).logits[0].numpy()
    assert abs(logits - right[0]).max() <= F32_TOLERANCE


def test_the_gate_sees_norms_that_lack_gemmas_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make(tmp_path / "model", "gemma", "sentencepiece")
    monkeypatch.setattr(BaseModel, "is_shifted", lambda self, name: False)
    with pytest.raises(ExportError, match="does not compute"):
        export_model(folder, tmp_path / "out.gguf", CARD, "f32", silent)
    assert not (tmp_path / "out.gguf").exists()


def test_the_gate_sees_another_way_to_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make(tmp_path / "model", "llama", "llama-bpe")
    monkeypatch.setattr("training.export.vocabulary._cut", lambda _: "qwen2")
    with pytest.raises(ExportError, match="other tokens"):
        export_model(folder, tmp_path / "out.gguf", CARD, "f32", silent)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"model": {"type": "Unigram"}}, "Unigram"),
        (
            {"pre_tokenizer": {"type": "Split", "pattern": {"Regex": "x"}, "behavior": "Isolated", "invert": False}},
            "not known",
        ),
    ],
)
def test_tokenizers_that_llama_cpp_lacks_are_refused(changes: dict[str, Any], reason: str, tmp_path: Path) -> None:
    folder = make(tmp_path / "model", "llama", "qwen2")
    described = json.loads((folder / "tokenizer.json").read_text())
    (folder / "tokenizer.json").write_text(json.dumps({**described, **changes}))
    with pytest.raises(ExportError, match=reason):
        export_model(folder, tmp_path / "out.gguf", CARD, "f32", silent)


def test_a_tokenizer_larger_than_the_model_and_odd_rows_are_refused(tmp_path: Path) -> None:
    small = make(tmp_path / "small", "llama", "qwen2", vocab_size=300)
    with pytest.raises(ExportError, match="only 300"):
        export_model(small, tmp_path / "out.gguf", CARD, "f32", silent)
    odd = make(tmp_path / "odd", "llama", "qwen2", intermediate_size=100)
    with pytest.raises(ExportError, match="multiple of 32"):
        export_model(odd, tmp_path / "out.gguf", CARD, "q8_0", silent)


def test_an_adapter_is_merged_into_its_base_on_request(tmp_path: Path) -> None:
    base = make(tmp_path / "base", "llama", "qwen2")
    torch.manual_seed(1)
    config = LoraConfig(r=4, target_modules=["q_proj", "down_proj"], init_lora_weights=False, use_dora=True)
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base), config)
    model.save_pretrained(tmp_path / "lora")
    alone = CliRunner().invoke(app, ["export", f"{tmp_path}/lora", f"{tmp_path}/out.gguf"])
    assert alone.exit_code == 2
    assert "DoRA" in alone.output
    merged = ["export", f"{tmp_path}/lora", f"{tmp_path}/out.gguf", "--merge", "--precision", "f32"]
    made = CliRunner().invoke(app, merged)
    assert made.exit_code == 0, made.output
    whole = model.merge_and_unload()
    whole.save_pretrained(tmp_path / "whole")
    ids = [[7, 8, 9, 300, 5]]
    assert check_same_logits(tmp_path / "whole", tmp_path / "out.gguf", ids, F32_TOLERANCE) <= F32_TOLERANCE
    with pytest.raises(ExportError):
        check_same_logits(base, tmp_path / "out.gguf", ids, F32_TOLERANCE)


def test_weights_of_another_architecture_have_no_place(tmp_path: Path) -> None:
    folder = make(tmp_path / "model", "qwen3", "qwen2")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "gpt_neox"}))
    with pytest.raises(ExportError, match="gpt_neox"):
        export_model(folder, tmp_path / "out.gguf", CARD, "f32", silent)
    shutil.rmtree(folder)
    assert set(weights.ARCHITECTURES) == {"llama", "mistral", "qwen2", "qwen3", "gemma"}
