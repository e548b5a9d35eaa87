"""The proof of an embedding model's export: the same tokens and the same vectors from torch and from llama.cpp."""

import ctypes
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import llama_cpp.llama_cpp as llama
import numpy as np
from numpy.typing import NDArray

from training.export.card import ExportError
from training.export.gate import quiet_model

LEAST_COSINE = 0.9999
TEXTS = (
    "What will the weather be in Reykjavík on Friday?",
    "Send an e-mail to bob@example.org: the meeting is at 10:30.",
    "naïve café, 你好 — 42% (3.14)!",
    "Book a table",
    " ".join(["A long text about nothing in particular goes on and on."] * 12),
)
Vector = NDArray[np.float32]


def check_same_vectors(checkpoint: Path, exported: Path, pooling: str, least: float = LEAST_COSINE) -> float:
    """Returns the smallest cosine. Raises: ExportError, naming the text whose tokens or vector differ."""
    ids, right = torch_vectors(checkpoint, pooling)
    worst = 1.0
    for text, tokens, vector, (other_tokens, other) in zip(TEXTS, ids, right, llama_vectors(exported), strict=True):
        if tokens != other_tokens:
            raise ExportError(f"{exported.name}: llama.cpp cuts {text[:40]!r} into {other_tokens}, not {tokens}")
        cosine = float(vector @ other / np.linalg.norm(vector) / np.linalg.norm(other))
        worst = min(worst, cosine)
        if not cosine >= least:
            raise ExportError(
                f"{exported.name}: llama.cpp does not compute what torch does: the vectors of {text[:40]!r} "
                f"have the cosine {cosine:.5f}, tolerated {least}"
            )
    return worst


def torch_vectors(checkpoint: Path, pooling: str) -> tuple[list[list[int]], list[Vector]]:
    """Tokens and vectors of `TEXTS`."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    model = AutoModel.from_pretrained(checkpoint, dtype=torch.float32, add_pooling_layer=False).eval()
    ids = [tokenizer.encode(text) for text in TEXTS]
    with torch.no_grad():
        states = [model(input_ids=torch.tensor([tokens])).last_hidden_state[0].numpy() for tokens in ids]
    return ids, [state[0] if pooling == "cls" else state.mean(axis=0) for state in states]


def llama_vectors(path: Path) -> list[tuple[list[int], Vector]]:
    """The same through llama.cpp, each text alone. Raises: ExportError."""
    with quiet_model(path) as model:
        vocabulary = llama.llama_model_get_vocab(model)
        tokens = [_tokenize(vocabulary, text) for text in TEXTS]
        params = llama.llama_context_default_params()
        params.n_ctx = params.n_batch = params.n_ubatch = max(map(len, tokens))
        params.embeddings = True
        params.flash_attn_type = llama.LLAMA_FLASH_ATTN_TYPE_DISABLED
        context = llama.llama_init_from_model(model, params)
        try:
            return [(ids, _embed(context, ids, llama.llama_model_n_embd_out(model))) for ids in tokens]
        finally:
            llama.llama_free(context)


def _tokenize(vocabulary: Any, text: str) -> list[int]:
    data = text.encode()
    room = (llama.llama_token * (len(data) + 16))()
    count = llama.llama_tokenize(vocabulary, data, len(data), room, len(room), True, False)
    return list(room[:count])


def _embed(context: Any, ids: Sequence[int], size: int) -> Vector:
    batch = llama.llama_batch_init(len(ids), 0, 1)
    try:
        for position, token in enumerate(ids):
            batch.token[position], batch.pos[position], batch.n_seq_id[position] = token, position, 1
            batch.seq_id[position][0], batch.logits[position] = 0, True
        batch.n_tokens = len(ids)
        if llama.llama_encode(context, batch) != 0:
            raise ExportError("llama.cpp can't compute a vector with the exported model")
        floats = ctypes.cast(llama.llama_get_embeddings_seq(context, 0), ctypes.POINTER(ctypes.c_float))
        return np.ctypeslib.as_array(floats, (size,)).copy()
    finally:
        llama.llama_batch_free(batch)
