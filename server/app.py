"""Wiring: settings to objects to routes. Everything is built here, once, and handed down."""

import asyncio
import contextlib
import importlib.util
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import sqlalchemy as sa
from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

from server import __version__
from server.agent.caps import Caps
from server.agent.loop import Loop
from server.agent.runs import Runs
from server.api import (
    adapter_routes,
    embeddings,
    errors,
    file_routes,
    fine_tuning_routes,
    inspection,
    openapi,
    response_routes,
    routes,
    run_routes,
    text_routes,
    tool_routes,
)
from server.api.adapter_shelf import AdapterShelf
from server.api.admin_key import AdminKey
from server.api.admission import Admission, AdmissionGate
from server.api.body_limit import BodyLimit
from server.api.catalog import Catalog
from server.api.durations import Durations, Stopwatch
from server.api.engine_speaker import EngineSpeaker
from server.api.fine_tuned import FineTunedModels
from server.api.key_gate import KeyGate
from server.api.keys import Key, KeyFileError, KeyRing, given_keys, hash_of, read_key_file
from server.api.request_log import RequestLog
from server.api.run_request import reach_of
from server.api.services import EmbeddingServices, Services, conversations_of
from server.api.workshop import Workshop
from server.chat.conversation import Conversations
from server.chat.template import TemplateError
from server.engine.adapter_folder import AdapterFolder
from server.engine.draft_model import draft_cells
from server.engine.embedder import Embedder, EmbedderSettings, pooling_of
from server.engine.engine import Engine, EngineSettings
from server.engine.errors import ModelLoadError
from server.engine.memory import plan_memory
from server.engine.model import Model, ModelSettings, header_of
from server.settings import DEFAULT_MODEL, Settings, adapter_of, model_of
from server.store.engine import DatabaseError, database_url, open_database
from server.store.home import Home
from server.store.responses import ResponseStore
from server.store.runs import RunStore
from server.store.tools import ToolStore
from server.tools.functions import ToolsError, load_tools
from server.tools.gateway.credentials import Secrets
from server.tools.mcp import McpFileError, McpSource, read_servers
from server.tools.registry import Registry
from server.tools.retrieval import ToolFinder
from server.worker_process import WorkerProcess

logger = logging.getLogger("trammel")

_MEGABYTE = 1024 * 1024
_ENVELOPE = 64 * 1024
"""Bytes that a form may have around its file."""


def create_app(settings: Settings) -> FastAPI:
    """The application. Its engine starts and stops with it.

    Raises: ModelLoadError, if the model can't be loaded; AdapterError, if an adapter can't; TemplateError, if its chat
    template is broken; KeyFileError, ToolsError or DatabaseError, if keys, tools or the runs' database can't be read.
    """
    keys = key_ring(settings)
    workshop_home = open_home(settings)
    database = open_database(database_url(settings.database))
    models = named_models(settings)
    name = next((name for name, path in models.items() if pooling_of(header_of(path)) is None), DEFAULT_MODEL.stem)
    home = load_services(name, models.pop(name, DEFAULT_MODEL), settings, settings.draft_model)
    if not isinstance(home, Services):
        raise ModelLoadError(f"{name} is an embedding model; the first model must generate text")
    for adapter, file, scale in map(adapter_of, settings.adapter):
        home.engine.preload_adapter(adapter, file, scale)
    catalog = Catalog(
        home,
        partial(load_services, settings=settings),
        further=models,
        folder=settings.models,
        limit=settings.max_models,
    )

    folder = AdapterFolder(home.engine, settings.adapters) if settings.adapters else None
    finder = ToolFinder(
        embeddings.embed_with(catalog, settings.tool_search_model) if settings.tool_search_model else None
    )
    tools = open_tools(settings, database, finder)
    mcp = open_mcp(settings, tools)
    runs = open_runs(settings, catalog, database, keys, tools, finder, mcp)
    workshop = Workshop.of(database, workshop_home) if workshop_home else None
    fine_tuned = FineTunedModels(home, workshop) if workshop else None
    worker = WorkerProcess(workshop_home.folder, settings.store) if workshop_home and settings.worker else None

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        home.start()
        resumed = await runs.resume()
        if resumed:
            logger.info("going on with %d runs", resumed)
        if fine_tuned is not None:
            await fine_tuned.look()
        watched = (tools, folder, fine_tuned, worker, *mcp)
        watching = [asyncio.create_task(one.watch()) for one in watched if one is not None]
        yield
        for task in watching:
            task.cancel()
        await asyncio.wait(watching)
        if worker is not None:
            await worker.close()
        await runs.close()
        await tools.close()
        await catalog.close()
        runs.store.close()
        database.dispose()

    app = FastAPI(title="Trammel", version=__version__, lifespan=lifespan, redirect_slashes=False)
    app.state.services = home
    app.state.catalog = catalog
    app.state.admission = Admission()
    app.state.store = ResponseStore(database, settings.store_limit)
    app.state.runs = runs
    app.state.tools = tools
    app.state.tool_finder = finder
    app.state.workshop = workshop
    app.state.fine_tuned = fine_tuned
    app.state.file_limit = int(settings.file_limit * _MEGABYTE)
    app.state.adapters = AdapterShelf(home, catalog, folder)
    app.state.admin_key = AdminKey(settings.read_admin_key())
    app.state.durations = Durations()
    add_middleware(app, settings, keys)
    errors.install(app)
    app.include_router(routes.router)
    app.include_router(embeddings.router)
    app.include_router(text_routes.router)
    app.include_router(response_routes.router)
    app.include_router(run_routes.router)
    app.include_router(tool_routes.router)
    app.include_router(file_routes.router)
    app.include_router(fine_tuning_routes.router)
    app.include_router(inspection.router)
    app.include_router(adapter_routes.router)
    openapi.describe(app)
    return app


