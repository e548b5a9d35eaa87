"""The header of a GGUF file: its metadata and the shapes of its tensors, without its weights.

Read before llama.cpp sees the file, to say in a user's words what is wrong with it and how much memory it needs. The
`gguf` package reads headers too, but makes an object of every token: 7 s for a vocabulary of 150,000, where this
skips over the text in a twentieth of that. Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

import mmap
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Scalar = int | float | bool | str
Value = Scalar | list[Scalar]

_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
"""GGUF's value types as `struct` writes them; 8 is a string, 9 an array."""
_STRING, _ARRAY = 8, 9
_KEPT = 4096
"""Longer arrays (vocabularies, merges) are skipped."""
_MAX_DIMENSIONS = 4


class HeaderError(ValueError):
    """The file is no whole GGUF, or of a version this can't read."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """What a header says of a tensor."""

    shape: tuple[int, ...]
    """As GGUF counts: the dimension that lies densely in memory first."""
    kind: int
    """ggml's type number."""


@dataclass(frozen=True, slots=True)
class Header:
    """A header, read."""

    metadata: Mapping[str, Value]
    tensors: Mapping[str, Tensor]
    file_bytes: int
    """Of all its parts, if it is split."""

    @property
    def architecture(self) -> str:
        return self.text("general.architecture") or "unknown"

    def text(self, key: str) -> str | None:
        value = self.metadata.get(key)
        return value if isinstance(value, str) else None

    def number(self, key: str) -> int | None:
        """A whole number under the architecture's own prefix, such as `block_count` for `llama.block_count`."""
        value = self.metadata.get(f"{self.architecture}.{key}")
        return value if isinstance(value, int) else None

    def by_layer(self, key: str, layers: int) -> list[int]:
        """The same where a file may give one number for all layers, or one a layer; empty if it gives none."""
        value = self.metadata.get(f"{self.architecture}.{key}")
        if isinstance(value, list):
            return [int(number) for number in value[:layers]]
        return [value] * layers if isinstance(value, int) else []


def read_header(path: Path) -> Header:
    """Raises: HeaderError; OSError, if the file can't be opened."""
    size = path.stat().st_size
    parts = sum(part.stat().st_size for part in _parts(path))
    if not size:
        raise HeaderError("it is empty")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            return _read(_Cursor(data), size, parts)
        except (struct.error, KeyError, UnicodeDecodeError, OverflowError, RecursionError) as error:
            raise HeaderError("its header is cut off or damaged") from error


def _parts(path: Path) -> list[Path]:
    """A split model's files, `x-00001-of-00003.gguf` and so on, given the first; else the file itself."""
    split = re.fullmatch(r"(.*)-00001-of-(\d{5})\.gguf", path.name)
    if split is None:
        return [path]
    names = (f"{split[1]}-{number:05}-of-{split[2]}.gguf" for number in range(1, int(split[2]) + 1))
    return [part for name in names if (part := path.with_name(name)).is_file()]


def _read(cursor: "_Cursor", size: int, parts: int) -> Header:
    magic, version, tensor_count, value_count = cursor.take("<4sIQQ")
    if magic != b"GGUF":
        raise HeaderError("it does not begin with GGUF")
    if version not in (2, 3):
        raise HeaderError(f"its version is {version}, not 2 or 3")
    if max(tensor_count, value_count) > size:  # each takes more than a byte
        raise HeaderError("its header is cut off or damaged")
    metadata: dict[str, Value] = {}
    for _ in range(value_count):
        key = cursor.string()
        value = cursor.value(cursor.take("<I")[0])
        if value is not None:
            metadata[key] = value
    return Header(metadata, dict(cursor.tensor() for _ in range(tensor_count)), parts)


class _Cursor:
    """A place in the file that moves on as values are read."""

    def __init__(self, data: mmap.mmap) -> None:
        self._data = data
        self._place = 0

    def take(self, form: str) -> tuple[Any, ...]:
        values: tuple[Any, ...] = struct.unpack_from(form, self._data, self._place)
        self._place += struct.calcsize(form)
        return values

    def string(self) -> str:
        (length,) = self.take("<Q")
        begin = self._place
        self._skip(length)
        return self._data[begin : self._place].decode("utf-8")

    def value(self, kind: int) -> Value | None:
        """None for arrays that are too long to keep."""
        if kind == _STRING:
            return self.string()
        if kind != _ARRAY:
            scalar: Scalar = self.take("<" + _SCALARS[kind])[0]
            return scalar
        inner, count = self.take("<IQ")
        if count <= _KEPT and inner != _ARRAY:
            return [self.value(inner) for _ in range(count)]  # type: ignore[misc]
        if inner in _SCALARS:
            self._skip(count * struct.calcsize("<" + _SCALARS[inner]))
        elif inner == _STRING:
            self._skip_strings(count)
        else:
            raise HeaderError("it has arrays of arrays")
        return None

    def tensor(self) -> tuple[str, Tensor]:
        name = self.string()
        (dimensions,) = self.take("<I")
        if dimensions > _MAX_DIMENSIONS:
            raise HeaderError(f"its tensor {name} has {dimensions} dimensions")
        shape: tuple[int, ...] = self.take(f"<{dimensions}Q")
        kind, _ = self.take("<IQ")
        return name, Tensor(shape, kind)

    def _skip(self, count: int) -> None:
        if self._place + count > len(self._data):
            raise HeaderError("its header is cut off or damaged")
        self._place += count

    def _skip_strings(self, count: int) -> None:
        data, place, unpack = self._data, self._place, struct.Struct("<Q").unpack_from
        for _ in range(count):
            place += 8 + unpack(data, place)[0]
        self._place = place
        self._skip(0)
