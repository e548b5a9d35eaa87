"""The URLs this server answers."""

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Request
from fastapi.responses import JSONResponse, Response

from server.api.adapter_fields import chosen_adapter
from server.api.admission import Admission, admission_of
from server.api.catalog import Catalog, catalog_of
from server.api.chat_objects import completion_object
from server.api.chat_request import read_chat_request
from server.api.chat_stream import chat_stream
from server.api.completion import start_completion
from server.api.departure import ClientGoneError, no_answer, while_connected
from server.api.gateway_metrics import gateway_metrics_text
from server.api.job_metrics import job_metrics_text
from server.api.metrics import CONTENT_TYPE, metrics_text
from server.api.run_chat import answer_with_tools
from server.api.run_metrics import run_metrics_text
from server.api.run_request import refuse_run_fields
from server.api.run_routes import runs_of
from server.api.services import Services, services_of
from server.api.wire import ChatCompletionRequest
from server.api.workshop import Workshop

router = APIRouter()
TheServices = Annotated[Services, Depends(services_of)]
TheCatalog = Annotated[Catalog, Depends(catalog_of)]
TheAdmission = Annotated[Admission, Depends(admission_of)]


@router.post("/v1/chat/completions")
async def create_chat_completion(
    body: ChatCompletionRequest,
    request: Request,
    catalog: TheCatalog,
    x_request_timeout: Annotated[float | None, Header(gt=0, description="Seconds; like the field timeout.")] = None,
) -> Response:
    """Continue a conversation: with text, or with calls of the given tools."""
    if body.trammel is not None and (body.trammel.run_tools or body.trammel.run is not None):
        return await answer_with_tools(body, request, runs_of(request), catalog)
    refuse_run_fields(body.trammel)
    if body.timeout is None and x_request_timeout is not None:
        body = body.model_copy(update={"timeout": x_request_timeout})
    async with catalog.lend(body.model, Services) as services:
        adapter = chosen_adapter(services, body.model, body.lora)
        chat = await asyncio.to_thread(read_chat_request, body, services.engine.model.sampling_defaults)
        completion = await start_completion(
            services, chat, body.n or 1, model=body.model, adapter=adapter, streams=bool(body.stream)
        )
    headers = widened_header(completion.widened)
    if body.stream:
        return chat_stream(completion, headers, include_usage=body.includes_usage)
    try:
        answers = await while_connected(request, completion.answers())
        return JSONResponse(completion_object(completion, answers), headers=headers)
    except ClientGoneError:
        return no_answer()
    finally:
        await completion.cancel()


@router.get("/v1/models")
async def list_models(catalog: TheCatalog) -> dict[str, Any]:
    """The models a request may name."""
    return {"object": "list", "data": await catalog.model_objects()}


@router.get("/v1/models/{name:path}")
async def retrieve_model(name: str, catalog: TheCatalog) -> dict[str, Any]:
    """One model."""
    return await catalog.model_object(name)


@router.head("/healthz", include_in_schema=False)
@router.get("/healthz")
async def health(catalog: TheCatalog, admission: TheAdmission) -> JSONResponse:
    """200 while requests are let in and can be answered, 503 from the moment that an engine dies or the end begins."""
    return _state(catalog, _status(catalog, admission))


@router.head("/readyz", include_in_schema=False)
@router.get("/readyz")
async def readiness(services: TheServices, catalog: TheCatalog, admission: TheAdmission) -> JSONResponse:
    """Like /healthz, and 503 too while the first model's queue is full: a balancer may send the next one elsewhere."""
    status = _status(catalog, admission)
    return _state(catalog, "queue full" if status == "ok" and services.engine.is_full else status)


@router.get("/metrics", include_in_schema=False)
async def metrics(request: Request, services: TheServices, catalog: TheCatalog) -> Response:
    """Counters and histograms for Prometheus."""
    timings = {one.model_name: one.engine.timings for one in catalog.loaded if isinstance(one, Services)}
    page = metrics_text(services.engine, timings, request.app.state.durations) + run_metrics_text(runs_of(request))
    page += gateway_metrics_text(request.app.state.tools.tally)
    workshop: Workshop | None = request.app.state.workshop
    if workshop is not None:
        page += job_metrics_text(await asyncio.to_thread(workshop.jobs.counts))
    return Response(page, media_type=CONTENT_TYPE)


def _status(catalog: Catalog, admission: Admission) -> str:
    return "engine stopped" if catalog.has_failed else "draining" if admission.is_closed else "ok"


def _state(catalog: Catalog, status: str) -> JSONResponse:
    """With the sequences of all models in memory."""
    stats = [services.engine.stats for services in catalog.loaded if isinstance(services, Services)]
    counts = {"running": sum(one.running for one in stats), "waiting": sum(one.waiting for one in stats)}
    return JSONResponse({"status": status, **counts}, 200 if status == "ok" else 503)


def widened_header(widened: Mapping[str, str]) -> dict[str, str]:
    """Says which schemas the grammar holds only in part, and by which keywords."""
    if not widened:
        return {}
    text = "; ".join(f"{name}: {keywords}" for name, keywords in widened.items())
    return {"x-trammel-widened": text.encode("ascii", "replace").decode()[:1000]}
