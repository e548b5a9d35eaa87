"""`trammel tools`: the registry at the command line, on the database that the server has too.

A server that runs sees within two seconds what is changed here.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import typer

from server.settings import Settings

Json = dict[str, Any]
Given = TypeVar("Given")

app = typer.Typer(no_args_is_help=True, help="Tools from other people's APIs: add, look at, approve.")
adding = typer.Typer(no_args_is_help=True, help="Add a source of tools.")
app.add_typer(adding, name="add")

Store = Annotated[str | None, typer.Option(help=Settings.model_fields["store"].description)]
Secrets = Annotated[Path | None, typer.Option(help=Settings.model_fields["tool_secrets"].description)]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Name = Annotated[str, typer.Argument(help="The tool.")]
Source = Annotated[str, typer.Argument(help="The source.")]


@adding.command()
def openapi(
    location: Annotated[str, typer.Argument(help="URL or file of an OpenAPI 3.0 or 3.1 document.")],
    name: Annotated[str, typer.Option(help="The source's name.")],
    server: Annotated[str | None, typer.Option(help="Call this address instead of the document's servers.")] = None,
    host: Annotated[list[str] | None, typer.Option(help="host:port that may be called. May be given again.")] = None,
    internal: Annotated[
        list[str] | None, typer.Option(help="A host, host:port or network that may be private. May be given again.")
    ] = None,
    credential: Annotated[
        list[str] | None, typer.Option(help="SCHEME=SECRET: the document's security scheme, and a secret's name.")
    ] = None,
    method: Annotated[list[str] | None, typer.Option(help="A method that may be used; all by default.")] = None,
    prefix: Annotated[str, typer.Option(help="Before the tools' names.")] = "",
    trust: Annotated[str, typer.Option(help="Of what the API answers: trusted or untrusted.")] = "untrusted",
    texts: Annotated[
        str,
        typer.Option(
            help="The document's words: untrusted (a run that shows them asks before it writes), trusted, "
            "or hidden from the model."
        ),
    ] = "untrusted",
    hold: Annotated[
        list[str] | None, typer.Option(help="What waits for approval when it changes: texts, new, breaking, nothing.")
    ] = None,
    timeout: Annotated[float, typer.Option(help="Seconds that a call may take.")] = 30.0,
    concurrency: Annotated[int, typer.Option(help="Calls at once.")] = 8,
    rate: Annotated[int | None, typer.Option(help="Calls in a minute.")] = None,
    retries: Annotated[int, typer.Option(help="Further attempts of reads and idempotent calls.")] = 2,
    response_limit: Annotated[int, typer.Option(help="Bytes of an answer that are read.")] = 4 * 2**20,
    result_limit: Annotated[int, typer.Option(help="Bytes of an answer that the model gets.")] = 16_384,
    refresh: Annotated[float | None, typer.Option(help="Seconds between readings of the document.")] = None,
    store: Store = None,
    tool_secrets: Secrets = None,
) -> None:
    """Let every operation of an API be a tool."""
    from server.tools.source import read_settings

    held = ["texts", "new"] if not hold else [word for word in hold if word != "nothing"]
    given: Json = {
        "server": server,
        "hosts": host or [],
        "internal": internal or [],
        "methods": [one.upper() for one in method or []],
        "credentials": dict(_pair(text) for text in credential or []),
        "prefix": prefix,
        "trust": trust,
        "texts": texts,
        "hold": held,
        "timeout": timeout,
        "concurrency": concurrency,
        "rate": rate,
        "retries": retries,
        "response_limit": response_limit,
        "result_limit": result_limit,
        "refresh": refresh,
    }

    async def add(registry: Any) -> Any:
        return await registry.add(name, _place(location), read_settings(given))

    _tell(_with_registry(store, tool_secrets, add))


@app.command(name="list")
def list_tools(store: Store = None, as_json: AsJson = False) -> None:
    """All tools of the registry."""
    from server.tools.listing import tool_objects

    tools = _with_registry(store, None, _now(tool_objects))
    if as_json:
        typer.echo(json.dumps(tools, ensure_ascii=False, indent=2))
        return
    width = max((len(tool["name"]) for tool in tools), default=0)
    for tool in tools:
        waits = " (a version waits)" if tool["held"] else ""
        words = f"{tool['name']:{width}}  {tool['status']:7}  {tool['effect']:11}  {tool['source']}{waits}"
        typer.echo(f"{words}  {(tool['description'] or '')[:60]}".rstrip())


@app.command()
def search(
    words: Annotated[str, typer.Argument(help="What is to be done.")],
    limit: Annotated[int, typer.Option(min=1, help="Tools to show.")] = 5,
    store: Store = None,
) -> None:
    """The tools that a run would find for these words; here by words alone."""
    from server.tools.listing import hit_object
    from server.tools.retrieval import ToolFinder

    async def find(registry: Any) -> list[Json]:
        finder = ToolFinder()
        finder.tools = registry
        return [hit_object(hit, registry) for hit in await finder.find(words, limit=limit)]

    for hit in _with_registry(store, None, find):
        typer.echo(f"{hit['score']:.3f}  {hit['name']}  ({', '.join(hit['words'])})")


@app.command()
def sources(store: Store = None) -> None:
    """All sources, with their settings."""
    from server.tools.listing import source_object

    found = _with_registry(store, None, _now(lambda one: [source_object(one, row) for row in one.sources]))
    typer.echo(json.dumps(found, ensure_ascii=False, indent=2))


@app.command()
def show(name: Name, store: Store = None) -> None:
    """One tool: its schema, what is said of it, what waits."""
    from server.tools.listing import tool_details

    found = _with_registry(store, None, _now(lambda registry: tool_details(registry, name)))
    typer.echo(json.dumps(found, ensure_ascii=False, indent=2))


@app.command()
def refresh(source: Source, store: Store = None, tool_secrets: Secrets = None) -> None:
    """Read a source again, if it has changed."""
    _tell(_with_registry(store, tool_secrets, lambda registry: registry.refresh(source)))


@app.command()
def diff(source: Source, store: Store = None) -> None:
    """What of a source waits for approval, and what is gone."""
    from server.tools.listing import differences

    for one in _with_registry(store, None, _now(lambda registry: differences(registry, source))):
        typer.echo(f"{one['tool']}  {one['version'] or ''}  {', '.join(one['kinds'])}")
        for change in one["changes"]:
            typer.echo(f"    {change}")


@app.command()
def approve(
    name: Name,
    version: Annotated[str, typer.Argument(help="The version that was looked at.")],
    reject: Annotated[bool, typer.Option("--reject", help="Never take it.")] = False,
    store: Store = None,
) -> None:
    """Let the version that waits serve."""
    _with_registry(store, None, lambda registry: registry.decide(name, version, approved=not reject))
    typer.echo(f"{name}: {version} {'is rejected' if reject else 'serves'}")


@app.command(name="set")
def set_tool(
    name: Name,
    said: Annotated[
        list[str] | None, typer.Argument(help="effect=read trust=trusted approval=always fields=id,name timeout=5 …")
    ] = None,
    on: Annotated[bool | None, typer.Option("--on/--off", help="Whether it may be called.")] = None,
    store: Store = None,
) -> None:
    """Say something of a tool in its source's place. What is not said again is forgotten."""
    overrides = {key: _value(key, value) for key, value in map(_pair, said)} if said else None

    async def change(registry: Any) -> Any:
        return await registry.change(name, is_enabled=on, overrides=overrides)

    row = _with_registry(store, None, change)
    typer.echo(f"{name}: {'on' if row.is_enabled else 'off'} {json.dumps(row.overrides)}")


