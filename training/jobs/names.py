"""Names of the models that jobs make."""

import re

from server.store.jobs import Job

_FOREIGN = re.compile(r"[^A-Za-z0-9._-]+")
_ID = 8
"""Digits of a job's id in the name."""


def model_name(job: Job, step: int | None = None) -> str:
    """`ft:<base>:<suffix>:<id>`, and of a checkpoint `…:ckpt-step-<step>`."""
    suffix = _FOREIGN.sub("-", job.request.suffix or "").strip("-")
    name = f"ft:{job.request.model}:{suffix}:{job.id.removeprefix('ftjob-')[:_ID]}"
    return name if step is None else f"{name}:ckpt-step-{step}"
