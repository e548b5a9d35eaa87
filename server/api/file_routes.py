"""`/v1/files`: what jobs train on (https://platform.openai.com/docs/api-reference/files).

An upload goes to disk as it comes in; beyond the first megabyte none of it is in memory.
"""

import asyncio
import re
import shutil
import time
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Literal

from fastapi import APIRouter, Form, Query, Request, UploadFile
from fastapi.responses import FileResponse

from server.api.errors import ApiError, invalid
from server.api.listing import TheOwner, listed
from server.api.workshop import TheWorkshop, Workshop, storable
from server.store.files import FileRow

Json = dict[str, Any]
PURPOSE = "fine-tune"
RESULTS = "fine-tune-results"
_LONGEST = 2_592_000
"""Seconds that a file may be given: 30 days."""
_OTHERS = ("assistants", "batch", "vision", "user_data", "evals")
router = APIRouter(prefix="/v1/files")


@router.post("")
async def upload_file(
    request: Request,
    workshop: TheWorkshop,
    owner: TheOwner,
    file: UploadFile,
    purpose: Annotated[str, Form()],
    anchor: Annotated[str | None, Form(alias="expires_after[anchor]")] = None,
    seconds: Annotated[str | None, Form(alias="expires_after[seconds]")] = None,
) -> Json:
    """Keep a file of fine-tuning lines."""
    _check_purpose(purpose)
    lifetime = _lifetime(anchor, seconds)
    limit: int = request.app.state.file_limit
    if (file.size or 0) > limit:
        raise ApiError(413, f"The file is larger than {limit:,} bytes.", param="file", code="file_too_large")
    if not file.size:
        raise invalid("The file is empty.", "file", "empty_file")
    expires = None if lifetime is None else time.time() + lifetime
    name = storable(file.filename or "upload")[:1024]
    return file_object(await asyncio.to_thread(_keep, workshop, file.file, owner, name, purpose, expires))


@router.get("")
async def list_files(
    workshop: TheWorkshop,
    owner: TheOwner,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 10_000,
    order: Literal["asc", "desc"] = "desc",
    after: str | None = None,
    purpose: str | None = None,
) -> Json:
    """The newest first, unless `order` is `asc`."""
    last = None if after is None else await found(workshop, after, owner, "after")
    rows = await asyncio.to_thread(
        workshop.files.latest, owner, limit + 1, after=last, purpose=purpose, ascending=order == "asc"
    )
    return listed([file_object(row) for row in rows], limit)


@router.get("/{file_id}")
async def retrieve_file(file_id: str, workshop: TheWorkshop, owner: TheOwner) -> Json:
    """What is known of a file."""
    return file_object(await found(workshop, file_id, owner))


@router.get("/{file_id}/content")
async def retrieve_content(file_id: str, workshop: TheWorkshop, owner: TheOwner) -> FileResponse:
    """The file itself."""
    row = await found(workshop, file_id, owner)
    path = workshop.files.path(row.id)
    if not path.is_file():
        raise _not_found(file_id, "file_id")
    return FileResponse(path, media_type="application/octet-stream")


@router.delete("/{file_id}")
async def delete_file(file_id: str, workshop: TheWorkshop, owner: TheOwner) -> Json:
    """Forget a file, unless a job that has not ended needs it."""
    await found(workshop, file_id, owner)
    if job := await asyncio.to_thread(workshop.jobs.training_on, file_id):
        raise ApiError(409, f"The job {job} needs this file: cancel it first.", param="file_id", code="file_in_use")
    await asyncio.to_thread(workshop.files.delete, file_id, owner)
    return {"id": file_id, "object": "file", "deleted": True}


async def found(workshop: Workshop, file_id: str, owner: str, param: str = "file_id") -> FileRow:
    """Raises: ApiError, 404."""
    row = await asyncio.to_thread(workshop.files.get, file_id, owner)
    if row is None:
        raise _not_found(file_id, param)
    return row


def file_object(row: FileRow) -> Json:
    """OpenAI's File. Its form is looked at when a job begins, so every file is `processed`."""
    expiry = {} if row.expires is None else {"expires_at": int(row.expires)}
    return {
        "id": row.id,
        "object": "file",
        "bytes": row.bytes,
        "created_at": int(row.created),
        **expiry,
        "filename": row.filename,
        "purpose": row.purpose,
        "status": "processed",
    }


def _keep(workshop: Workshop, source: BinaryIO, owner: str, name: str, purpose: str, expires: float | None) -> FileRow:
    workshop.files.remove_expired(workshop.jobs.training_on)
    id_, place = workshop.files.new_place()
    _copy(source, place)
    try:
        return workshop.files.add(id_, owner, name, purpose, expires)
    except BaseException:
        place.unlink(missing_ok=True)
        raise


def _copy(source: BinaryIO, place: Path) -> None:
    """Whole, or not at all."""
    unfinished = place.with_suffix(".part")
    try:
        with unfinished.open("wb") as file:
            shutil.copyfileobj(source, file, 2**20)
        unfinished.rename(place)
    finally:
        unfinished.unlink(missing_ok=True)


def _check_purpose(purpose: str) -> None:
    if purpose == PURPOSE:
        return
    known = f"'{purpose}' files have no use here" if purpose in _OTHERS else f"'{purpose[:100]}' is no purpose"
    raise invalid(f"{known}: this server takes files with the purpose '{PURPOSE}'.", "purpose")


def _lifetime(anchor: str | None, seconds: str | None) -> int | None:
    """Seconds after which the file is to go. Raises: ApiError, 400."""
    if anchor is None and seconds is None:
        return None
    if anchor != "created_at":
        raise invalid("A file expires after 'created_at', the only anchor.", "expires_after[anchor]")
    if seconds is None or not re.fullmatch("[0-9]{4,7}", seconds) or not 3600 <= int(seconds) <= _LONGEST:
        raise invalid(f"Give a number of seconds from 3600 to {_LONGEST}.", "expires_after[seconds]")
    return int(seconds)


def _not_found(file_id: str, param: str) -> ApiError:
    return ApiError(404, f"No such File object: {file_id}", param=param, code="file_not_found")
