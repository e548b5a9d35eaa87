"""A llama.cpp context: one batch, one KV cache, many sequences.

The batch's C arrays are written through numpy views: a ctypes assignment a token costs more than a step of a small
model. Sequences live in one unified KV buffer, so that copying a prefix from one to another moves no data.
"""

import ctypes
from dataclasses import dataclass
from typing import Any

import llama_cpp.llama_cpp as llama
import numpy as np
from numpy.typing import NDArray

from server.engine import llama_log
from server.engine.adapter import Adapter
from server.engine.errors import ModelLoadError
from server.engine.kv_shelf import KvState
from server.engine.memory import kv_type_number
from server.engine.model import Model
from server.engine.types import FlashAttention, KvType, Pooling

_FLASH_ATTENTION: dict[FlashAttention, int] = {
    "auto": llama.LLAMA_FLASH_ATTN_TYPE_AUTO,
    "on": llama.LLAMA_FLASH_ATTN_TYPE_ENABLED,
    "off": llama.LLAMA_FLASH_ATTN_TYPE_DISABLED,
}

_POOLING: dict[Pooling, int] = {
    "mean": llama.LLAMA_POOLING_TYPE_MEAN,
    "cls": llama.LLAMA_POOLING_TYPE_CLS,
    "last": llama.LLAMA_POOLING_TYPE_LAST,
}


class NoRoomError(Exception):
    """The KV cache has no cells left for this batch; nothing was changed."""


class DecodeError(Exception):
    """llama_decode failed; the KV of the sequences in the batch is undefined."""


@dataclass(frozen=True, slots=True)
class ContextSettings:
    """Sizes of a context."""

    cells: int
    """Tokens the KV cache holds, over all sequences."""
    sequences: int
    """Sequences it can tell apart."""
    batch_tokens: int
    """Tokens one decode may take."""
    threads: int
    kv_type: KvType = "f16"
    flash_attention: FlashAttention = "auto"
    pooling: Pooling | None = None
    """Pooled vectors come out instead of logits; the model's attention may look at a whole batch at once."""


