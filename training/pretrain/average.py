"""One model whose weights are the mean of others' (model soups, https://arxiv.org/abs/2203.05482).

Where one run went on from another, what lies between them is often better than either: each has its own noise of the
last steps and of its data, and the mean has less of both.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path

import torch
from transformers import LlamaForCausalLM

from training.pretrain.start import model_and_tokenizer
from training.tokenizer import load_tokenizer


def average(parts: Mapping[Path, float], output: Path) -> None:
    """Write the folder of a run, with a model and its tokenizer.

    `parts`: folders of runs, or GGUF files, and how much of each goes in, in any unit. Raises: ValueError, if they are
    not of one shape with one tokenizer, or the shares are no shares; FileNotFoundError; ExportError.
    """
    if len(parts) < 2 or min(parts.values()) <= 0:
        raise ValueError("it takes two models or more, and a share above 0 of each")
    total = sum(parts.values())
    first = next(iter(parts))
    tokenizer = model_and_tokenizer(first)[1]
    result: LlamaForCausalLM | None = None
    mean: dict[str, torch.Tensor] = {}
    for path, share in parts.items():
        folder, other = model_and_tokenizer(path)
        if load_tokenizer(other).to_str() != load_tokenizer(tokenizer).to_str():
            raise ValueError(f"{path} has another tokenizer than {first}")
        model: LlamaForCausalLM = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32)
        weights = model.state_dict()
        if mean and {name: w.shape for name, w in weights.items()} != {name: w.shape for name, w in mean.items()}:
            raise ValueError(f"{path} has another shape than {first}")
        for name, weight in weights.items():
            mean[name] = mean.get(name, torch.zeros_like(weight)) + weight * (share / total)
        result = result or model
    if result is not None:
        result.load_state_dict(mean)
        result.save_pretrained(output / "model")
    shutil.copy(tokenizer, output / "tokenizer.json")
