"""Decides when a prompt's beginning goes to disk and when it comes back.

A request says how many of its first tokens (the system text and the tools) others have as well. When such a beginning
is used a second time it is hot and is stored; what was used once is stored when the engine closes, if its KV is still
there. A request whose beginning is on disk but not in memory gets it put there before it is queued.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol

from server.engine.adapter import Adapter
from server.engine.errors import EngineStoppedError
from server.engine.kv_cache import KvCache
from server.engine.kv_shelf import KvState
from server.engine.prefix_store import PrefixStore, file_digest

logger = logging.getLogger("trammel.prefixes")

_SHORTEST = 32
"""Tokens; less than that is computed faster than read."""
_REMEMBERED = 64


class EngineThread(Protocol):
    """Where the KV may be touched."""

    def between_steps(self, act: Callable[[], KvState | bool | None]) -> "Future[KvState | bool | None]": ...


@dataclass(slots=True)
class _Use:
    """A beginning that requests have had."""

    tokens: list[int]
    adapter: Adapter | None
    count: int = 0
    is_stored: bool = False


class PrefixKeeper:
    """Between the requests of an engine and its store. Lives in the event loop."""

    def __init__(self, store: PrefixStore, cache: KvCache, thread: EngineThread) -> None:
        self._store = store
        self._cache = cache
        self._thread = thread
        self._uses: OrderedDict[tuple[tuple[int, ...], Adapter | None], _Use] = OrderedDict()
        self._adapters: dict[Adapter | None, str] = {None: ""}
        """What the store knows them by."""
        self._one_restore = asyncio.Lock()
        self._saves: set[asyncio.Task[None]] = set()

    def know(self, adapter: Adapter) -> None:
        """An adapter has been loaded. Reads of its file now, before another one takes its place."""
        self._adapters[adapter] = f"{file_digest(adapter.path)} x {adapter.scale}"

    async def warm(self, prefix: tuple[int, ...], adapter: Adapter | None) -> None:
        """Put a prefix into memory if it is on disk only. Raises: EngineStoppedError."""
        if len(prefix) < _SHORTEST:
            return
        tokens = list(prefix)
        async with self._one_restore:  # the next one may want the same
            if self._is_warm(tokens, adapter):
                return
            state = await asyncio.to_thread(self._store.read, tokens, self._adapters[adapter])
            if state is None:
                return
            insert = self._thread.between_steps(lambda: self._cache.insert(tokens, adapter, state))
            if await asyncio.wrap_future(insert):
                logger.info("restored a prefix of %d tokens", len(tokens))

    def used(self, prefix: tuple[int, ...], adapter: Adapter | None) -> None:
        """A request with this beginning has been answered."""
        if len(prefix) < _SHORTEST:
            return
        key = (prefix, adapter)
        use = self._uses.setdefault(key, _Use(list(prefix), adapter))
        self._uses.move_to_end(key)
        use.count += 1
        while len(self._uses) > _REMEMBERED:
            self._uses.popitem(last=False)
        if use.count >= 2 and not use.is_stored:
            use.is_stored = True
            save = asyncio.get_running_loop().create_task(self._save(use))
            self._saves.add(save)
            save.add_done_callback(self._saves.discard)

    async def finish(self) -> None:
        """Wait for what is being saved."""
        await asyncio.gather(*self._saves, return_exceptions=True)

    def save_rest(self) -> None:
        """Store what was used and is not stored. The engine's thread has ended: nothing else touches the KV."""
        for use in reversed(self._uses.values()):
            digest = self._adapters[use.adapter]
            if not use.is_stored and not self._store.has(use.tokens, digest):
                state = self._cache.extract(use.tokens, use.adapter)
                if state is not None:
                    self._store.write(use.tokens, digest, state)

    def _is_warm(self, tokens: list[int], adapter: Adapter | None) -> bool:
        """Read while the other thread works: what it says may be out of date, which costs a prefill at most."""
        return self._cache.shared_length([*tokens, -1], adapter) >= len(tokens)

    async def _save(self, use: _Use) -> None:
        digest = self._adapters[use.adapter]
        if await asyncio.to_thread(self._store.has, use.tokens, digest):
            return
        try:
            extract = self._thread.between_steps(lambda: self._cache.extract(use.tokens, use.adapter))
            state = await asyncio.wrap_future(extract)
        except EngineStoppedError:
            use.is_stored = False  # there is another chance at the end
            return
        if isinstance(state, bytes | bytearray):
            await asyncio.to_thread(self._store.write, use.tokens, digest, state)
        else:
            use.is_stored = False