class Context:
    """Decodes batches. Not thread-safe: one thread owns it."""

    def __init__(self, model: Model, settings: ContextSettings) -> None:
        """Raises: ModelLoadError, if llama.cpp can't make such a context (mostly: too little memory)."""
        params = llama.llama_context_default_params()
        params.n_ctx = settings.cells
        params.n_seq_max = settings.sequences
        params.n_batch = settings.batch_tokens
        params.n_ubatch = min(settings.batch_tokens, 512)
        params.n_threads = settings.threads
        params.n_threads_batch = settings.threads
        params.type_k = params.type_v = kv_type_number(settings.kv_type)
        params.flash_attn_type = _FLASH_ATTENTION[settings.flash_attention]
        if settings.pooling:
            params.embeddings = True
            params.pooling_type = _POOLING[settings.pooling]
            params.n_ubatch = settings.batch_tokens
        params.kv_unified = True
        params.no_perf = True
        with llama_log.captured() as log:
            self._handle: Any = llama.llama_init_from_model(model.handle, params)
        if not self._handle:
            raise ModelLoadError(
                f"no context of {settings.cells} tokens can be made for {model.path.name}: "
                f"{log[0] if log else 'llama.cpp gave no reason'}. Try a smaller context length."
            )
        self._memory = llama.llama_get_memory(self._handle)
        self._vocabulary_size = model.vocabulary.size
        self._embedding_size = model.embedding_size
        self._batch = llama.llama_batch_init(settings.batch_tokens, 0, 1)
        self._room = settings.batch_tokens
        self._tokens = _view(self._batch.token, ctypes.c_int32, self._room)
        self._positions = _view(self._batch.pos, ctypes.c_int32, self._room)
        self._wants_logits = _view(self._batch.logits, ctypes.c_int8, self._room)
        _view(self._batch.n_seq_id, ctypes.c_int32, self._room)[:] = 1
        self._sequence_ids = [
            ctypes.cast(self._batch.seq_id[i], ctypes.POINTER(ctypes.c_int32)) for i in range(self._room)
        ]
        self._count = 0
        self._adapter: Adapter | None = None

    @property
    def room(self) -> int:
        """Tokens that still fit in the batch."""
        return self._room - self._count

    @property
    def count(self) -> int:
        """Tokens in the batch."""
        return self._count

    def clear_batch(self) -> None:
        self._count = 0

    def add(
        self,
        tokens: list[int],
        *,
        start: int,
        sequence: int,
        wants_logits: bool,
        guessed: int = 0,
        wanted: range = range(0),
    ) -> int:
        """Put tokens of a sequence, at positions `start`…, into the batch.

        Returns the batch row of the last known one, whose logits `logits` gives if `wants_logits`; the `guessed` tokens
        at the end have logits too. `wanted`: others that have, by their places in `tokens`.
        """
        begin, end = self._count, self._count + len(tokens)
        self._tokens[begin:end] = tokens
        self._positions[begin:end] = np.arange(start, start + len(tokens), dtype=np.int32)
        self._wants_logits[begin:end] = False
        self._wants_logits[begin + wanted.start : begin + wanted.stop] = True
        if wants_logits:
            self._wants_logits[end - 1 - guessed : end] = True
        for row in range(begin, end):
            self._sequence_ids[row][0] = sequence
        self._count = end
        return end - 1 - guessed

    def decode(self) -> None:
        """Run the batch.

        Raises: NoRoomError, DecodeError.
        """
        self._batch.n_tokens = self._count
        result = llama.llama_decode(self._handle, self._batch)
        if result == 1:
            raise NoRoomError
        if result != 0:
            raise DecodeError(f"llama_decode returned {result}")
        llama.llama_synchronize(self._handle)

    def warm_up(self) -> None:
        """Decode one token and forget it, so that the first request doesn't wait for the weights' pages.

        In the thread that will decode: OpenMP keeps a team of threads for each thread that calls it, and when there are
        more than processors they stop spinning between operations, which costs a tenth of the speed.
        Raises: DecodeError.
        """
        self.add([0], start=0, sequence=0, wants_logits=True)
        llama.llama_set_warmup(self._handle, True)
        try:
            self.decode()
        finally:
            llama.llama_set_warmup(self._handle, False)
            self.clear_batch()
            self.truncate(0, 0)

    def logits(self, row: int) -> NDArray[np.float32]:
        """Shape (vocabulary,). A view into llama.cpp's memory, valid until the next decode."""
        pointer = llama.llama_get_logits_ith(self._handle, row)
        if not pointer:
            raise DecodeError(f"batch row {row} has no logits")
        row_view: NDArray[np.float32] = _view(pointer, ctypes.c_float, self._vocabulary_size)
        return row_view

    def embedding(self, sequence: int) -> NDArray[np.float32]:
        """The pooled vector of a sequence of the batch, as the model gives it. Shape (embedding size,); a copy."""
        pointer = llama.llama_get_embeddings_seq(self._handle, sequence)
        if not pointer:
            raise DecodeError(f"sequence {sequence} has no embedding")
        vector: NDArray[np.float32] = _view(pointer, ctypes.c_float, self._embedding_size).copy()
        return vector

    def clear_memory(self) -> None:
        """Forget all tokens of all sequences, and write zeros over their KV. Encoders have no such memory."""
        if self._memory:
            llama.llama_memory_clear(self._memory, True)

    def use(self, adapter: Adapter | None) -> None:
        """Decode with this adapter from now on, or with none."""
        if adapter is self._adapter:
            return
        handles = (llama.llama_adapter_lora_p_ctypes * 1)(adapter.handle if adapter else None)
        scales = (ctypes.c_float * 1)(adapter.scale if adapter else 0.0)
        if llama.llama_set_adapters_lora(self._handle, handles, 1 if adapter else 0, scales):
            raise DecodeError("llama.cpp did not take the adapter")
        self._adapter = adapter

    def copy_prefix(self, source: int, target: int, length: int) -> None:
        """Let sequence `target` share the first `length` tokens of `source`."""
        llama.llama_memory_seq_cp(self._memory, source, target, 0, length)

    def truncate(self, sequence: int, length: int) -> None:
        """Forget all tokens of a sequence from position `length` on."""
        llama.llama_memory_seq_rm(self._memory, sequence, length, -1)

    def share_prefix(self, source: int, target: int, length: int) -> None:
        """Like `copy_prefix`, where `target` has cells of its own for those tokens; it gives them up."""
        llama.llama_memory_seq_rm(self._memory, target, 0, length)
        llama.llama_memory_seq_cp(self._memory, source, target, 0, length)

    def saved_bytes(self, sequence: int) -> int:
        """How much `save` would give."""
        return int(llama.llama_state_seq_get_size(self._handle, sequence))

    def save(self, sequence: int) -> KvState:
        """The KV of a sequence, as `restore` takes it; empty if llama.cpp fails. Raises: MemoryError."""
        size = self.saved_bytes(sequence)
        state = bytearray(size)  # in place: a second copy of a large one would hold up the event loop too
        buffer = (ctypes.c_uint8 * size).from_buffer(state)
        written = llama.llama_state_seq_get_data(self._handle, buffer, size, sequence)
        return state if written == size else state[:written]

    def restore(self, sequence: int, state: KvState) -> bool:
        """Give a sequence the KV that `save` took, of this model with these settings. False if there is no room."""
        data = np.frombuffer(state, np.uint8).ctypes.data_as(ctypes.POINTER(ctypes.c_uint8))
        with llama_log.captured():
            return bool(llama.llama_state_seq_set_data(self._handle, data, len(state), sequence))

    def close(self) -> None:
        if self._handle:
            llama.llama_batch_free(self._batch)
            llama.llama_free(self._handle)
            self._handle = None


def _view(pointer: Any, kind: Any, length: int) -> NDArray[Any]:
    return np.ctypeslib.as_array(ctypes.cast(pointer, ctypes.POINTER(kind)), shape=(length,))
