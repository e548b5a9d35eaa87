"""A PEFT LoRA adapter as a GGUF file for llama.cpp, proven to change the logits as PEFT does.

llama.cpp scales by alpha / rank, alpha being the file's and the rank each tensor's own. What PEFT scales otherwise
(rsLoRA, `alpha_pattern`) is folded into B, so a plain LoRA is written as it is. What a GGUF adapter can't say
is refused.
"""

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import gguf
import numpy as np
from numpy.typing import NDArray

from training.export.card import ExportError
from training.export.gate import compare_logits, llama_logits
from training.export.weights import BaseModel, read_base, write_weights

Config = dict[str, Any]
TRAINED_ON = "trammel.base.sha256"
"""Of the base's GGUF file: an adapter is of no use with other weights."""
_PAIR = re.compile(r"base_model\.model\.(?P<module>.+)\.lora_(?P<side>[AB])\.weight")
_PROMPTS = 3
_PROMPT_TOKENS = 48


def export_adapter(
    adapter: Path,
    output: Path,
    base: Path | None = None,
    name: str = "",
    say: Callable[[str], None] = print,
    *,
    trained_on: str = "",
) -> float:
    """Write `output`, unless llama.cpp computes something else with it than PEFT does.

    `adapter`: the folder PEFT saved. `base`: the checkpoint it was trained on, by default the one it names.
    `trained_on`: SHA-256 of the GGUF file that this was made of, if it was.
    Returns the largest difference of a logit. Raises: ExportError, FileNotFoundError.
    """
    config = _read_config(adapter)
    model = read_base(base or Path(config["base_model_name_or_path"]))
    with TemporaryDirectory() as folder:
        written, exact = Path(folder) / "adapter.gguf", Path(folder) / "exact.gguf"
        count = write_adapter(adapter, config, model, written, name or adapter.name, trained_on)
        write_weights(model, exact)
        worst = _prove(adapter, model, exact, written)
        output.write_bytes(written.read_bytes())
    say(f"largest difference of a logit {worst:.5f} over {_PROMPTS * _PROMPT_TOKENS} tokens")
    say(f"wrote {output}: {count} weights, {output.stat().st_size / 1e6:.1f} MB")
    return worst


def write_checkpoint_adapter(adapter: Path, base: Path, output: Path, name: str, trained_on: str = "") -> None:
    """Without the proof, while the training goes on. Raises: ExportError, FileNotFoundError."""
    write_adapter(adapter, _read_config(adapter), read_base(base), output, name, trained_on)


def write_adapter(adapter: Path, config: Config, base: BaseModel, output: Path, name: str, trained_on: str = "") -> int:
    """Without the proof. Returns the number of weights it changes. Raises: ExportError."""
    pairs = _read_pairs(adapter)
    alpha = float(config["lora_alpha"])
    writer = gguf.GGUFWriter(str(output), base.architecture)
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, alpha)
    writer.add_name(name)
    if trained_on:
        writer.add_string(TRAINED_ON, trained_on)
    for module, (down, up) in sorted(pairs.items()):
        rank = down.shape[0]
        folded = up * np.float32(_scale(config, module, rank) * rank / alpha)
        place = base.place_of(f"{module}.weight")
        writer.add_tensor(f"{place}.lora_a", down)
        writer.add_tensor(f"{place}.lora_b", np.ascontiguousarray(base.arranged(module, folded)))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return len(pairs)


def _scale(config: Config, module: str, rank: int) -> float:
    """What PEFT multiplies B·A by."""
    patterns: dict[str, float] = config.get("alpha_pattern") or {}
    key = next((key for key in patterns if re.match(rf"(.*\.)?({key})$", module)), None)
    alpha = float(patterns[key] if key is not None else config["lora_alpha"])
    return alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)


def _read_config(adapter: Path) -> Config:
    path = adapter / "adapter_config.json"
    if not path.is_file():
        raise FileNotFoundError(f"{adapter} is not an adapter: it has no adapter_config.json")
    config: Config = json.loads(path.read_text())
    refused = {
        "only LoRA can be exported": config.get("peft_type") != "LORA",
        "DoRA scales weights by their norms, which a GGUF adapter can't say": config.get("use_dora"),
        "modules_to_save holds whole weights; merge the adapter into its base": config.get("modules_to_save"),
        "trained tokens are whole weights; merge the adapter": config.get("trainable_token_indices"),
        "a GGUF adapter has no biases": config.get("bias", "none") != "none" or config.get("lora_bias"),
        "fan_in_fan_out stores weights turned over": config.get("fan_in_fan_out"),
        "replicated layers change the base": config.get("layer_replication"),
        "alpha is 0": not config.get("lora_alpha"),
    }
    for reason, holds in refused.items():
        if holds:
            raise ExportError(f"{adapter.name} can't be exported: {reason}")
    return config


def _read_pairs(adapter: Path) -> dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """A, shape (rank, in), and B, shape (out, rank), by module."""
    import torch
    from safetensors import safe_open

    path = adapter / "adapter_model.safetensors"
    if not path.is_file():
        raise FileNotFoundError(f"{adapter} has no adapter_model.safetensors")
    halves: dict[str, dict[str, NDArray[np.float32]]] = {}
    with safe_open(path, framework="pt") as file:
        for name in file.keys():  # noqa: SIM118 - no mapping
            match = _PAIR.fullmatch(name)
            if match is None:
                raise ExportError(f"{adapter.name} can't be exported: a GGUF adapter has no place for {name}")
            tensor = file.get_tensor(name).to(torch.float32).numpy()
            halves.setdefault(match["module"], {})[match["side"]] = tensor
    torn = [module for module, sides in halves.items() if len(sides) < 2]
    if torn or not halves:
        raise ExportError(f"{adapter.name} lacks half of {torn[0]}" if torn else f"{adapter.name} is empty")
    return {module: (sides["A"], sides["B"]) for module, sides in halves.items()}


def _prove(adapter: Path, base: BaseModel, exact: Path, written: Path) -> float:
    random = np.random.default_rng(0)
    size = base.config["vocab_size"]
    prompts = [random.integers(0, size, _PROMPT_TOKENS).tolist() for _ in range(_PROMPTS)]
    ours, changed = _torch_logits(adapter, base.folder, prompts)
    compare_logits(ours, llama_logits(exact, prompts), base.tolerance, f"the base of {adapter.name}")
    theirs = llama_logits(exact, prompts, written)
    return compare_logits(changed, theirs, base.tolerance, adapter.name)


def _torch_logits(
    adapter: Path, base: Path, prompts: list[list[int]]
) -> tuple[list[NDArray[np.float32]], list[NDArray[np.float32]]]:
    """Without and with the adapter."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    plain = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).eval()
    with torch.no_grad():
        before = [plain(input_ids=torch.tensor([prompt])).logits[0].numpy() for prompt in prompts]
        model = PeftModel.from_pretrained(plain, adapter).eval()
        after = [model(input_ids=torch.tensor([prompt])).logits[0].float().numpy() for prompt in prompts]
    return before, after
