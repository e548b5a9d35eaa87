"""LoRA adapters (https://arxiv.org/abs/2106.09685): small files that change what a loaded model says.

llama.cpp sets adapters for a whole context, so a step serves the sequences of one adapter, or of none. What an
adapter has computed is no use to another; an `Adapter` object is therefore also the name of its KV.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import llama_cpp.llama_cpp as llama

from server.engine import llama_log
from server.engine.errors import AdapterError
from server.engine.model import Model


@dataclass(frozen=True, slots=True, eq=False)
class Adapter:
    """A loaded adapter. Loading the same file again makes another one, with KV of its own."""

    name: str
    path: Path
    scale: float
    """1 is what it was trained for; 0 is the base model."""
    handle: Any


def load_adapter(model: Model, name: str, path: Path, scale: float = 1.0) -> Adapter:
    """Load an adapter into a model. Not while the model decodes. Raises: AdapterError, with the cause."""
    if not path.is_file():
        raise AdapterError(name, f"{path} does not exist or is no file")
    _check_header(model, name, path)
    with llama_log.captured() as log:
        handle: Any = llama.llama_adapter_lora_init(model.handle, str(path).encode())
    if not handle:
        raise AdapterError(name, log[0] if log else "llama.cpp gave no reason")
    if llama.llama_adapter_get_alora_n_invocation_tokens(handle):
        llama.llama_adapter_lora_free(handle)
        raise AdapterError(name, "it is an activated LoRA (aLoRA), which is not served; use a plain LoRA")
    return Adapter(name, path, scale, handle)


def free_adapter(adapter: Adapter) -> None:
    """Give its memory back. Not while the model decodes, nor while a context has it set."""
    llama.llama_adapter_lora_free(adapter.handle)


def _check_header(model: Model, name: str, path: Path) -> None:
    """What llama.cpp says of these without naming the two sides."""
    try:
        fields = gguf.GGUFReader(path).fields
    except (ValueError, OSError, IndexError, KeyError) as error:
        raise AdapterError(name, f"{path.name} is not a whole GGUF file ({error})") from error

    def text(key: str) -> str:
        field = fields.get(key)
        return str(field.contents()) if field is not None else "unknown"

    if text("general.type") != "adapter" or text("adapter.type") != "lora":
        raise AdapterError(name, f"{path.name} is not a LoRA adapter (general.type is {text('general.type')!r})")
    wanted = model.metadata("general.architecture") or "unknown"
    if text("general.architecture") != wanted:
        found = text("general.architecture")
        raise AdapterError(name, f"it was trained on another base: {found!r}, but {model.path.name} is {wanted!r}")
