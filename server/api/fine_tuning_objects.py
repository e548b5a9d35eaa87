"""Jobs, events and checkpoints as OpenAI shows them."""

from collections.abc import Mapping
from typing import Any

from server.store.jobs import Entry, Job

Json = dict[str, Any]
_COMMON = ("n_epochs", "batch_size", "learning_rate_multiplier")


def job_object(job: Job) -> Json:
    """OpenAI's FineTuningJob. Hyperparameters are `auto` until a worker has chosen them."""
    request, progress = job.request, job.progress
    chosen = hyperparameters(job)
    return {
        "id": job.id,
        "object": "fine_tuning.job",
        "created_at": int(job.created),
        "model": request.model,
        "status": job.status,
        "training_file": request.training_file,
        "validation_file": request.validation_file,
        "method": {"type": request.method, request.method: {"hyperparameters": chosen}},
        "hyperparameters": {name: chosen[name] for name in _COMMON},
        "seed": request.seed,
        "user_provided_suffix": request.suffix,
        "metadata": request.metadata,
        "fine_tuned_model": progress.fine_tuned_model,
        "finished_at": _whole(progress.finished),
        "estimated_finish": _whole(progress.estimated_finish) if job.status == "running" else None,
        "trained_tokens": progress.trained_tokens,
        "result_files": list(progress.result_files),
        "error": progress.error,
        "integrations": [],
        "organization_id": "trammel",
    }


def hyperparameters(job: Job) -> Mapping[str, int | float | str]:
    """As they were chosen, else as they were given, else `auto`."""
    names = (*_COMMON, "beta") if job.request.method == "dpo" else _COMMON
    known = {**job.request.hyperparameters, **job.progress.hyperparameters}
    return {name: known.get(name, "auto") for name in names}


def event_object(job: str, entry: Entry) -> Json:
    """OpenAI's FineTuningJobEvent."""
    return {
        "object": "fine_tuning.job.event",
        "id": event_id(job, entry.number),
        "created_at": int(entry.at),
        "data": {},
        **entry.body,
    }


def checkpoint_object(job: str, entry: Entry) -> Json:
    """OpenAI's FineTuningJobCheckpoint."""
    return {
        "object": "fine_tuning.job.checkpoint",
        "id": checkpoint_id(job, entry.number),
        "created_at": int(entry.at),
        "fine_tuning_job_id": job,
        "step_number": entry.number,
        **entry.body,
    }


def event_id(job: str, number: int) -> str:
    return f"ftevent-{job.removeprefix('ftjob-')}-{number}"


def checkpoint_id(job: str, step: int) -> str:
    return f"ftckpt-{job.removeprefix('ftjob-')}-{step}"


def number_of(id_: str) -> int | None:
    """The number in an id of an event or a checkpoint."""
    number = id_.rpartition("-")[2]
    return int(number) if number.isascii() and number.isdigit() and len(number) < 10 else None


def _whole(seconds: float | None) -> int | None:
    return None if seconds is None else int(seconds)
