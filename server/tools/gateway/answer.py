"""What a server answers, read within bounds and made small enough to be of use.

Compressed answers are unpacked piece by piece under the same bound, so that a bomb costs no more than the bound. A list
that is too long loses its end and says so; the JSON stays JSON.
"""

import json
import zlib
from collections.abc import Sequence
from typing import Any

import httpx

_BINARY = ("image/", "audio/", "video/", "font/", "application/octet-stream", "application/pdf", "application/zip")
_SHORTEST = 64
"""Characters that a text keeps, at least, when it is cut."""


class TooLargeError(Exception):
    """An answer is larger than the operator lets it be, or packed in a way that is not read."""


async def read_bounded(response: httpx.Response, limit: int) -> bytes:
    """The body, unpacked; `limit`: bytes of it. Raises: TooLargeError, httpx.HTTPError."""
    packing = response.headers.get("content-encoding", "identity").strip().lower()
    if packing not in ("identity", "", "gzip", "deflate"):
        raise TooLargeError(f"the answer is packed as {packing[:20]}, which was not asked for")
    if int(response.headers.get("content-length") or 0) > limit:
        raise TooLargeError(f"the answer is larger than {limit} bytes")
    unpacker = None if packing in ("identity", "") else zlib.decompressobj(zlib.MAX_WBITS | 32)
    body = bytearray()
    async for piece in response.aiter_raw():
        body += piece if unpacker is None else _unpack(unpacker, piece, limit - len(body))
        if len(body) > limit:
            raise TooLargeError(f"the answer is larger than {limit} bytes")
    return bytes(body)


def _unpack(unpacker: Any, piece: bytes, room: int) -> bytes:
    try:
        unpacked: bytes = unpacker.decompress(piece, room + 1)
    except zlib.error as error:
        raise TooLargeError("the answer is packed wrongly") from error
    return unpacked


def as_data(content_type: str, body: bytes) -> Any:
    """JSON as its value, a text as a text; of anything else what it is."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind.startswith(_BINARY) or b"\0" in body[:1024]:
        return {"content_type": kind, "bytes": len(body)}
    text = body.decode("utf-8", "replace")
    try:
        return json.loads(text, parse_constant=str)
    except (ValueError, RecursionError):
        return text


def keep_fields(data: Any, paths: Sequence[str]) -> Any:
    """Only what the paths name: `id`, `owner.name`; lists are looked into. Without paths: all."""
    if not paths:
        return data
    if isinstance(data, list):
        return [keep_fields(item, paths) for item in data]
    if not isinstance(data, dict):
        return data
    kept = {}
    for key, value in data.items():
        below = [path[len(key) + 1 :] for path in paths if path.startswith(f"{key}.")]
        if key in paths:
            kept[key] = value
        elif below and isinstance(value, dict | list):
            kept[key] = keep_fields(value, below)
    return kept


def shorten(data: Any, limit: int) -> Any:
    """The data with its longest lists and texts cut until their JSON has at most `limit` bytes, if that can be done."""
    shown, most = data, limit
    while size_of(shown) > limit and most > 1:
        shown = _cut(data, most // 8, max(_SHORTEST, most // 2))
        most //= 2
    return shown


def size_of(data: Any) -> int:
    return len(json.dumps(data, ensure_ascii=False).encode("utf-8", "replace"))


def _cut(data: Any, items: int, signs: int) -> Any:
    if isinstance(data, dict):
        return {key: _cut(value, items, signs) for key, value in data.items()}
    if isinstance(data, list):
        shown = [_cut(item, items, signs) for item in data[: max(1, items)]]
        return shown if len(shown) == len(data) else [*shown, f"[… {len(data) - len(shown)} more]"]
    if isinstance(data, str) and len(data) > signs:
        return f"{data[:signs]}[… {len(data) - signs} more characters]"
    return data
