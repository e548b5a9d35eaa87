"""The commands `trammel data …`. Imports nothing heavy: the server's own commands load this module too."""

import json
from pathlib import Path
from typing import Annotated, NoReturn

import typer

app = typer.Typer(no_args_is_help=True, help="Data to fine-tune on: OpenAI's fine-tuning JSONL.")


@app.command()
def validate(
    file: Annotated[Path, typer.Argument(help="Fine-tuning lines.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Let warnings count as errors.")] = False,
    tools: Annotated[
        str | None, typer.Option(help="Tools whose Python types judge arguments too: a Python file with them.")
    ] = None,
    grammar: Annotated[bool, typer.Option(help="Say which schemas our server would refuse as strict.")] = True,
    faults: Annotated[int, typer.Option(min=0, help="Errors and warnings to show of each.")] = 20,
) -> None:
    """Judge every line. Leaves with 0 if all are valid, 1 if not, 2 if the file can't be read."""
    from training.data.checks import Checks
    from training.data.validation import validate_file
    from training.data.verdict_text import verdict_text
    from training.tools import ToolError, load_tools

    try:
        judges = {tool.name: tool.judge for tool in (load_tools(tools) if tools else ()) if tool.judge}
        verdict = validate_file(file, Checks(judges, checks_grammars=grammar))
    except (ToolError, OSError) as error:
        _fail(str(error))
    if as_json:
        typer.echo(json.dumps({"file": str(file), **verdict.as_json()}, ensure_ascii=False, indent=1))
    else:
        typer.echo(verdict_text(verdict, str(file), faults))
    if verdict.errors or (strict and verdict.warnings):
        raise typer.Exit(1)


@app.command("tools")
def show_tools(
    source: Annotated[str, typer.Argument(help="Names of example tools, or a JSON, YAML or Python file.")] = "",
) -> None:
    """Print tools as a request carries them; without a source, the example tools."""
    from training.tools import ToolError, load_tools
    from training.tools.examples import EXAMPLE_TOOLS

    try:
        tools = load_tools(source) if source else EXAMPLE_TOOLS
    except (ToolError, OSError) as error:
        _fail(str(error))
    typer.echo(json.dumps([tool.as_json() for tool in tools], ensure_ascii=False, indent=1))


def _fail(message: str) -> NoReturn:
    typer.echo(f"trammel: {message}", err=True)
    raise typer.Exit(2)
