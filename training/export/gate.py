"""The proof of an export: the checkpoint in torch and the GGUF in llama.cpp give the same logits.

A right conversion in F32 differs by about 0.001; a forgotten permutation of q and k by more than 0.1.
"""

import ctypes
from pathlib import Path
from typing import Any

import llama_cpp.llama_cpp as llama
import numpy as np
from numpy.typing import NDArray

from training.export.card import ExportError

F32_TOLERANCE = 0.01
"""Largest difference of a logit; rounding alone stays well below."""


def check_same_logits(checkpoint: Path, exported: Path, prompts: list[list[int]], tolerance: float) -> float:
    """Compare all logits of all positions.

    `prompts`: token ids. Returns the largest difference. Raises: ExportError, naming where it is too large.
    """
    worst = 0.0
    theirs = llama_logits(exported, prompts)
    for number, (ours, other) in enumerate(zip(torch_logits(checkpoint, prompts), theirs, strict=True)):
        difference = np.abs(ours - other)
        worst = max(worst, float(difference.max()))
        if not worst <= tolerance:  # NaN fails too
            position, token = np.unravel_index(int(difference.argmax()), difference.shape)
            raise ExportError(
                f"{exported.name} does not compute what {checkpoint} does: prompt {number}, position {position}, "
                f"token {token}: {other[position, token]:.4f} instead of {ours[position, token]:.4f} "
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


def llama_logits(path: Path, prompts: list[list[int]]) -> list[NDArray[np.float32]]:
    """The same through llama.cpp. Raises: ExportError, if it can't load the file."""
    llama.llama_log_set(_silence, ctypes.c_void_p(0))
    llama.llama_backend_init()
    model = llama.llama_model_load_from_file(str(path).encode(), llama.llama_model_default_params())
    if not model:
        raise ExportError(f"llama.cpp can't load {path}")
    longest = max(map(len, prompts))
    params = llama.llama_context_default_params()
    params.n_ctx, params.n_batch, params.n_ubatch = longest, longest, longest
    params.type_k = params.type_v = 0  # F32: the comparison is about the weights, not about the cache
    context = llama.llama_init_from_model(model, params)
    size = llama.llama_vocab_n_tokens(llama.llama_model_get_vocab(model))
    batch = llama.llama_batch_init(longest, 0, 1)
    try:
        return [_decode(context, batch, prompt, size) for prompt in prompts]
    finally:
        llama.llama_batch_free(batch)
        llama.llama_free(context)
        llama.llama_model_free(model)


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