def open_tools(settings: Settings, database: sa.Engine, finder: ToolFinder) -> Registry:
    """The operator's own tools, those of the database and the search. Raises: ToolsError, if a tool can't be loaded."""
    given = load_tools(settings.tools) if settings.tools else ()
    registry = Registry(ToolStore(database), [*given, finder.as_tool()], Secrets(settings.tool_secrets))
    registry.load()
    finder.tools = registry
    return registry


def open_mcp(settings: Settings, tools: Registry) -> list[McpSource]:
    """Sources of tools, yet to be watched. Raises: ToolsError."""
    if settings.mcp is None:
        return []
    if importlib.util.find_spec("mcp") is None:
        raise ToolsError("--mcp needs a further package: pip install -c constraints.txt -e '.[mcp]'")
    try:
        servers = read_servers(settings.mcp)
    except McpFileError as error:
        raise ToolsError(str(error)) from error
    secrets = Secrets(settings.tool_secrets)
    return [McpSource(name, server, secrets, tools) for name, server in servers.items()]


def open_home(settings: Settings) -> Home | None:
    """The folder of files and jobs, made if need be. Raises: DatabaseError."""
    try:
        return Home(settings.home.resolve()).make() if settings.home else None
    except OSError as error:
        raise DatabaseError(f"the home folder {settings.home} can't be made: {error.strerror}") from error


def open_runs(
    settings: Settings,
    catalog: Catalog,
    database: sa.Engine,
    keys: KeyRing,
    tools: Registry,
    finder: ToolFinder,
    mcp: Sequence[McpSource],
) -> Runs:
    """The runs of the server's own tools; `mcp`: brings some of them later. Raises: DatabaseError."""
    own = open_database(database_url(settings.runs)) if settings.runs else database
    if reach_of(tools) and own.url.get_backend_name() == "sqlite" and not own.url.database:
        logger.info("runs are kept in memory and end with the server; --store FILE keeps them")
    loop = Loop(tools, EngineSpeaker(catalog), approval_seconds=settings.approval_timeout, finder=finder)
    ceiling = Caps(
        settings.run_steps, settings.run_calls, settings.run_seconds, settings.run_tokens, settings.run_bytes
    )
    return Runs(RunStore(own), loop, ceiling=ceiling, places=keys, sources=[one.has_told for one in mcp])


def add_middleware(app: FastAPI, settings: Settings, keys: KeyRing) -> None:
    """What every request goes through; what is added last is outermost."""
    uploads = {"/v1/files": int(settings.file_limit * _MEGABYTE) + _ENVELOPE}
    app.add_middleware(BodyLimit, limit=int(settings.body_limit * _MEGABYTE), others=uploads)
    if keys:
        app.add_middleware(KeyGate, keys=keys)
    app.add_middleware(Stopwatch, durations=app.state.durations)
    app.add_middleware(AdmissionGate, admission=app.state.admission)
    if settings.cors_origin:
        headers = ["x-request-id", "retry-after", "x-trammel-widened"]
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origin,
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=headers,
        )
    app.add_middleware(RequestLog, log_prompts=settings.log_prompts)


