"""`/v1/fine_tuning/jobs` (https://platform.openai.com/docs/api-reference/fine-tuning), and an end to what they made.

The server keeps jobs and says how they are; `trammel worker`, a process of its own, does them.
"""

import asyncio
import secrets
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request

from server.api.catalog import Catalog, catalog_of
from server.api.errors import ApiError, invalid
from server.api.fine_tuned import FineTunedModels
from server.api.fine_tuning_objects import (
    checkpoint_id,
    checkpoint_object,
    event_id,
    event_object,
    job_object,
    number_of,
)
from server.api.fine_tuning_request import JobIn, read_job
from server.api.listing import TheOwner, listed
from server.api.workshop import TheWorkshop, Workshop
from server.store.jobs import WORKABLE, Job, Status

Json = dict[str, Any]
router = APIRouter()
TheCatalog = Annotated[Catalog, Depends(catalog_of)]
_JOBS = "/v1/fine_tuning/jobs"
_OPEN = (*WORKABLE, "paused")


@router.post(_JOBS)
async def create_job(body: JobIn, workshop: TheWorkshop, catalog: TheCatalog, owner: TheOwner) -> Json:
    """Fine-tune the server's model on a file."""
    wanted = await read_job(body, workshop, catalog, owner)
    id_ = f"ftjob-{secrets.token_hex(12)}"
    messages = f"Created fine-tuning job: {id_}", f"Validating training file: {wanted.training_file}"
    return job_object(await asyncio.to_thread(workshop.jobs.create, id_, owner, wanted, messages))


@router.get(_JOBS)
async def list_jobs(
    request: Request,
    workshop: TheWorkshop,
    owner: TheOwner,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    after: str | None = None,
) -> Json:
    """The newest first; those with certain metadata, if the query has `metadata[KEY]=VALUE`."""
    wanted = {key[9:-1]: value for key, value in request.query_params.items() if key.startswith("metadata[")}
    last = None if after is None else await found(workshop, after, owner, "after")
    jobs = await asyncio.to_thread(_latest, workshop, owner, limit + 1, last, wanted)
    return listed([job_object(job) for job in jobs], limit)


@router.get(f"{_JOBS}/{{job_id}}")
async def retrieve_job(job_id: str, workshop: TheWorkshop, owner: TheOwner) -> Json:
    """One job."""
    return job_object(await found(workshop, job_id, owner))


@router.post(f"{_JOBS}/{{job_id}}/cancel")
async def cancel_job(job_id: str, workshop: TheWorkshop, owner: TheOwner) -> Json:
    """End a job; its checkpoints stay."""
    return await _move(workshop, job_id, owner, "cancelled", _OPEN, "The job was cancelled")


@router.post(f"{_JOBS}/{{job_id}}/pause")
async def pause_job(job_id: str, workshop: TheWorkshop, owner: TheOwner) -> Json:
    """Let a job rest; what it has learnt is kept at its next step."""
    return await _move(workshop, job_id, owner, "paused", WORKABLE, "The job was paused")


@router.post(f"{_JOBS}/{{job_id}}/resume")
async def resume_job(job_id: str, workshop: TheWorkshop, owner: TheOwner) -> Json:
    """Go on with a job that was paused."""
    job = await found(workshop, job_id, owner)
    to: Status = "queued" if job.progress.hyperparameters else "validating_files"
    return await _move(workshop, job_id, owner, to, ("paused",), "The job was resumed")


@router.get(f"{_JOBS}/{{job_id}}/events")
async def list_events(
    job_id: str,
    workshop: TheWorkshop,
    owner: TheOwner,
    limit: Annotated[int, Query(ge=1, le=1000)] = 20,
    after: str | None = None,
) -> Json:
    """What has happened, the newest first."""
    job = await found(workshop, job_id, owner)
    before = _place(job.id, after, event_id)
    entries = await asyncio.to_thread(workshop.jobs.events, job.id, limit + 1, before)
    return listed([event_object(job.id, entry) for entry in entries], limit)


@router.get(f"{_JOBS}/{{job_id}}/checkpoints")
async def list_checkpoints(
    job_id: str,
    workshop: TheWorkshop,
    owner: TheOwner,
    limit: Annotated[int, Query(ge=1, le=100)] = 10,
    after: str | None = None,
) -> Json:
    """Models that the job was on its way, the newest first."""
    job = await found(workshop, job_id, owner)
    before = _place(job.id, after, checkpoint_id)
    entries = await asyncio.to_thread(workshop.jobs.checkpoints, job.id, limit + 1, before)
    page = listed([checkpoint_object(job.id, entry) for entry in entries], limit)
    return page if page["data"] else {**page, "first_id": None, "last_id": None}


@router.delete("/v1/models/{name:path}")
async def delete_model(name: str, request: Request, catalog: TheCatalog, owner: TheOwner) -> Json:
    """Serve a fine-tuned model no more, and remove its file."""
    await catalog.model_object(name)
    fine_tuned: FineTunedModels | None = request.app.state.fine_tuned
    if fine_tuned is None or not await fine_tuned.delete(name, owner):
        raise ApiError(
            403, f"The model `{name}` can't be deleted: only models that your jobs have made can.", param="model"
        )
    return {"id": name, "object": "model", "deleted": True}


async def found(workshop: Workshop, job_id: str, owner: str, param: str = "fine_tuning_job_id") -> Job:
    """Raises: ApiError, 404."""
    job = await asyncio.to_thread(workshop.jobs.get, job_id, owner)
    if job is None:
        raise ApiError(404, f"Could not find fine tune: {job_id}", param=param, code="fine_tune_not_found")
    return job


async def _move(
    workshop: Workshop, job_id: str, owner: str, to: Status, among: tuple[Status, ...], message: str
) -> Json:
    job = await found(workshop, job_id, owner)
    if not await asyncio.to_thread(workshop.jobs.move, job.id, to, among, message):
        verb = {"cancelled": "cancelled", "paused": "paused"}.get(to, "resumed")
        job = await found(workshop, job_id, owner)
        raise ApiError(400, f"A job that is {job.status} can't be {verb}.", code="invalid_job_state")
    return job_object(await found(workshop, job_id, owner))


def _latest(workshop: Workshop, owner: str, limit: int, after: Job | None, wanted: dict[str, str]) -> list[Job]:
    """A page of the jobs whose metadata has what is wanted."""
    kept: list[Job] = []
    while len(kept) < limit:
        jobs = workshop.jobs.latest(owner, limit, after=after)
        kept += [job for job in jobs if wanted.items() <= (job.request.metadata or {}).items()]
        if len(jobs) < limit:
            break
        after = jobs[-1]
    return kept[:limit]


def _place(job: str, after: str | None, id_of: Callable[[str, int], str]) -> int | None:
    """The number behind `after`. Raises: ApiError, 400."""
    if after is None:
        return None
    number = number_of(after)
    if number is None or id_of(job, number) != after:
        raise invalid(f"There is no '{after}' in this list.", "after")
    return number
