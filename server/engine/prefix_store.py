"""A folder that keeps the KV of hot prompt beginnings, so that a restart needs no prefill for them.

One file a prefix: a line of JSON that says who made it, the token ids, and what llama.cpp gives as a sequence's state.
KV is good for nothing but the very weights, llama.cpp and settings that computed it, so all of these are part of the
file's name and are compared again when it is read. Files are written beside their place and then renamed, checked by a
digest, and the least recently used go when the folder grows beyond its bound. Only its owner may read them.
"""

import hashlib
import json
import logging
import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from importlib.metadata import version
from pathlib import Path

import llama_cpp.llama_cpp as llama
import numpy as np

from server.engine.errors import PrefixStoreError
from server.engine.kv_shelf import KvState
from server.engine.types import FlashAttention, KvType

logger = logging.getLogger("trammel.prefixes")

_SUFFIX = ".kv"
_PART = ".part"
_FORMAT = 1
_SAMPLES, _SAMPLE_BYTES = 64, 64 * 1024
_HEADER_ROOM = 64 * 1024
_STALE_SECONDS = 3600.0
"""After which an unfinished file is nobody's any more."""


@dataclass(frozen=True, slots=True)
class Maker:
    """What computed a KV. Where one of these differs, the KV is worth nothing."""

    model: str
    """Digest of the model file: its size and samples of it, its header among them."""
    engine: str
    """llama.cpp's version and the bindings'."""
    kv_type: KvType
    flash_attention: FlashAttention
    format: int = _FORMAT

    def difference(self, other: "Maker") -> str | None:
        """Why what `other` made is of no use here; None if it is."""
        for field in fields(self):
            mine, theirs = getattr(self, field.name), getattr(other, field.name)
            if mine == theirs:
                continue
            match field.name:
                case "model":
                    return "the model file is another one"
                case "engine":
                    return f"they were made by llama.cpp {theirs}, and this is {mine}"
                case _:
                    return f"they were made with {field.name} {theirs}, and this is {mine}"
        return None


def maker_of(model: Path, kv_type: KvType, flash_attention: FlashAttention) -> Maker:
    """The maker that a model with these settings is. Reads up to 4 MiB of the file."""
    engine = f"{llama.llama_version().decode()} (llama-cpp-python {version('llama-cpp-python')})"
    return Maker(file_digest(model), engine, kv_type, flash_attention)


def file_digest(path: Path) -> str:
    """A digest of a file's size and of samples all over it: two tunings of one model differ everywhere."""
    size = path.stat().st_size
    digest = hashlib.blake2b(size.to_bytes(8, "little"), digest_size=16)
    with path.open("rb") as file:
        for number in range(_SAMPLES):
            file.seek(number * max(0, size - _SAMPLE_BYTES) // max(1, _SAMPLES - 1))
            digest.update(file.read(_SAMPLE_BYTES))
    return digest.hexdigest()


class PrefixStore:
    """The prefixes of one model in a folder that several models, and several processes, may share. Thread-safe."""

    def __init__(self, folder: Path, model_name: str, maker: Maker, limit: int) -> None:
        """`limit`: bytes of all files in `folder`. Raises: PrefixStoreError, if the folder can't be used."""
        self._root = folder
        self._folder = folder / model_name
        self._maker = maker
        self._limit = limit
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._sweep()
        except OSError as error:
            raise PrefixStoreError(f"the prefix store {folder} can't be used: {error.strerror}") from error

    def has(self, tokens: Sequence[int], adapter: str) -> bool:
        return self._path(tokens, adapter).exists()

    def read(self, tokens: Sequence[int], adapter: str) -> bytes | None:
        """The state of a prefix; None if there is none, or none that is whole."""
        path = self._path(tokens, adapter)
        try:
            with path.open("rb") as file:
                header = json.loads(file.readline(_HEADER_ROOM))
                body = file.read()
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            logger.warning("the prefix %s can't be read: %s", path.name, error)
            return None
        known = np.asarray(tokens, dtype="<i4").tobytes()
        if header != self._header(len(tokens), body, adapter) or body[: len(known)] != known:
            logger.warning("the prefix %s is damaged and is removed", path.name)
            path.unlink(missing_ok=True)
            return None
        with suppress(OSError):
            os.utime(path)  # the order of use is the order of these times
        return body[len(known) :]

    def write(self, tokens: Sequence[int], adapter: str, state: KvState) -> bool:
        """Keep a state. False, and why in the log, if it can't be kept."""
        body = np.asarray(tokens, dtype="<i4").tobytes() + state
        header = json.dumps(self._header(len(tokens), body, adapter)).encode() + b"\n"
        path = self._path(tokens, adapter)
        part = path.with_name(f".{path.name}.{os.getpid()}{_PART}")
        try:
            if not self._make_room(len(header) + len(body)):
                logger.info("a prefix of %d tokens is larger than the store's bound and is not kept", len(tokens))
                return False
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(header)
                file.write(body)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        except OSError as error:
            logger.warning("a prefix of %d tokens can't be kept: %s", len(tokens), error)
            part.unlink(missing_ok=True)
            return False
        logger.info("kept a prefix of %d tokens, %.1f MiB", len(tokens), len(body) / 2**20)
        return True

    def _path(self, tokens: Sequence[int], adapter: str) -> Path:
        digest = hashlib.blake2b(json.dumps([asdict(self._maker), adapter]).encode(), digest_size=16)
        digest.update(np.asarray(tokens, dtype="<i4").tobytes())
        return self._folder / (digest.hexdigest() + _SUFFIX)

    def _header(self, count: int, body: bytes, adapter: str) -> dict[str, object]:
        checksum = hashlib.blake2b(body, digest_size=16).hexdigest()
        return {"maker": asdict(self._maker), "adapter": adapter, "tokens": count, "checksum": checksum}

    def _sweep(self) -> None:
        """Remove what was never finished, and say why others' prefixes are not used."""
        for part in self._root.glob(f"*/.*{_PART}"):
            with suppress(OSError):
                if time.time() - part.stat().st_mtime > _STALE_SECONDS:
                    part.unlink()
        refused: Counter[str] = Counter()
        for path in self._folder.glob(f"*{_SUFFIX}"):
            if reason := self._refusal(path):
                refused[reason] += 1
        for reason, count in refused.items():
            logger.warning("%d prefixes in %s are not used: %s", count, self._folder, reason)

    def _refusal(self, path: Path) -> str | None:
        try:
            with path.open("rb") as file:
                maker = Maker(**json.loads(file.readline(_HEADER_ROOM))["maker"])
        except (OSError, ValueError, KeyError, TypeError):
            return "they can't be read"
        return self._maker.difference(maker)

    def _make_room(self, size: int) -> bool:
        """Remove the least recently used until so many bytes fit. False if they never will."""
        if size > self._limit:
            return False
        found = sorted(self._files(), key=lambda one: one[1].st_mtime_ns)
        used = sum(stat.st_size for _, stat in found)
        for path, stat in found:
            if used + size <= self._limit:
                break
            path.unlink(missing_ok=True)
            used -= stat.st_size
        return True

    def _files(self) -> Iterator[tuple[Path, os.stat_result]]:
        for path in self._root.glob(f"*/*{_SUFFIX}"):
            with suppress(FileNotFoundError):  # another process may have removed it
                yield path, path.stat()
