"""Serves the models that jobs have made, from the moment a worker hands one over to the moment it is deleted.

The database is asked every second, so it does not matter which process changed it: a worker, or another server.
"""

import asyncio
import hashlib
import logging
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from server.api.errors import invalid
from server.api.services import Services
from server.api.workshop import Workshop
from server.engine.errors import AdapterError, EngineStoppedError
from server.engine.gguf_header import HeaderError, read_header
from server.store.fine_tuned import FineTunedModel

logger = logging.getLogger("trammel.fine_tuned")

_TRAINED_ON = "trammel.base.sha256"
"""As training/export/adapter.py writes it."""


class FineTunedModels:
    """Keeps the first model's adapters as the database has them. Lives in the event loop."""

    def __init__(self, services: Services, workshop: Workshop, seconds: float = 1.0) -> None:
        self._services = services
        self._workshop = workshop
        self._seconds = seconds
        self._served: dict[str, FineTunedModel] = {}
        self._failed: set[FineTunedModel] = set()
        """Those that can't be loaded: said once."""
        self._one_look = asyncio.Lock()
        self._digest: str | None = None
        """Of the base, once it was needed."""

    def __contains__(self, name: object) -> bool:
        return name in self._served

    async def watch(self) -> None:
        """Until cancelled, or until the engine stops."""
        while True:
            await asyncio.sleep(self._seconds)
            try:
                await self.look()
            except EngineStoppedError:
                return
            except SQLAlchemyError as error:
                logger.warning("the fine-tuned models can't be looked up: %s", error)

    async def look(self) -> None:
        """Compare once."""
        async with self._one_look:
            rows = await asyncio.to_thread(self._workshop.models.of, self._services.model_name)
            wanted = {row.name: row for row in rows}
            for name in [name for name, row in self._served.items() if wanted.get(name) != row]:
                self._unload(name)
            for row in rows:
                if row.name not in self._served and row not in self._failed:
                    await self._load(row)
            self._failed &= set(rows)

    async def delete(self, name: str, owner: str) -> bool:
        """Forget a model and its file. False: it is none of that owner's. Raises: ApiError, if an alias means it."""
        row = await asyncio.to_thread(self._workshop.models.get, name)
        if row is None or row.owner != owner or row.base != self._services.model_name:
            return False
        if aliases := self._services.aliases.of(name):
            listed = ", ".join(f"`{alias}`" for alias in aliases)
            raise invalid(f"`{name}` is what {listed} means: point that elsewhere first.", "model", "in_use")
        await asyncio.to_thread(self._workshop.models.delete, name)
        await self.look()
        (self._workshop.home.folder / row.file).unlink(missing_ok=True)
        return True

    async def _load(self, row: FineTunedModel) -> None:
        engine = self._services.engine
        if self._services.knows(row.name):
            self._failed.add(row)
            logger.warning("%s is not served: there is another adapter of that name", row.name)
            return
        file = self._workshop.home.folder / row.file
        if not await self._is_of_our_base(file):
            self._failed.add(row)
            logger.warning(
                "%s is not served: it was trained on other weights than %s has now; `--adapter NAME=%s` serves it all "
                "the same", row.name, self._services.model_name, file,
            )  # fmt: skip
            return
        try:
            await engine.load_adapter(row.name, file)
        except AdapterError as error:
            self._failed.add(row)
            logger.warning("%s", error)
            return
        self._served[row.name] = row
        self._services.made[row.name] = int(row.created)
        logger.info("%s is served, made by %s", row.name, row.job)

    async def _is_of_our_base(self, adapter: Path) -> bool:
        """Adapters that don't say what they were trained on, and those that can't be read, are let pass."""
        try:
            trained_on = read_header(adapter).text(_TRAINED_ON)
        except (HeaderError, OSError):
            return True
        if not trained_on:
            return True
        if self._digest is None:
            self._digest = await asyncio.to_thread(_digest, self._services.engine.model.path)
        return trained_on == self._digest

    def _unload(self, name: str) -> None:
        del self._served[name]
        self._services.made.pop(name, None)
        self._services.engine.unload_adapter(name)
        logger.info("%s is gone", name)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
