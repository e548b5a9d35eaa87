"""Adapters: llama.cpp must change the logits as PEFT does, for every base and way of scaling; the rest is refused."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import (
    GemmaConfig,
    GemmaForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)
from typer.testing import CliRunner

from server.engine.gguf_header import read_header
from training.cli import app
from training.export import adapter as export
from training.export.adapter import export_adapter
from training.export.card import ExportError
from training.export.gate import F32_TOLERANCE, GELU_TOLERANCE
from training.export.weights import BaseModel

pytestmark = [
    # PEFT reads a property that transformers wants to drop
    pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*save_embedding_layers:UserWarning"),
]

SHAPE = {
    "vocab_size": 160, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 256,
}  # fmt: skip
MODELS: dict[str, Any] = {
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**SHAPE, tie_word_embeddings=True)),
    "mistral": lambda: MistralForCausalLM(MistralConfig(**SHAPE, head_dim=32, sliding_window=None)),
    "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(**SHAPE)),
    "qwen3": lambda: Qwen3ForCausalLM(Qwen3Config(**SHAPE, head_dim=32, tie_word_embeddings=True)),
    "gemma": lambda: GemmaForCausalLM(GemmaConfig(**SHAPE, head_dim=32)),
}
ALL = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a random checkpoint of each kind."""
    folder = tmp_path_factory.mktemp("bases")
    torch.manual_seed(0)
    for name, make in MODELS.items():
        model = make()
        for parameter in model.parameters():  # biases and norms too: what is zero or one hides faults
            torch.nn.init.normal_(parameter, 1.0 if parameter.ndim == 1 else 0.0, 0.15)
        model.save_pretrained(folder / name)
    return folder


def make_adapter(base: Path, folder: Path, **settings: Any) -> Path:
    """A random adapter, strong enough to change every logit."""
    from transformers import AutoModelForCausalLM

    torch.manual_seed(1)
    config = LoraConfig(**{"r": 4, "lora_alpha": 16, "target_modules": ALL, "init_lora_weights": False, **settings})
    get_peft_model(AutoModelForCausalLM.from_pretrained(base), config).save_pretrained(folder)
    return folder


def silent(_: str) -> None: ...


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"use_rslora": True, "rank_pattern": {"q_proj": 8}, "alpha_pattern": {"k_proj": 3, "layers.1.mlp.up_proj": 40}},
    ],
    ids=["plain", "rank-stabilised with patterns"],
)
def test_llama_cpp_computes_what_peft_does(kind: str, settings: Any, bases: Path, tmp_path: Path) -> None:
    adapter = make_adapter(bases / kind, tmp_path / "lora", **settings)
    worst = export_adapter(adapter, tmp_path / "lora.gguf", bases / kind, say=silent)
    assert worst <= (GELU_TOLERANCE if kind == "gemma" else F32_TOLERANCE)
    header = read_header(tmp_path / "lora.gguf")
    assert header.text("general.type") == "adapter"
    assert header.architecture == ("llama" if kind == "mistral" else kind)


def test_a_plain_adapter_is_written_as_it_is(bases: Path, tmp_path: Path) -> None:
    adapter = make_adapter(bases / "qwen2", tmp_path / "lora", target_modules=["v_proj"])
    config = json.loads((adapter / "adapter_config.json").read_text())
    assert export._scale(config, "model.layers.0.self_attn.v_proj", 4) == 4.0
    export_adapter(adapter, tmp_path / "lora.gguf", bases / "qwen2", say=silent)
    stored = (adapter / "adapter_model.safetensors").read_bytes()
    assert len(stored) > 0
    (tensor, *_) = export._read_pairs(adapter).values()
    assert tensor[1].tobytes() in (tmp_path / "lora.gguf").read_bytes()


def test_the_gate_sees_a_forgotten_permutation(bases: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    adapter = make_adapter(bases / "llama", tmp_path / "lora")
    arranged = BaseModel.arranged
    monkeypatch.setattr(BaseModel, "arranged", lambda s, n, r: arranged(s, n, r) if n.endswith("weight") else r)
    with pytest.raises(ExportError, match="does not compute"):
        export_adapter(adapter, tmp_path / "lora.gguf", bases / "llama", say=silent)
    assert not (tmp_path / "lora.gguf").exists()


def test_the_gate_sees_an_ignored_scale(bases: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    adapter = make_adapter(bases / "llama", tmp_path / "lora", use_rslora=True)
    monkeypatch.setattr(export, "_scale", lambda config, module, rank: 16 / rank)
    with pytest.raises(ExportError, match="does not compute"):
        export_adapter(adapter, tmp_path / "lora.gguf", bases / "llama", say=silent)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"use_dora": True}, "DoRA"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"bias": "lora_only"}, "biases"),
        ({"target_modules": ["embed_tokens"]}, "no place for"),
    ],
)
def test_what_a_gguf_adapter_cant_say_is_refused(settings: Any, reason: str, bases: Path, tmp_path: Path) -> None:
    adapter = make_adapter(bases / "qwen2", tmp_path / "lora", **settings)
    with pytest.raises(ExportError, match=reason):
        export_adapter(adapter, tmp_path / "lora.gguf", bases / "qwen2", say=silent)


def test_a_base_that_is_unknown_is_refused(bases: Path, tmp_path: Path) -> None:
    adapter = make_adapter(bases / "qwen2", tmp_path / "lora")
    strange = shutil.copytree(bases / "qwen2", tmp_path / "strange")
    config = json.loads((strange / "config.json").read_text())
    for changed, reason in (
        ({"model_type": "bert"}, "bert"),
        ({"rope_parameters": {"rope_type": "yarn"}}, "yarn"),
        ({"rope_parameters": None, "rope_scaling": {"type": "dynamic", "factor": 2.0}}, "dynamic"),
        ({"use_sliding_window": True, "sliding_window": 16}, "last 16 tokens only"),
    ):
        (strange / "config.json").write_text(json.dumps({**config, **changed}))
        with pytest.raises(ExportError, match=reason):
            export_adapter(adapter, tmp_path / "lora.gguf", strange, say=silent)


def test_the_command_exports_an_adapter(bases: Path, tmp_path: Path) -> None:
    adapter = make_adapter(bases / "llama", tmp_path / "lora")
    made = CliRunner().invoke(app, ["export", str(adapter), f"{tmp_path}/out.gguf"])
    assert made.exit_code == 0, made.output
    assert "14 weights" in made.output
    assert "largest difference" in made.output
    refused = CliRunner().invoke(app, ["export", str(adapter), f"{tmp_path}/o.gguf", "--base", f"{tmp_path}/none"])
    assert refused.exit_code == 2


def test_flags_that_would_do_nothing_are_refused(bases: Path, tmp_path: Path) -> None:
    adapter = make_adapter(bases / "llama", tmp_path / "lora")
    for arguments in (
        [str(adapter), f"{tmp_path}/a.gguf", "--precision", "q4_0"],
        [str(adapter), f"{tmp_path}/a.gguf", "--license", "MIT"],
        [str(bases / "llama"), f"{tmp_path}/a.gguf", "--merge"],
    ):
        refused = CliRunner().invoke(app, ["export", *arguments])
        assert refused.exit_code == 2
        assert "adapter" in refused.output
