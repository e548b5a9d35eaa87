"""What may be done to a running server's adapters over HTTP: load, unload, point an alias, roll it back.

Files come from the adapters folder and nowhere else, whatever the name says and wherever links lead; an answer never
shows where on the disk that is. One name means one thing: the model, one of its adapters, an alias, or another model.
"""

import asyncio
import re
import time
from pathlib import Path
from typing import Any

from server.api.aliases import Alias
from server.api.catalog import Catalog
from server.api.errors import ApiError, invalid
from server.api.services import Services
from server.engine.adapter import Adapter
from server.engine.adapter_folder import AdapterFolder
from server.engine.errors import AdapterError

Json = dict[str, Any]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}")


class AdapterShelf:
    """The adapters of the first model. Lives in the event loop."""

    def __init__(self, services: Services, catalog: Catalog, watched: AdapterFolder | None) -> None:
        """`watched`: the folder that files may come from."""
        self._services = services
        self._catalog = catalog
        self._watched = watched
        self._created: dict[str, int] = {}
        """Names that were loaded here, with when."""
        self._one_change = asyncio.Lock()

    def objects(self) -> list[Json]:
        """All adapters, then all aliases."""
        adapters = [self._adapter_object(adapter) for adapter in self._services.engine.adapters]
        return [*adapters, *map(self._alias_object, self._services.aliases.all)]

    def object(self, name: str) -> Json:
        """Raises: ApiError, 404."""
        for found in self.objects():
            if found["id"] == name:
                return found
        raise _not_found(name)

    async def load(self, name: str, file: str, scale: float) -> Json:
        """Serve a file of the folder; one of the same name that was loaded here before is replaced.

        Raises: ApiError.
        """
        async with self._one_change:
            await self._check_name(name, but=self._created)
            path = await asyncio.to_thread(self._find, file)
            try:
                adapter = await self._services.engine.load_adapter(name, path, scale)
            except AdapterError as error:
                raise invalid(_without_path(str(error), path), "file", "invalid_adapter") from error
            self._created[name] = int(time.time())
            return self._adapter_object(adapter)

    async def unload(self, name: str) -> Json:
        """Take an adapter or an alias away; requests under way end with what they have. Raises: ApiError."""
        async with self._one_change:
            if name in self._services.aliases:
                self._services.aliases.remove(name)
                return {"id": name, "object": "adapter.alias", "deleted": True}
            self._check_unload(name)
            self._services.engine.unload_adapter(name)
            self._created.pop(name, None)
            return {"id": name, "object": "adapter", "deleted": True}

    async def point(self, alias: str, target: str) -> Json:
        """Let an alias mean an adapter, or the model without any, from the next request on. Raises: ApiError."""
        async with self._one_change:
            if alias not in self._services.aliases:
                await self._check_name(alias, but=())
            self._check_target(target)
            return self._alias_object(self._services.aliases.point(alias, target))

    async def roll_back(self, alias: str) -> Json:
        """Let an alias mean what it meant before. Raises: ApiError."""
        async with self._one_change:
            found = self._services.aliases.get(alias)
            if found is None:
                raise _not_found(alias)
            if found.previous is None:
                raise invalid(f"The alias `{alias}` has never meant anything else.", "alias", "nothing_to_roll_back")
            self._check_target(found.previous)
            return self._alias_object(self._services.aliases.roll_back(alias))

    def _find(self, file: str) -> Path:
        if self._watched is None:
            raise invalid(
                "Adapters are loaded from the server's adapters folder, and it has none. Start it with "
                "--adapters FOLDER.",
                "file",
                "no_adapters_folder",
            )
        folder = self._watched.folder.resolve()
        missing = invalid(f"There is no file {file!r} in the adapters folder.", "file", "file_not_found")
        try:
            path = (folder / file).resolve()
            is_there = path.is_relative_to(folder) and path.is_file()
        except (OSError, ValueError, RuntimeError) as error:  # too long a name, a NUL, a loop of links
            raise missing from error
        if not is_there:
            raise missing
        return path

    async def _check_name(self, name: str, but: Any) -> None:
        if not _NAME.fullmatch(name):
            raise invalid("A name has up to 128 letters, digits and . _ : / -, a letter or digit first.", "name")
        if name not in but and any(name == found["id"] for found in await self._catalog.model_objects()):
            raise invalid(f"The name `{name}` is taken (see /v1/models).", "name", "name_taken")

    def _check_target(self, target: str) -> None:
        names = [self._services.model_name, *(adapter.name for adapter in self._services.engine.adapters)]
        if target not in names:
            listed = ", ".join(f"`{name}`" for name in names)
            raise invalid(
                f"`{target}` is not served. An alias may mean one of {listed}.", "target", "adapter_not_found"
            )

    def _check_unload(self, name: str) -> None:
        if all(adapter.name != name for adapter in self._services.engine.adapters):
            raise _not_found(name)
        if self._watched is not None and name in self._watched.served:
            raise invalid(
                f"`{name}` is served as long as its file is in the adapters folder: remove the file.", "name", "watched"
            )
        if name in self._services.made:
            raise invalid(
                f"`{name}` was made by a fine-tuning job: DELETE /v1/models/{name} ends it.", "name", "fine_tuned"
            )
        if aliases := self._services.aliases.of(name):
            listed = ", ".join(f"`{alias}`" for alias in aliases)
            raise invalid(f"`{name}` is what {listed} means: point that elsewhere first.", "name", "in_use")

    def _adapter_object(self, adapter: Adapter) -> Json:
        is_watched = self._watched is not None and adapter.name in self._watched.served
        source = "api" if adapter.name in self._created else "folder" if is_watched else "settings"
        source = "fine-tuning" if adapter.name in self._services.made else source
        return {
            "id": adapter.name,
            "object": "adapter",
            "created": (self._services.made | self._created).get(adapter.name, self._services.created),
            "parent": self._services.model_name,
            "root": adapter.path.name,
            "scale": adapter.scale,
            "source": source,
            "aliases": self._services.aliases.of(adapter.name),
        }

    def _alias_object(self, alias: Alias) -> Json:
        return {
            "id": alias.name,
            "object": "adapter.alias",
            "created": alias.created,
            "parent": self._services.model_name,
            "target": alias.target,
            "previous": alias.previous,
        }


def _not_found(name: str) -> ApiError:
    message = f"There is no adapter or alias `{name}` (see /v1/adapters)."
    return ApiError(404, message, param="name", code="adapter_not_found")


def _without_path(message: str, path: Path) -> str:
    """llama.cpp names files by their whole path."""
    return message.replace(str(path), path.name).replace(f"{path.parent}/", "")
