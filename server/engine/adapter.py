"""LoRA adapters (https://arxiv.org/abs/2106.09685): small files that change what a loaded model says.

llama.cpp sets adapters for a whole context, so a step serves the sequences of one adapter, or of none. What an
adapter has computed is no use to another; an `Adapter` object is therefore also the name of its KV. An activated LoRA
(aLoRA, https://arxiv.org/abs/2504.12397) acts only from the tokens on that invoke it; before them the KV is the base's.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import llama_cpp.llama_cpp as llama

from server.engine import llama_log
from server.engine.errors import AdapterError
from server.engine.gguf_header import Header, HeaderError, read_header
from server.engine.model import Model

_INVOCATION = "adapter.alora.invocation_tokens"
_SIDES = {"lora_a": 0, "lora_b": 1}
"""Which dimension of the weight each half must fit."""


@dataclass(frozen=True, slots=True, eq=False)
class Adapter:
    """A loaded adapter. Loading the same file again makes another one, with KV of its own."""

    name: str
    path: Path
    scale: float
    """1 is what it was trained for; 0 is the base model."""
    handle: Any
    invocation: tuple[int, ...] = ()
    """Tokens that activate it; empty for a plain LoRA, which always acts."""

    def start_in(self, prompt: tuple[int, ...]) -> int | None:
        """The first token it acts on: of the last invocation in the prompt. None if there is none."""
        length = len(self.invocation)
        starts = range(len(prompt) - length, -1, -1)
        return 0 if not length else next((at for at in starts if prompt[at : at + length] == self.invocation), None)


def load_adapter(model: Model, name: str, path: Path, scale: float = 1.0) -> Adapter:
    """Load an adapter that `check_adapter` has passed, not while the model decodes. Raises: AdapterError."""
    with llama_log.captured() as log:
        handle: Any = llama.llama_adapter_lora_init(model.handle, str(path).encode())
    if not handle:
        raise AdapterError(name, log[0] if log else "llama.cpp gave no reason")
    return Adapter(name, path, scale, handle, _invocation(handle))


def _invocation(handle: Any) -> tuple[int, ...]:
    count = llama.llama_adapter_get_alora_n_invocation_tokens(handle)
    tokens = llama.llama_adapter_get_alora_invocation_tokens(handle) if count else None
    return tuple(int(tokens[index]) for index in range(count)) if tokens else ()


def free_adapter(adapter: Adapter) -> None:
    """Give its memory back. Not while the model decodes, nor while a context has it set."""
    llama.llama_adapter_lora_free(adapter.handle)


def check_adapter(model: Model, name: str, path: Path) -> None:
    """Read the file's header and compare it with the model's; any thread may. Raises: AdapterError.

    llama.cpp refuses the same files, but without naming the two sides.
    """
    if not path.is_file():
        raise AdapterError(name, f"{path} does not exist or is no file")
    try:
        header, base = read_header(path), read_header(model.path)
    except (HeaderError, OSError) as error:
        raise AdapterError(name, f"{path.name} is not a whole GGUF file ({error})") from error
    if (kind := header.text("general.type")) != "adapter" or header.text("adapter.type") != "lora":
        raise AdapterError(name, f"{path.name} is not a LoRA adapter (general.type is {kind!r})")
    if header.architecture != base.architecture:
        raise AdapterError(
            name,
            f"it was trained on another base: {header.architecture!r}, but {model.path.name} is {base.architecture!r}",
        )
    _check_invocation(name, header, model.vocabulary.size)
    _check_shapes(name, header, base)


def _check_invocation(name: str, header: Header, vocabulary: int) -> None:
    """Of an aLoRA: tokens that can't be in a prompt would leave it without effect for ever."""
    tokens = header.metadata.get(_INVOCATION, [])
    strange = (
        [token for token in tokens if not (isinstance(token, int) and 0 <= token < vocabulary)]
        if isinstance(tokens, list)
        else [tokens]
    )
    if strange:
        raise AdapterError(name, f"it is activated by the token {strange[0]!r}, which the model does not have")


def _check_shapes(name: str, header: Header, base: Header) -> None:
    """A weight of shape (in, out) is changed by `lora_a` (in, rank) and `lora_b` (rank, out)."""
    for tensor_name, tensor in header.tensors.items():
        weight_name, _, side = tensor_name.rpartition(".")
        weight = base.tensors.get(weight_name)
        if weight is None or side not in _SIDES or weight_name.startswith("token_embd"):  # stored the other way round
            continue
        found, wanted = tensor.shape[_SIDES[side]], weight.shape[_SIDES[side]]
        if found != wanted:
            raise AdapterError(
                name,
                f"it was trained on a base of another size: {tensor_name} is for {found}, but the model has {wanted}",
            )
