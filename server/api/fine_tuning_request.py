"""The body of `POST /v1/fine_tuning/jobs` (https://platform.openai.com/docs/api-reference/fine-tuning/create)."""

import asyncio
import random
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from server.api.catalog import Catalog
from server.api.errors import ApiError, invalid
from server.api.file_routes import PURPOSE
from server.api.sampling_fields import Wire
from server.api.workshop import Workshop, storable
from server.store.jobs import JobRequest, Method

_Auto = Literal["auto"]
BatchSize = _Auto | Annotated[int, Field(ge=1, le=256)]
Epochs = _Auto | Annotated[int, Field(ge=1, le=50)]
Multiplier = _Auto | Annotated[float, Field(gt=0, allow_inf_nan=False)]
Beta = _Auto | Annotated[float, Field(gt=0, le=2)]


class Hyperparameters(Wire):
    """Those of supervised training."""

    batch_size: BatchSize | None = None
    learning_rate_multiplier: Multiplier | None = None
    n_epochs: Epochs | None = None

    @property
    def given(self) -> dict[str, int | float | str]:
        return self.model_dump(exclude_none=True)


class DpoHyperparameters(Hyperparameters):
    beta: Beta | None = None


class Supervised(Wire):
    hyperparameters: Hyperparameters | None = None


class Dpo(Wire):
    hyperparameters: DpoHyperparameters | None = None


class MethodIn(Wire):
    """How to train; the field of the method's name holds its hyperparameters."""

    type: str
    supervised: Supervised | None = None
    dpo: Dpo | None = None

    @field_validator("type")
    @classmethod
    def _is_known(cls, kind: str) -> str:
        if kind == "reinforcement":
            raise ValueError("there is no training by reinforcement here; use supervised or dpo")
        if kind not in ("supervised", "dpo"):
            raise ValueError("it is supervised or dpo")
        return kind


class JobIn(Wire):
    """A job to create."""

    model: str
    training_file: str
    validation_file: str | None = None
    method: MethodIn | None = None
    hyperparameters: Hyperparameters | None = None
    """Of the time before `method`."""
    suffix: str | None = Field(default=None, min_length=1, max_length=64)
    seed: int | None = Field(default=None, ge=0, le=2**31 - 1)
    metadata: dict[str, str] | None = Field(default=None, max_length=16)
    integrations: list[Any] | None = None

    @field_validator("metadata")
    @classmethod
    def _is_short(cls, metadata: dict[str, str] | None) -> dict[str, str] | None:
        if any(len(key) > 64 or len(value) > 512 for key, value in (metadata or {}).items()):
            raise ValueError("keys have up to 64 characters and values up to 512")
        return metadata

    @field_validator("integrations")
    @classmethod
    def _are_none(cls, integrations: list[Any] | None) -> list[Any] | None:
        if integrations:
            raise ValueError("there are no integrations here; the job's events and result file have the metrics")
        return integrations


async def read_job(body: JobIn, workshop: Workshop, catalog: Catalog, owner: str) -> JobRequest:
    """What is to be done, on a model and files that are there. Raises: ApiError."""
    method, hyperparameters = _method(body)
    await _check_model(body.model, catalog)
    for param, file in (("training_file", body.training_file), ("validation_file", body.validation_file)):
        if file is not None:
            await _check_file(param, file, workshop, owner)
    return JobRequest(
        model=body.model,
        base=str(catalog.home.engine.model.path.resolve()),
        training_file=body.training_file,
        validation_file=body.validation_file,
        method=method,
        hyperparameters=hyperparameters,
        suffix=None if body.suffix is None else storable(body.suffix),
        seed=random.randrange(2**31) if body.seed is None else body.seed,
        metadata=body.metadata,
    )


def _method(body: JobIn) -> tuple[Method, Mapping[str, int | float | str]]:
    if body.method is None:
        return "supervised", body.hyperparameters.given if body.hyperparameters else {}
    if body.hyperparameters is not None and body.hyperparameters.given:
        raise invalid("Give hyperparameters in 'method', or without it, but not both.", "hyperparameters")
    if body.method.type == "dpo":
        return "dpo", _given(body.method.dpo)
    return "supervised", _given(body.method.supervised)


def _given(method: Supervised | Dpo | None) -> dict[str, int | float | str]:
    return method.hyperparameters.given if method and method.hyperparameters else {}


async def _check_model(name: str, catalog: Catalog) -> None:
    """Raises: ApiError, 404 if it is not served, 400 if it can't be trained."""
    if name == catalog.home.model_name:
        return
    await catalog.model_object(name)
    raise invalid(
        f"The model `{name}` can't be fine-tuned here: jobs make adapters of the server's first model, "
        f"`{catalog.home.model_name}`.",
        "model",
        "model_not_available",
    )


async def _check_file(param: str, file: str, workshop: Workshop, owner: str) -> None:
    row = await asyncio.to_thread(workshop.files.get, file, owner)
    if row is None:
        raise ApiError(400, f"invalid {param}: {file}", param=param, code="file_not_found")
    if row.purpose != PURPOSE:
        raise invalid(f"The file {file} has the purpose '{row.purpose}', not '{PURPOSE}'.", param)
