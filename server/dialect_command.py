"""`trammel dialect`: how a model's calls are written, from its GGUF or its chat template alone, weights unread."""

import json
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from server.chat.conversation import CHATML, Conversations
from server.chat.dialect_report import dialect_facts, dialect_report, dialect_summary
from server.chat.template import ChatTemplate, TemplateError
from server.engine.gguf_header import HeaderError, read_header

_SUFFIXES = (".gguf", ".jinja", ".j2")


def dialect(
    paths: Annotated[list[Path], typer.Argument(help="GGUF models, Jinja templates, or a folder of them.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the facts only, as JSON.")] = False,
) -> None:
    """Print how a model writes tool calls: what was derived, an example, its grammar. Several: one line each."""
    files = [file for path in paths for file in (_files_in(path) if path.is_dir() else [path])]
    if not files:
        _fail(f"{paths[0]} has no {', '.join(_SUFFIXES)} files")
    if as_json:
        found = {file.name: dialect_facts(Conversations(_read(file)).dialect) for file in files}
        typer.echo(json.dumps(found, ensure_ascii=False, indent=2))
    elif len(files) == 1:
        typer.echo(dialect_report(_read(files[0])))
    else:
        width = max(len(file.stem) for file in files)
        for file in files:
            typer.echo(f"{file.stem:{width}}  {dialect_summary(_read(file))}")


def _files_in(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if file.suffix in _SUFFIXES)


def _read(path: Path) -> ChatTemplate:
    """The template of a file; special tokens stand for themselves."""
    try:
        if path.suffix == ".gguf":
            source = read_header(path).text("tokenizer.chat_template") or CHATML
        else:
            source = path.read_text(encoding="utf-8")
        return ChatTemplate(source, bos_token="<bos>", eos_token="<eos>")  # noqa: S106 - no passwords
    except OSError as error:
        _fail(f"{path} can't be read: {error.strerror}")
    except (HeaderError, TemplateError, UnicodeDecodeError) as error:
        _fail(f"{path.name}: {error}")


def _fail(message: str) -> NoReturn:
    typer.echo(f"trammel: {message}", err=True)
    raise typer.Exit(2)
