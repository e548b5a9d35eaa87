"""`/v1/adapters`: what is served beside the base model, and changing it while requests run.

OpenAI has no such endpoints; errors and lists have its shape. Whatever changes something needs the admin key.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from pydantic import Field

from server.api.adapter_shelf import AdapterShelf
from server.api.admin_key import require_admin
from server.api.sampling_fields import Wire

Json = dict[str, Any]


def shelf_of(request: Request) -> AdapterShelf:
    """The adapters of the app a request came to."""
    shelf: AdapterShelf = request.app.state.adapters
    return shelf


router = APIRouter(prefix="/v1/adapters")
TheShelf = Annotated[AdapterShelf, Depends(shelf_of)]
admin_only = [Depends(require_admin)]


class LoadRequest(Wire):
    """A file of the adapters folder, and the name it is to be served under."""

    name: str
    file: str = Field(min_length=1, max_length=1024)
    """Relative to the folder."""
    scale: float = Field(default=1.0, ge=-100, le=100, allow_inf_nan=False)


class AliasRequest(Wire):
    alias: str
    target: str
    """An adapter, or the model."""


class RollbackRequest(Wire):
    alias: str


@router.get("")
async def list_adapters(shelf: TheShelf) -> Json:
    """All adapters and aliases."""
    return {"object": "list", "data": shelf.objects()}


@router.post("", dependencies=admin_only)
async def load_adapter(body: LoadRequest, shelf: TheShelf) -> Json:
    """Serve an adapter, or replace one by another file: requests under way keep the old one."""
    return await shelf.load(body.name, body.file, body.scale)


@router.post("/alias", dependencies=admin_only)
async def point_alias(body: AliasRequest, shelf: TheShelf) -> Json:
    """Let a name mean an adapter, for all requests from now on."""
    return await shelf.point(body.alias, body.target)


@router.post("/rollback", dependencies=admin_only)
async def roll_back_alias(body: RollbackRequest, shelf: TheShelf) -> Json:
    """Let an alias mean what it meant before."""
    return await shelf.roll_back(body.alias)


@router.get("/{name:path}")
async def retrieve_adapter(name: str, shelf: TheShelf) -> Json:
    """One adapter or alias."""
    return shelf.object(name)


@router.delete("/{name:path}", dependencies=admin_only)
async def unload_adapter(name: str, shelf: TheShelf) -> Json:
    """Take an adapter or an alias away."""
    return await shelf.unload(name)
