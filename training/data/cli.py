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
    grammar: Annotated[bool, typer.Option(help="Say which schemas our server would refuse as strict.")] = True,
    faults: Annotated[int, typer.Option(min=0, help="Errors and warnings to show of each.")] = 20,
) -> None:
    """Judge every line. Leaves with 0 if all are valid, 1 if not, 2 if the file can't be read."""
    from training.data.checks import Checks
    from training.data.validation import validate_file
    from training.data.verdict_text import verdict_text

    try:
        verdict = validate_file(file, Checks(checks_grammars=grammar))
    except OSError as error:
        _fail(str(error))
    if as_json:
        typer.echo(json.dumps({"file": str(file), **verdict.as_json()}, ensure_ascii=False, indent=1))
    else:
        typer.echo(verdict_text(verdict, str(file), faults))
    if verdict.errors or (strict and verdict.warnings):
        raise typer.Exit(1)


def _fail(message: str) -> NoReturn:
    typer.echo(f"trammel: {message}", err=True)
    raise typer.Exit(2)
