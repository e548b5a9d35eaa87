"""The command `trammel`."""

import dataclasses
import json
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from pydantic import ValidationError

import grammars
from grammars import CompiledGrammar, GrammarError, Report, Spacing
from server import __version__, tools_command
from server.dialect_command import dialect
from server.settings import Settings


def _option(setting: str) -> Any:
    """The flag of a setting."""
    return typer.Option(help=Settings.model_fields[setting].description)


app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.command()(dialect)
app.add_typer(tools_command.app, name="tools")


def main() -> None:
    """Entry point of the console script. Other packages add their commands under `trammel.commands`."""
    for entry_point in entry_points(group="trammel.commands"):
        app.add_typer(entry_point.load())
    app()


@app.callback(invoke_without_command=True)
def trammel(version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False) -> None:
    """A local, OpenAI-compatible server in which a tool call cannot be malformed."""
    if version:
        typer.echo(f"trammel {__version__}")
        raise typer.Exit


@app.command()
def serve(
    model: Annotated[list[str] | None, typer.Option(help=Settings.model_fields["model"].description)] = None,
    model_name: Annotated[str | None, typer.Option(help=Settings.model_fields["model_name"].description)] = None,
    models: Annotated[Path | None, typer.Option(help=Settings.model_fields["models"].description)] = None,
    max_models: Annotated[int | None, typer.Option(help=Settings.model_fields["max_models"].description)] = None,
    adapter: Annotated[list[str] | None, typer.Option(help=Settings.model_fields["adapter"].description)] = None,
    adapters: Annotated[Path | None, typer.Option(help=Settings.model_fields["adapters"].description)] = None,
    admin_key: Annotated[str | None, typer.Option(help=Settings.model_fields["admin_key"].description)] = None,
    admin_key_file: Annotated[
        Path | None, typer.Option(help=Settings.model_fields["admin_key_file"].description)
    ] = None,
    host: Annotated[str | None, typer.Option(help=Settings.model_fields["host"].description)] = None,
    port: Annotated[int | None, typer.Option(help=Settings.model_fields["port"].description)] = None,
    context_length: Annotated[
        str | None, typer.Option(help=Settings.model_fields["context_length"].description)
    ] = None,
    kv_cells: Annotated[int | None, typer.Option(help=Settings.model_fields["kv_cells"].description)] = None,
    parallel: Annotated[int | None, typer.Option(help=Settings.model_fields["parallel"].description)] = None,
    queue: Annotated[int | None, typer.Option(help=Settings.model_fields["queue"].description)] = None,
    prefill_chunk: Annotated[int | None, typer.Option(help=Settings.model_fields["prefill_chunk"].description)] = None,
    threads: Annotated[int | None, typer.Option(help=Settings.model_fields["threads"].description)] = None,
    idle_kv_mib: Annotated[int | None, typer.Option(help=Settings.model_fields["idle_kv_mib"].description)] = None,
    prefix_store: Annotated[Path | None, typer.Option(help=Settings.model_fields["prefix_store"].description)] = None,
    prefix_store_mib: Annotated[
        int | None, typer.Option(help=Settings.model_fields["prefix_store_mib"].description)
    ] = None,
    speculate: Annotated[str | None, typer.Option(help=Settings.model_fields["speculate"].description)] = None,
    draft_model: Annotated[Path | None, typer.Option(help=Settings.model_fields["draft_model"].description)] = None,
    kv_type: Annotated[str | None, typer.Option(help=Settings.model_fields["kv_type"].description)] = None,
    flash_attention: Annotated[
        str | None, typer.Option(help=Settings.model_fields["flash_attention"].description)
    ] = None,
    gpu_layers: Annotated[int | None, typer.Option(help=Settings.model_fields["gpu_layers"].description)] = None,
    split_mode: Annotated[str | None, typer.Option(help=Settings.model_fields["split_mode"].description)] = None,
    main_gpu: Annotated[int | None, typer.Option(help=Settings.model_fields["main_gpu"].description)] = None,
    mmap: Annotated[bool | None, typer.Option(help=Settings.model_fields["mmap"].description)] = None,
    mlock: Annotated[bool | None, typer.Option(help=Settings.model_fields["mlock"].description)] = None,
    draft_tokens: Annotated[int | None, typer.Option(help=Settings.model_fields["draft_tokens"].description)] = None,
    request_timeout: Annotated[
        float | None, typer.Option(help=Settings.model_fields["request_timeout"].description)
    ] = None,
    align: Annotated[bool | None, _option("align")] = None,
    grammar_engine: Annotated[
        str | None, typer.Option(help=Settings.model_fields["grammar_engine"].description)
    ] = None,
    drain_timeout: Annotated[
        float | None, typer.Option(help=Settings.model_fields["drain_timeout"].description)
    ] = None,
    store: Annotated[str | None, typer.Option(help=Settings.model_fields["store"].description)] = None,
    store_limit: Annotated[int | None, typer.Option(help=Settings.model_fields["store_limit"].description)] = None,
    home: Annotated[Path | None, _option("home")] = None,
    worker: Annotated[bool | None, _option("worker")] = None,
    file_limit: Annotated[float | None, _option("file_limit")] = None,
    tools: Annotated[str | None, _option("tools")] = None,
    mcp: Annotated[Path | None, _option("mcp")] = None,
    tool_secrets: Annotated[Path | None, _option("tool_secrets")] = None,
    tool_search_model: Annotated[str | None, _option("tool_search_model")] = None,
    runs: Annotated[str | None, _option("runs")] = None,
    run_steps: Annotated[int | None, _option("run_steps")] = None,
    run_calls: Annotated[int | None, _option("run_calls")] = None,
    run_seconds: Annotated[float | None, _option("run_seconds")] = None,
    run_tokens: Annotated[int | None, _option("run_tokens")] = None,
    run_bytes: Annotated[int | None, _option("run_bytes")] = None,
    approval_timeout: Annotated[float | None, _option("approval_timeout")] = None,
    api_key: Annotated[list[str] | None, _option("api_key")] = None,
    api_keys: Annotated[Path | None, _option("api_keys")] = None,
    key_concurrency: Annotated[int | None, _option("key_concurrency")] = None,
    key_rate: Annotated[int | None, _option("key_rate")] = None,
    cors_origin: Annotated[list[str] | None, _option("cors_origin")] = None,
    body_limit: Annotated[float | None, _option("body_limit")] = None,
    tls_certificate: Annotated[Path | None, _option("tls_certificate")] = None,
    tls_key: Annotated[Path | None, _option("tls_key")] = None,
    log_format: Annotated[str | None, _option("log_format")] = None,
    log_prompts: Annotated[bool | None, _option("log_prompts")] = None,
    log_level: Annotated[str | None, typer.Option(help=Settings.model_fields["log_level"].description)] = None,
) -> None:
    """Serve a model. Settings come from flags, TRAMMEL_… variables and trammel.toml, in this order."""
    given = {name: value for name, value in locals().items() if value is not None and value != []}
    settings = _settings(given)
    from server.api.keys import KeyFileError  # after --help and bad flags, because what follows loads llama.cpp
    from server.app import create_app
    from server.chat.template import TemplateError
    from server.engine.errors import AdapterError, ModelLoadError
    from server.logs import start_log
    from server.process import Process
    from server.store.engine import DatabaseError
    from server.tools.functions import ToolsError

    start_log(settings.log_level, settings.log_format)
    try:
        application = create_app(settings)
    except (ModelLoadError, AdapterError, TemplateError, KeyFileError, ToolsError, DatabaseError) as error:
        _fail(str(error))
    process = Process(
        application,
        host=settings.host,
        port=settings.port,
        log_level=settings.log_level,
        drain_timeout=settings.drain_timeout,
        tls=(settings.tls_certificate, settings.tls_key),
    )
    process.run()
    raise typer.Exit(process.exit_code)


