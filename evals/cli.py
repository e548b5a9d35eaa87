"""The command `trammel eval`. It joins `trammel` through the entry point group `trammel.commands`.

Imports little: the server's own commands load this module too.
"""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import typer
from typer.core import TyperGroup

if TYPE_CHECKING:
    from evals.record import Record


class _RunByDefault(TyperGroup):
    """`trammel eval SUITE …` is `trammel eval run SUITE …`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] != "--help":
            args = ["run", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
evaluation = typer.Typer(
    cls=_RunByDefault, no_args_is_help=True, help="Measure tool use at any OpenAI-compatible endpoint."
)
app.add_typer(evaluation, name="eval")


@evaluation.command()
def run(
    suite: Annotated[list[str], typer.Argument(help="Suites by name (see `suites`), or files of fine-tuning lines.")],
    endpoint: Annotated[list[str], typer.Option(help="NAME=URL or NAME=URL#MODEL; several are compared.")],
    output: Annotated[
        Path | None, typer.Option(help="Folder of the run; one that exists is resumed. By default in runs/.")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Folder of public data; by default $TRAMMEL_DATA.")] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Cases of each suite, drawn at random, of each kind alike.")
    ] = None,
    draw_seed: Annotated[int, typer.Option(help="Decides which are drawn.")] = 0,
    grammar: Annotated[
        Literal["on", "off", "both"], typer.Option(help="Ask Trammel with its grammar, without, or both ways.")
    ] = "on",
    choice: Annotated[
        Literal["suite", "auto", "required"], typer.Option(help="tool_choice: the suite's own, or one for all cases.")
    ] = "suite",
    temperature: Annotated[float, typer.Option(min=0)] = 0.0,
    max_tokens: Annotated[int, typer.Option(min=1, help="Of an answer.")] = 512,
    seeds: Annotated[int, typer.Option(min=1, help="Times each case is asked, with the seeds 0, 1, …")] = 1,
    parallel: Annotated[int, typer.Option(min=1, help="Cases at once.")] = 4,
    retries: Annotated[int, typer.Option(min=0, help="After errors that may pass.")] = 3,
    timeout: Annotated[float, typer.Option(min=0.001, help="Seconds for one try.")] = 120.0,
    prices: Annotated[
        Path | None, typer.Option(help="TOML: [NAME] with prompt and completion, for a million tokens.")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget the answers of an earlier run.")] = False,
) -> None:
    """Run suites against endpoints: a table here, results, Markdown and HTML in the run's folder."""
    try:
        from evals.endpoint import EndpointError, parse_endpoint
        from evals.folder import RunFolder
        from evals.job import Job
        from evals.journal import JournalError
        from evals.report.terminal import print_sections
        from evals.run import Settings
        from evals.suites.catalog import draw, find_suites
        from evals.suites.lines import SuiteError
        from evals.summary import read_prices
    except ModuleNotFoundError as error:
        _fail_without(error)
    try:
        endpoints = [parse_endpoint(text) for text in endpoint]
        if len({e.name for e in endpoints}) < len(endpoints):
            _fail("endpoints need names of their own")
        paid = read_prices(prices) if prices else None
        cases = [case for found in find_suites(suite, data, _warn) for case in draw(found, limit, draw_seed)]
        if not cases:
            _fail("there are no cases")
        settings = Settings(choice, temperature, max_tokens, seeds, parallel)
        folder = RunFolder(output or Path("runs") / f"eval-{'-'.join(Path(name).stem for name in suite)}")
        job = Job(endpoints, grammar, settings, retries, timeout, folder, fresh)
        records = asyncio.run(job.run(cases, _warn))
    except (EndpointError, JournalError, SuiteError, OSError, ValueError) as error:
        _fail(str(error))
    except KeyboardInterrupt:
        _fail("broken off; the same command goes on from here")
    said = [("suites", ", ".join(suite)), ("endpoints", ", ".join(endpoint)), *job.described()]
    print_sections(folder.write(records, said, paid), _console())
    _tell_errors(records)
    typer.echo(f"{folder.path / 'report.html'}")


@evaluation.command()
def compare(
    runs: Annotated[list[Path], typer.Argument(help="Folders of runs. The first column of the first is the measure.")],
    show: Annotated[int, typer.Option(min=0, help="Cases to show of each that got better or worse.")] = 10,
) -> None:
    """Tell what got better and what got worse, figure by figure and case by case."""
    import dataclasses

    from evals.folder import FolderError, RunFolder
    from evals.report.content import sections
    from evals.report.terminal import print_changes, print_sections

    records: list[Record] = []
    names = [path.name for path in runs]
    try:
        for path in runs:
            found = RunFolder(path).records()
            prefix = f"{path.name if names.count(path.name) == 1 else path}: " if len(runs) > 1 else ""
            records += [dataclasses.replace(record, endpoint=prefix + record.endpoint) for record in found]
    except FolderError as error:
        _fail(str(error))
    told = sections(records)
    if not any(section.comparisons for section in told):
        _fail("there is but one column, and nothing to compare it with")
    print_sections(told, _console())
    for section in told:
        for comparison in section.comparisons:
            print_changes(comparison, show, _console())


@evaluation.command()
def suites() -> None:
    """List the suites that have names."""
    try:
        from evals.suites.catalog import SUITES
    except ModuleNotFoundError as error:
        _fail_without(error)
    for name, reader in SUITES.items():
        typer.echo(f"{name:12} {(reader.__doc__ or '').splitlines()[0]}")


def _console() -> Any:
    from rich.console import Console

    console = Console()
    # tables cut to 80 columns would hide figures where the output goes to a file
    return console if console.is_terminal else Console(width=240)


def _tell_errors(records: "list[Record]") -> None:
    failed = [record for record in records if record.error]
    if failed:
        first = failed[0]
        _warn(f"{len(failed)} cases got no answer and count as failed; {first.column}, {first.case}: {first.error}")


def _fail_without(error: ModuleNotFoundError) -> NoReturn:
    _fail(f"this command needs {error.name}; install it with: pip install -c constraints.txt -e '.[eval]'")


def _warn(message: str) -> None:
    typer.echo(f"trammel: {message}", err=True)


def _fail(message: str) -> NoReturn:
    _warn(message)
    raise typer.Exit(2)
