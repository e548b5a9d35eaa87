"""A folder of adapters that is watched: a file that appears is served, one that changes is loaded anew, one that goes
is unloaded once its last request is over.

Polled rather than notified: it works on every file system, network ones too. A file is taken when it looks the same
twice in a row, so that one still being copied is left alone.
"""

import asyncio
import logging
from pathlib import Path

from server.engine.engine import Engine
from server.engine.errors import AdapterError, EngineStoppedError

logger = logging.getLogger("trammel.adapters")

_Look = tuple[int, int]
"""Size and time of change, in nanoseconds."""


class AdapterFolder:
    """Keeps an engine's adapters like the files of a folder; each is named as its file without `.gguf`."""

    def __init__(self, engine: Engine, folder: Path, seconds: float = 1.0) -> None:
        self._engine = engine
        self.folder = folder
        self._seconds = seconds
        self._seen: dict[Path, _Look] = {}
        self._taken: dict[Path, _Look] = {}
        """Files served, or tried in vain, as they were then."""
        self._served: set[str] = set()

    @property
    def served(self) -> frozenset[str]:
        """Names of the adapters that come and go with their files."""
        return frozenset(self._served)

    async def watch(self) -> None:
        """Until cancelled, or until the engine stops."""
        while True:
            try:
                await self.look()
            except EngineStoppedError:
                return
            await asyncio.sleep(self._seconds)

    async def look(self) -> None:
        """Compare once."""
        found = await asyncio.to_thread(_files, self.folder)
        for path, look in found.items():
            if self._seen.get(path) == look != self._taken.get(path):
                await self._load(path)
                self._taken[path] = look
        for path in [path for path in self._taken if path not in found]:
            del self._taken[path]
            if path.stem in self._served:
                self._served.remove(path.stem)
                self._engine.unload_adapter(path.stem)
                logger.info("adapter %s is gone", path.stem)
        self._seen = found

    async def _load(self, path: Path) -> None:
        if path.stem not in self._served and any(a.name == path.stem for a in self._engine.adapters):
            logger.warning("%s is not served: there is another adapter of that name", path)
            return
        try:
            await self._engine.load_adapter(path.stem, path)
        except AdapterError as error:
            logger.warning("%s", error)
            return
        self._served.add(path.stem)
        logger.info("adapter %s is served from %s", path.stem, path)


def _files(folder: Path) -> dict[Path, _Look]:
    found = {}
    for path in sorted(folder.glob("*.gguf")):
        try:
            status = path.stat()
        except OSError:  # gone since it was listed
            continue
        found[path] = (status.st_size, status.st_mtime_ns)
    return found