def key_ring(settings: Settings) -> KeyRing:
    """The keys of flags and file; none: everybody may ask. Raises: KeyFileError."""
    limits = settings.key_concurrency, settings.key_rate
    try:
        keys = given_keys(settings.api_key, *limits)
    except ValueError as error:
        raise KeyFileError("an api-key that begins with sha256: has 64 hex digits after it") from error
    keys += read_key_file(settings.api_keys, *limits) if settings.api_keys else []
    admin = settings.read_admin_key()
    return KeyRing([*keys, Key("admin", hash_of(admin))] if keys and admin else keys)


def named_models(settings: Settings) -> dict[str, Path]:
    """The models of the flags, by the names requests use."""
    (name, path), *further = map(model_of, settings.model)
    return {settings.model_name or name: path, **dict(further)}


def load_services(name: str, path: Path, settings: Settings, draft: Path | None = None) -> Services | EmbeddingServices:
    """What serves a model, yet to be started; says first what memory it takes. Raises: ModelLoadError.

    `draft`: the model that guesses for it.
    """
    if pooling_of(header_of(path)) is not None:
        return EmbeddingServices(load_embedder(path, settings), name)
    wanted = engine_settings(settings)
    _say_memory(path, draft, wanted)
    with contextlib.ExitStack() as loaded:
        model = Model(path, model_settings(settings))
        loaded.callback(model.close)
        conversations = _conversations(model)
        guessing = None if draft is None else Model(draft, model_settings(settings))
        if guessing is not None:
            loaded.callback(guessing.close)
        engine = Engine(model, wanted, guessing)
        loaded.pop_all()
        return Services(engine, name, conversations)


def _conversations(model: Model) -> Conversations:
    """Raises: ModelLoadError."""
    try:
        return conversations_of(model)
    except TemplateError as error:
        raise ModelLoadError(f"{model.path.name} can't be served: {error}") from error


def _say_memory(path: Path, draft: Path | None, wanted: EngineSettings) -> None:
    header = header_of(path)
    _, cells = wanted.sizes(header.number("context_length") or 0)
    plan = plan_memory(header, cells, wanted.kv_type)
    logger.info("%s: %s", path.name, plan)
    if draft is not None:
        drafts = plan_memory(header_of(draft), draft_cells(wanted.context(cells), wanted.draft_tokens), wanted.kv_type)
        logger.info("%s, its draft model: %s", draft.name, drafts)
        logger.info("both: %.1f MiB, and llama.cpp's compute buffers", (plan.total + drafts.total) / 2**20)


def load_embedder(path: Path, settings: Settings) -> Embedder:
    """An embedding model. Raises: ModelLoadError."""
    model = Model(path, model_settings(settings))
    try:
        return Embedder(model, EmbedderSettings(context_length=settings.context_length, threads=settings.threads))
    except ModelLoadError:
        model.close()
        raise


def model_settings(settings: Settings) -> ModelSettings:
    return ModelSettings(
        gpu_layers=settings.gpu_layers,
        split_mode=settings.split_mode,
        main_gpu=settings.main_gpu,
        mmap=settings.mmap,
        mlock=settings.mlock,
    )


def engine_settings(settings: Settings) -> EngineSettings:
    return EngineSettings(
        context_length=settings.context_length,
        kv_cells=settings.kv_cells,
        sequences=settings.parallel,
        waiting=settings.queue,
        prefill_chunk=settings.prefill_chunk,
        threads=settings.threads,
        speculate=settings.speculate,
        kv_type=settings.kv_type,
        flash_attention=settings.flash_attention,
        draft_tokens=settings.draft_tokens,
        request_timeout=settings.request_timeout,
        aligns=settings.align,
        grammar_engine=settings.grammar_engine,
        prefix_store=settings.prefix_store,
        idle_kv_bytes=settings.idle_kv_mib * 2**20,
        prefix_store_bytes=settings.prefix_store_mib * 2**20,
    )
