"""The proof of an export: the checkpoint in torch and the GGUF in llama.cpp give the same logits.

A right conversion in F32 differs by about 0.001; a forgotten permutation of q and k by more than 0.1.
"""

import ctypes
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import llama_cpp.llama_cpp as llama
import numpy as np
from numpy.typing import NDArray

from training.export.card import ExportError

F32_TOLERANCE = 0.01
"""Largest difference of a logit; rounding alone stays well below."""
GELU_TOLERANCE = 0.05
"""Of models with GELU (gemma), which llama.cpp looks up in a table of F16."""


def check_same_logits(checkpoint: Path, exported: Path, prompts: list[list[int]], tolerance: float) -> float:
    """Compare all logits of all positions.

    `prompts`: token ids. Returns the largest difference. Raises: ExportError, naming where it is too large.
    """
    return compare_logits(
        torch_logits(checkpoint, prompts),
        llama_logits(exported, prompts),
        tolerance,
        f"{exported.name} from {checkpoint}",
    )


def compare_logits(
    right: list[NDArray[np.float32]], other: list[NDArray[np.float32]], tolerance: float, what: str
) -> float:
    """Logits of shape (tokens, vocabulary) for each prompt, torch's and llama.cpp's.

    Returns the largest difference. Raises: ExportError, naming where it is too large.
    """
    worst = 0.0
    for number, (ours, theirs) in enumerate(zip(right, other, strict=True)):
        with np.errstate(invalid="ignore"):  # infinite ones have no difference
            difference = np.abs(ours - theirs)
        largest = float(difference.max())
        worst = max(worst, largest)
        if not (math.isfinite(largest) and largest <= tolerance):
            position, token = np.unravel_index(int(difference.argmax()), difference.shape)
            raise ExportError(
                f"{what}: llama.cpp does not compute what torch does: prompt {number}, position {position}, "
                f"token {token}: {theirs[position, token]:.4f} instead of {ours[position, token]:.4f} "
                f"(difference {difference.max():.4f}, tolerated {tolerance})"
            )
    return worst


def torch_logits(checkpoint: Path, prompts: list[list[int]]) -> list[NDArray[np.float32]]:
    """Logits of shape (tokens, vocabulary) for each prompt."""
    import torch
    from transformers import LlamaForCausalLM

    model = LlamaForCausalLM.from_pretrained(checkpoint, dtype=torch.float32).eval()
    with torch.no_grad():
        return [model(input_ids=torch.tensor([prompt])).logits[0].numpy() for prompt in prompts]


def llama_logits(path: Path, prompts: list[list[int]], adapter: Path | None = None) -> list[NDArray[np.float32]]:
    """The same through llama.cpp. Raises: ExportError, if it can't load a file."""
    with quiet_model(path) as model:
        return _logits(model, prompts, adapter)


@contextmanager
def quiet_model(path: Path) -> Iterator[Any]:
    """A llama_model pointer, freed afterwards. Raises: ExportError, if llama.cpp can't load it."""
    llama.llama_log_set(_silence, ctypes.c_void_p(0))
    llama.llama_backend_init()
    model = llama.llama_model_load_from_file(str(path).encode(), llama.llama_model_default_params())
    if not model:
        raise ExportError(f"llama.cpp can't load {path}")
    try:
        yield model
    finally:
        llama.llama_model_free(model)


def _logits(model: Any, prompts: list[list[int]], adapter: Path | None) -> list[NDArray[np.float32]]:
    longest = max(map(len, prompts))
    params = llama.llama_context_default_params()
    params.n_ctx, params.n_batch, params.n_ubatch = longest, longest, longest
    params.type_k = params.type_v = 0  # F32: the comparison is about the weights, not about the cache
    params.flash_attn_type = llama.LLAMA_FLASH_ATTN_TYPE_DISABLED  # which rounds to F16 inside
    context = llama.llama_init_from_model(model, params)
    size = llama.llama_vocab_n_tokens(llama.llama_model_get_vocab(model))
    batch = llama.llama_batch_init(longest, 0, 1)
    try:
        if adapter is not None:
            _set_adapter(model, context, adapter)
        return [_decode(context, batch, prompt, size) for prompt in prompts]
    finally:
        llama.llama_batch_free(batch)
        llama.llama_free(context)


def _set_adapter(model: Any, context: Any, path: Path) -> None:
    """The model frees it."""
    handle = llama.llama_adapter_lora_init(model, str(path).encode())
    if not handle:
        raise ExportError(f"llama.cpp can't load {path.name} as an adapter")
    handles, scales = (llama.llama_adapter_lora_p_ctypes * 1)(handle), (ctypes.c_float * 1)(1.0)
    llama.llama_set_adapters_lora(context, handles, 1, scales)


@llama.llama_log_callback  # type: ignore[untyped-decorator]
def _silence(level: int, text: bytes, _: ctypes.c_void_p) -> None:
    """llama.cpp's log would drown what the export has to say."""


def _decode(context: Any, batch: Any, prompt: list[int], size: int) -> NDArray[np.float32]:
    llama.llama_memory_clear(llama.llama_get_memory(context), True)
    for position, token in enumerate(prompt):
        batch.token[position] = token
        batch.pos[position] = position
        batch.n_seq_id[position] = 1
        batch.seq_id[position][0] = 0
        batch.logits[position] = True
    batch.n_tokens = len(prompt)
    if llama.llama_decode(context, batch) != 0:
        raise ExportError("llama.cpp can't decode a prompt with the exported model")
    floats = ctypes.POINTER(ctypes.c_float)
    rows = (llama.llama_get_logits_ith(context, position) for position in range(len(prompt)))
    return np.stack([np.ctypeslib.as_array(ctypes.cast(row, floats), (size,)).copy() for row in rows])