@app.command()
def key(name: Annotated[str, typer.Argument(help="Whose key it is.")]) -> None:
    """Make an API key: the key itself on standard error, once, and its entry for the key file on standard output."""
    from server.api.keys import new_key

    secret, hashed = new_key()
    typer.echo(secret, err=True)
    typer.echo(f"[{json.dumps(name)}]\nhash = {json.dumps(hashed)}")


@app.command()
def grammar(
    schema: Annotated[Path, typer.Argument(help="A JSON Schema file; - reads standard input.")],
    strict: Annotated[bool, typer.Option(help="Refuse keywords that can't be enforced.")] = True,
    spacing: Annotated[Spacing, typer.Option(help="Blanks in the JSON.")] = Spacing.COMPACT,
    closed: Annotated[bool, typer.Option(help="No keys beyond the listed ones, as for tools.")] = False,
    openapi: Annotated[bool, typer.Option(help="Read nullable and OpenAPI's formats, as for tools.")] = False,
    lark: Annotated[bool, typer.Option("--lark", help="Print llguidance's Lark instead of GBNF.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print grammar and report as one JSON object.")] = False,
    check: Annotated[Path | None, typer.Option(help="Say whether the grammar admits the text of this file.")] = None,
) -> None:
    """Print the grammar of a JSON Schema, and the compile report on standard error."""
    try:
        text = sys.stdin.read() if str(schema) == "-" else schema.read_text(encoding="utf-8")
        compiled = grammars.compile(json.loads(text), strict=strict, spacing=spacing, closed=closed, openapi=openapi)
    except OSError as error:
        _fail(f"{schema} can't be read: {error.strerror}")
    except ValueError as error:
        _fail(str(error) if isinstance(error, GrammarError) else f"{schema} is not JSON: {error}")
    if check is not None:
        _check(compiled, check)
    elif as_json:
        report = dataclasses.asdict(compiled.report)
        typer.echo(json.dumps({"gbnf": compiled.gbnf, "lark": compiled.lark, "report": report}, ensure_ascii=False))
    else:
        typer.echo(compiled.lark if lark else compiled.gbnf, nl=False)
        typer.echo(_report_text(compiled.report), err=True, nl=False)


def _check(compiled: CompiledGrammar, instance: Path) -> None:
    """Exit status 0: admitted; 1: not."""
    try:
        text = instance.read_text(encoding="utf-8").strip()
    except OSError as error:
        _fail(f"{instance} can't be read: {error.strerror}")
    verdict = grammars.check(compiled, text)
    if verdict.admitted:
        typer.echo("admitted")
        return
    typer.echo(f"not admitted: stopped after {text[: verdict.stopped_at]!r}, where {verdict.expected} may stand")
    raise typer.Exit(1)


def _settings(given: dict[str, Any]) -> Settings:
    try:
        return Settings(**given)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]).replace("_", "-")
        _fail(f"setting {name}: {first['msg']}")
    except ValueError as error:  # the TOML file is none
        _fail(str(error))


def _report_text(report: Report) -> str:
    lines = []
    for title in ("enforced", "narrowed", "widened", "annotations"):
        for entry in getattr(report, title):
            note = f" ({entry.note})" if entry.note else ""
            lines.append(f"{title:12} {entry.pointer or '#'} {entry.keyword}{note}\n")
    return "".join(lines)


def _fail(message: str) -> NoReturn:
    typer.echo(f"trammel: {message}", err=True)
    raise typer.Exit(2)
