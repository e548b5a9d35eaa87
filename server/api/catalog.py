"""The models of one server: the first, which is always there, and further ones that are loaded when they are asked for.

Loading waits in a thread and in its own requests only. Beyond a number of further models, the one that was asked for
longest ago leaves: it takes no new request, ends those it has, and its memory is free before the next is loaded.
"""

import asyncio
import contextlib
import logging
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from fastapi import Request

from server.api.durations import note_model
from server.api.errors import ApiError, invalid, model_not_found
from server.api.services import EmbeddingServices, Services

logger = logging.getLogger("trammel.models")

Served = Services | EmbeddingServices
Kind = TypeVar("Kind", Services, EmbeddingServices)
Loader = Callable[[str, Path], Served]
"""Makes what serves a model, not yet started, given its name and file. Raises: ModelLoadError."""
_POLL_SECONDS = 0.01
_PART = re.compile(r"-(\d{5})-of-\d{5}$")


@dataclass(slots=True)
class _Place:
    """A further model in memory."""

    services: Served
    uses: int = 0
    """Requests that are about to submit; those already submitted the engine counts itself."""
    last_used: float = field(default_factory=time.monotonic)

    @property
    def is_idle(self) -> bool:
        return not self.uses and self.services.is_idle


class Catalog:
    """Finds, loads and unloads models by the names that requests use. Lives in the event loop."""

    def __init__(
        self,
        home: Services,
        load: Loader,
        *,
        further: Mapping[str, Path] | None = None,
        folder: Path | None = None,
        limit: int = 1,
    ) -> None:
        """`folder`: every `*.gguf` in it is a further model. `limit`: further models in memory at once."""
        self.home = home
        self._loader = load
        self._further = dict(further or {})
        self._folder = folder
        self._limit = limit
        self._places: dict[str, _Place] = {}
        self._leaving: set[str] = set()
        self._loads: dict[str, asyncio.Task[None]] = {}
        self._wanted: Counter[str] = Counter()
        """Requests that wait for a load; a model that was just loaded for them does not leave before they came."""
        self._one_load = asyncio.Lock()

    @asynccontextmanager
    async def lend(self, name: str, kind: type[Kind]) -> AsyncIterator[Kind]:
        """What serves a model, loaded if need be; it stays at least until the block is left.

        Raises: ApiError, 404 model_not_found or 400 if the model is of the other kind; ModelLoadError.
        """
        if self.home.knows(name):
            note_model(name)
            if not isinstance(self.home, kind):
                raise _wrong_kind(name, kind)
            yield self.home
            return
        place = await self._take(name)
        note_model(name)
        try:
            if not isinstance(place.services, kind):
                raise _wrong_kind(name, kind)
            yield place.services
        finally:
            place.uses -= 1
            place.last_used = time.monotonic()

    async def model_objects(self) -> list[dict[str, Any]]:
        """OpenAI's Model objects: the first model and its adapters, then the further ones, loaded or not."""
        base: dict[str, Any] = {"object": "model", "created": self.home.created, "owned_by": "trammel", "parent": None}
        sources = await asyncio.to_thread(self._sources)
        further = [{**base, "id": name, "root": path.name} for name, path in sources.items()]
        return [*self.home.model_objects(), *(model for model in further if not self.home.knows(model["id"]))]

    async def model_object(self, name: str) -> dict[str, Any]:
        """One of them. Raises: ApiError, 404 model_not_found."""
        objects = await self.model_objects()
        for found in objects:
            if found["id"] == name:
                return found
        raise model_not_found(name, [found["id"] for found in objects])

    @property
    def loaded(self) -> tuple[Served, ...]:
        """What is in memory now."""
        return (self.home, *(place.services for place in self._places.values()))

    @property
    def has_failed(self) -> bool:
        """An engine has died by a fault; the process should be started anew."""
        return any(services.has_failed for services in self.loaded)

    def abort(self) -> None:
        """End all requests under way with an error."""
        for services in self.loaded:
            services.abort()

    async def close(self) -> None:
        """Stop every engine. Loads under way end first: llama.cpp can't be interrupted."""
        await asyncio.gather(*self._loads.values(), return_exceptions=True)
        for services in self.loaded:
            await services.close()

    async def _take(self, name: str) -> _Place:
        path = (await asyncio.to_thread(self._sources)).get(name)
        if path is None:
            await self.model_object(name)  # says which there are
            raise model_not_found(name, [])
        self._wanted[name] += 1
        try:
            while name not in self._places or name in self._leaving:
                if name not in self._loads:
                    self._loads[name] = asyncio.create_task(self._load(name, path))
                    self._loads[name].add_done_callback(_hear)
                await asyncio.shield(self._loads[name])
            place = self._places[name]
            place.uses += 1
            return place
        finally:
            self._wanted[name] -= 1

    async def _load(self, name: str, path: Path) -> None:
        try:
            async with self._one_load:
                while len(self._places) >= self._limit:
                    await self._make_room()
                services = await asyncio.to_thread(self._loader, name, path)
                services.start()
                self._places[name] = _Place(services)
                logger.info("model %s is loaded from %s", name, path)
        finally:
            del self._loads[name]

    async def _make_room(self) -> None:
        """Unload one model: an idle one rather than a busy one, and that which was used longest ago."""
        may_leave = [name for name in self._places if not self._wanted[name]]
        if not may_leave:
            await asyncio.sleep(_POLL_SECONDS)
            return
        name = min(may_leave, key=lambda one: (not self._places[one].is_idle, self._places[one].last_used))
        place = self._places[name]
        self._leaving.add(name)
        try:
            while not place.is_idle:
                await asyncio.sleep(_POLL_SECONDS)
            await place.services.close()
            del self._places[name]
            logger.info("model %s is unloaded", name)
        finally:
            self._leaving.remove(name)

    def _sources(self) -> dict[str, Path]:
        """Files by name, as they are now: those of settings first."""
        found = dict(self._further)
        for path in sorted(self._folder.glob("*.gguf")) if self._folder else ():
            part = _PART.search(path.stem)
            if part is None or part[1] == "00001":  # a split model is named by its first file
                found.setdefault(_PART.sub("", path.stem), path)
        return found


def _wrong_kind(name: str, wanted: type[Served]) -> ApiError:
    if wanted is Services:
        return invalid(f"The model `{name}` is an embedding model: it can't chat. Use /v1/embeddings.", "model")
    return invalid(f"The model `{name}` is no embedding model: its file names no pooling.", "model")


def _hear(load: "asyncio.Task[None]") -> None:
    """Whoever asked may have gone meanwhile; asyncio would then complain that nobody heard of the failure."""
    with contextlib.suppress(asyncio.CancelledError):
        if (error := load.exception()) is not None:
            logger.warning("%s", error)


def catalog_of(request: Request) -> Catalog:
    """The models of the app a request came to."""
    catalog: Catalog = request.app.state.catalog
    return catalog