@app.command()
def call(
    name: Name,
    arguments: Annotated[str, typer.Argument(help="A JSON object.")] = "{}",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the request; send nothing.")] = False,
    store: Store = None,
    tool_secrets: Secrets = None,
) -> None:
    """Make one call, without a model and without approval, or show what it would send."""
    from server.chat.validation import find_faults
    from server.tools.definition import CallContext, ToolError, UncertainError
    from server.tools.source import SourceError

    async def make(registry: Any) -> Any:
        if name not in registry:
            raise SourceError(f"no tool {name} serves")
        tool, given = registry[name], json.loads(arguments)
        if faults := find_faults(dict(tool.parameters), given):
            raise SourceError("; ".join(faults))
        try:
            return tool.preview(given) if dry_run else await tool.execute(given, CallContext("cli", f"cli:{name}"))
        except (ToolError, UncertainError) as error:
            raise SourceError(str(error)) from error

    typer.echo(json.dumps(_with_registry(store, tool_secrets, make), ensure_ascii=False, indent=2))


@app.command()
def remove(source: Source, store: Store = None) -> None:
    """Forget a source and its tools."""
    _with_registry(store, None, lambda registry: registry.remove(source))
    typer.echo(f"{source} is removed")


def _with_registry(store: str | None, file: Path | None, work: Callable[[Any], Awaitable[Given]]) -> Given:
    from server.store.engine import DatabaseError, database_url, open_database
    from server.store.tools import ToolStore
    from server.tools.gateway.credentials import Secrets
    from server.tools.openapi.document import DocumentError
    from server.tools.registry import Registry
    from server.tools.source import SourceError

    given: dict[str, Any] = {key: value for key, value in (("store", store), ("tool_secrets", file)) if value}
    settings = Settings(**given)
    if settings.store is None:
        _fail("say which database the server has: --store FILE, or TRAMMEL_STORE, or `store` in trammel.toml")

    async def run() -> Given:
        engine = open_database(database_url(settings.store or ""))
        registry = Registry(ToolStore(engine), secrets=Secrets(settings.tool_secrets))
        try:
            registry.load()
            return await work(registry)
        finally:
            await registry.close()
            engine.dispose()

    try:
        return asyncio.run(run())
    except (SourceError, DocumentError, DatabaseError) as error:
        _fail(str(error))
    except json.JSONDecodeError as error:
        _fail(f"the arguments are not JSON: {error}")


def _now(look: Callable[[Any], Given]) -> Callable[[Any], Awaitable[Given]]:
    async def work(registry: Any) -> Given:
        return look(registry)

    return work


def _tell(told: Any) -> None:
    """What a reading brought."""
    if told.is_unchanged:
        typer.echo("unchanged")
        return
    for word in ("added", "changed", "held", "dropped"):
        names = getattr(told, word)
        shown = f": {', '.join(names[:10])}{' …' if len(names) > 10 else ''}" if names else ""
        typer.echo(f"{len(names):5} {word}{shown}")
    for key, reason in told.omitted.items():
        typer.echo(f"left out: {key}: {reason}")


def _place(location: str) -> str:
    """A file by its whole path: the server runs elsewhere."""
    return location if location.lower().startswith(("http://", "https://")) else str(Path(location).resolve())


def _pair(text: str) -> tuple[str, str]:
    key, sign, value = text.partition("=")
    if not sign or not key:
        _fail(f"{text!r} is not NAME=VALUE")
    return key, value


def _value(key: str, text: str) -> Any:
    """JSON where it is some; else a text, or several with commas between."""
    with suppress(ValueError):
        return json.loads(text)
    return text.split(",") if key in ("fields", "touches") else text


def _fail(message: str) -> NoReturn:
    typer.echo(f"trammel: {message}", err=True)
    raise typer.Exit(2)
