"""Hyperparameters of a job: those given, and for the others what usually does, by how much there is to learn from."""

import math
from pathlib import Path

from server.store.home import Home
from server.store.jobs import Job, JobRequest
from training.train.recipe import TrainingRecipe

Numbers = dict[str, int | float]
_LOOKS = 300
"""How often an example is to be looked at, all examples together, where there are few."""
_ROWS_AT_ONCE = 4
"""Rows in memory; larger batches are gathered over several passes."""
_CHECKPOINT_STEPS = 50
_CHECKPOINTS = 10
"""At least so many on the way, where there are as many steps."""
_BETA = 0.1


def choose(request: JobRequest, records: int) -> Numbers:
    """Numbers for all of a method's hyperparameters. `records`: lines of the training file."""
    chosen: Numbers = {
        "n_epochs": min(10, max(3, math.ceil(_LOOKS / records))),
        "batch_size": min(16, max(1, records // 30)),
        "learning_rate_multiplier": 1.0,
    }
    if request.method == "dpo":
        chosen["beta"] = _BETA
    given = {name: value for name, value in request.hyperparameters.items() if not isinstance(value, str)}
    return chosen | given


def recipe_of(
    job: Job,
    numbers: Numbers,
    records: int,
    home: Home,
    base: Path,
    *,
    validation: Path | None = None,
    threads: int | None = None,
) -> TrainingRecipe:
    """What `training.train` is to do; the same each time that a job is gone on with."""
    request = job.request
    batch = int(numbers["batch_size"])
    rows = next(rows for rows in range(min(batch, _ROWS_AT_ONCE), 0, -1) if batch % rows == 0)
    steps = math.ceil(records / batch) * int(numbers["n_epochs"])
    return TrainingRecipe(
        model=base,
        train_path=home.upload(request.training_file),
        validation_path=validation,
        output=home.job(job.id),
        name=job.id,
        method=request.method,
        epochs=numbers["n_epochs"],
        batch_size=rows,
        accumulation=batch // rows,
        learning_rate_multiplier=numbers["learning_rate_multiplier"],
        beta=numbers.get("beta", _BETA),
        seed=request.seed,
        threads=threads,
        checkpoint_every=min(_CHECKPOINT_STEPS, max(1, steps // _CHECKPOINTS)),
    )
