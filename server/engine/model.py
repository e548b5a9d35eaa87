"""A GGUF model file, loaded: its weights, its vocabulary and what its metadata says about how to use it."""

import ctypes
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import llama_cpp.llama_cpp as llama

from server.engine import llama_log
from server.engine.errors import ModelLoadError
from server.engine.gguf_header import Header, HeaderError, read_header
from server.engine.types import Sampling, SplitMode
from server.engine.vocabulary import Vocabulary

_GGUF_MAGIC = b"GGUF"
_SPLIT_MODES: dict[SplitMode, int] = {
    "none": llama.LLAMA_SPLIT_MODE_NONE,
    "layer": llama.LLAMA_SPLIT_MODE_LAYER,
    "row": llama.LLAMA_SPLIT_MODE_ROW,
    "tensor": llama.LLAMA_SPLIT_MODE_TENSOR,
}
_LOAD_MODES = {
    (False, False): llama.LLAMA_LOAD_MODE_NONE,
    (True, False): llama.LLAMA_LOAD_MODE_MMAP,
    (False, True): llama.LLAMA_LOAD_MODE_MLOCK,
    (True, True): llama.LLAMA_LOAD_MODE_MMAP_MLOCK,
}
"""By mmap and mlock."""
_METADATA_ROOM = 256 * 1024
"""Bytes; chat templates of 20 KB and more exist."""


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """Where a model's weights are put."""

    gpu_layers: int = 0
    """Layers to offload, -1 for all."""
    split_mode: SplitMode = "layer"
    main_gpu: int = 0
    """The GPU that is used where `split_mode` is none."""
    mmap: bool = True
    """Map the file rather than read it: pages come as they are needed and are shared between processes."""
    mlock: bool = False
    """Keep the weights from being swapped out."""


class Model:
    """One loaded GGUF. Free it with `close` after every context made from it is gone."""

    def __init__(self, path: Path, settings: ModelSettings = ModelSettings()) -> None:
        """Load a model. Raises: ModelLoadError, with the file's name and the cause."""
        self.header = header_of(path)
        llama.llama_backend_init()
        llama_log.install()
        params = llama.llama_model_default_params()
        params.n_gpu_layers = settings.gpu_layers
        params.split_mode = _SPLIT_MODES[settings.split_mode]
        params.main_gpu = settings.main_gpu
        params.load_mode = _LOAD_MODES[settings.mmap, settings.mlock]
        with llama_log.captured() as log:
            self.handle: Any = llama.llama_model_load_from_file(str(path).encode(), params)
        if not self.handle:
            raise ModelLoadError(f"{path.name} can't be loaded: {_cause(log)}")
        self.path = path
        self.vocabulary = Vocabulary(self.handle)
        self.train_context: int = llama.llama_model_n_ctx_train(self.handle)
        """Tokens the model was trained to look back."""
        self.is_offloaded = settings.gpu_layers != 0
        self.has_window: bool = llama.llama_model_n_swa(self.handle) > 0
        """Some layers look back so far only: what they have forgotten is in no saved state."""
        self.can_share_prefixes = not (
            llama.llama_model_is_recurrent(self.handle) or llama.llama_model_is_hybrid(self.handle)
        )
        """Recurrent state can't be cut at a token, so such models get no prefix cache."""
        self.embedding_size: int = llama.llama_model_n_embd_out(self.handle)
        """Numbers in an embedding."""
        is_causal = self.header.metadata.get(f"{self.header.architecture}.attention.causal") is not False
        self.can_generate: bool = is_causal and llama.llama_model_has_decoder(self.handle)
        """An encoder, such as most embedding models and rerankers are, can't."""

    @property
    def name(self) -> str:
        """The file's name without its suffix."""
        return self.path.stem

    @property
    def description(self) -> str:
        """llama.cpp's own words, such as `qwen2 0.5B Q8_0`."""
        buffer = ctypes.create_string_buffer(256)
        llama.llama_model_desc(self.handle, buffer, len(buffer))
        return buffer.value.decode("utf-8", errors="replace")

    @property
    def chat_template(self) -> str | None:
        """The Jinja source in the file, if it has one."""
        return self.metadata("tokenizer.chat_template")

    @property
    def bos_token(self) -> str:
        return self.vocabulary.name(self.vocabulary.bos)

    @property
    def eos_token(self) -> str:
        return self.vocabulary.name(self.vocabulary.eos)

    @property
    def sampling_defaults(self) -> Sampling:
        """What the file recommends under `general.sampling.*` (llama.h, LLAMA_MODEL_META_KEY_SAMPLING_*)."""
        neutral = Sampling()
        return Sampling(
            temperature=self._number("general.sampling.temp", neutral.temperature),
            top_k=int(self._number("general.sampling.top_k", neutral.top_k)),
            top_p=self._number("general.sampling.top_p", neutral.top_p),
            min_p=self._number("general.sampling.min_p", neutral.min_p),
            repetition_penalty=self._number("general.sampling.penalty_repeat", neutral.repetition_penalty),
        )

    def metadata(self, key: str) -> str | None:
        """A value of the file's header as text, None if it is absent."""
        buffer = ctypes.create_string_buffer(_METADATA_ROOM)
        length = llama.llama_model_meta_val_str(self.handle, key.encode(), buffer, len(buffer))
        return buffer.value.decode("utf-8", errors="replace") if length >= 0 else None

    def close(self) -> None:
        if self.handle:
            llama.llama_model_free(self.handle)
            self.handle = None

    def _number(self, key: str, default: float) -> float:
        text = self.metadata(key)
        try:
            value = float(text) if text is not None else default
        except ValueError:
            return default
        return value if math.isfinite(value) else default


def header_of(path: Path) -> Header:
    """A model file's header. Raises: ModelLoadError, for the mistakes that users make most."""
    _check_file(path)
    try:
        header = read_header(path)
    except (HeaderError, OSError) as error:
        raise ModelLoadError(f"{path.name} can't be loaded: the file is truncated or damaged ({error})") from error
    if header.text("general.type") in ("adapter", "mmproj", "imatrix"):
        kind = header.text("general.type")
        raise ModelLoadError(f"{path.name} is no model but of the type {kind!r}; an adapter goes to --adapter")
    if not header.tensors and "split.count" not in header.metadata:
        raise ModelLoadError(f"{path.name} holds a vocabulary only, no weights: it can't generate text")
    return header


def _check_file(path: Path) -> None:
    """What is no GGUF at all. Raises: ModelLoadError."""
    if not path.exists():
        raise ModelLoadError(f"model file {path} does not exist")
    if path.is_dir():
        raise ModelLoadError(f"{path} is a folder; give the path of a .gguf file in it")
    try:
        with path.open("rb") as file:
            magic = file.read(len(_GGUF_MAGIC))
    except OSError as error:
        raise ModelLoadError(f"model file {path} can't be read: {error.strerror}") from error
    if magic != _GGUF_MAGIC:
        raise ModelLoadError(f"{path} is not a GGUF file (it begins with {magic!r}, not {_GGUF_MAGIC!r})")


def _cause(log: list[str]) -> str:
    """The line of llama.cpp's log that names the cause, in a user's words where we know them."""
    text = "\n".join(log)
    if "unknown model architecture" in text:
        architecture = text.split("unknown model architecture:", 1)[1].split("\n", 1)[0].strip()
        return f"llama.cpp {llama.llama_version().decode()} doesn't know the architecture {architecture}"
    if "not within the file bounds" in text or "failed to read" in text:
        return f"the file is truncated or damaged; download it again ({log[0]})"
    return log[0] if log else "llama.cpp gave no reason"
