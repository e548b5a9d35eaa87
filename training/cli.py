"""The commands of the offline job. They join `trammel` through the entry point group `trammel.commands`.

Imports nothing heavy: the server's own commands load this module too.
"""

from pathlib import Path
from typing import Annotated, NoReturn

import typer
from pydantic import ValidationError

from training.corpus.archives import DataMissingError
from training.data.cli import app as data_app
from training.export.card import ExportError, ModelCard, Precision
from training.jobs.cli import worker
from training.pretrain.settings import ModelSettings, PretrainSettings, with_changes
from training.train.cli import train

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.add_typer(data_app, name="data")
app.command()(train)
app.command()(worker)


@app.command()
def gold(
    output: Annotated[Path, typer.Argument(help="The JSONL file to write.")],
    data: Annotated[Path | None, typer.Option(help="Folder of the corpora; by default $TRAMMEL_DATA.")] = None,
    split: Annotated[str, typer.Option(help="train, dev or test.")] = "test",
    limit: Annotated[int, typer.Option(help="Conversations, drawn at random.")] = 100,
) -> None:
    """Write gold conversations of the Schema-Guided Dialogue corpus for `trammel eval`."""
    from training.corpus.gold import write_gold

    try:
        typer.echo(f"{write_gold(output, data, split, limit)} conversations in {output}")
    except OSError as error:
        _fail(str(error))


@app.command()
def pretrain(
    output: Annotated[Path, typer.Option(help="Folder of the run; one that exists is resumed.")],
    data: Annotated[Path | None, typer.Option(help="Folder of the corpora; by default $TRAMMEL_DATA.")] = None,
    steps: Annotated[int, typer.Option(help="Optimizer steps in all.")] = 2400,
    seed: Annotated[int, typer.Option(help="Decides weights and data order.")] = 0,
    hidden: Annotated[int, typer.Option(help="Width of the model.")] = 256,
    layers: Annotated[int, typer.Option(help="Depth of the model.")] = 8,
    synthetic: Annotated[int, typer.Option(help="Made-up conversations about copying in the mix.")] = 40_000,
    learning_rate: Annotated[float, typer.Option(help="Peak of the schedule.")] = 2e-3,
    start_from: Annotated[
        Path | None, typer.Option(help="An earlier run, or a GGUF file, to continue with on new data.")
    ] = None,
    threads: Annotated[int, typer.Option(help="CPU threads.")] = 2,
    changes: Annotated[
        list[str] | None, typer.Option("--set", help="Any setting of training/pretrain/settings.py, as NAME=VALUE.")
    ] = None,
) -> None:
    """Train a small model from scratch, or go on with one."""
    try:
        from training.pretrain.run import pretrain as run
        from training.pretrain.trainer import CheckpointMismatchError
    except ModuleNotFoundError as error:
        _fail_without(error)
    try:
        model = ModelSettings(hidden=hidden, layers=layers)
        settings = PretrainSettings(
            output=output, model=model, steps=steps, seed=seed, synthetic=synthetic,
            learning_rate=learning_rate, start_from=start_from, threads=threads,
        )  # fmt: skip
        run(with_changes(settings, changes or ()), data, typer.echo)
    except ValidationError as error:
        _fail("; ".join(f"{e['loc'][0] if e['loc'] else 'model'}: {e['msg']}" for e in error.errors()))
    except (DataMissingError, CheckpointMismatchError, ExportError, OSError, ValueError) as error:
        _fail(str(error))


@app.command()
def average(
    models: Annotated[
        list[str],
        typer.Argument(help="Folders of pre-training runs, or GGUF files; PATH=SHARE where not all count alike."),
    ],
    output: Annotated[Path, typer.Option(help="Folder of the new run.")],
) -> None:
    """Put the mean of several models' weights into a run of its own, to be exported or gone on from."""
    try:
        from training.pretrain.average import average as write_mean
    except ModuleNotFoundError as error:
        _fail_without(error)
    try:
        write_mean(dict(_share(text) for text in models), output)
    except (ExportError, OSError, ValueError) as error:
        _fail(str(error))
    typer.echo(f"{output}: the mean of {len(models)} models")


def _share(text: str) -> tuple[Path, float]:
    """Raises: ValueError."""
    path, _, share = text.rpartition("=")
    try:
        return (Path(path), float(share)) if path else (Path(text), 1.0)
    except ValueError:
        raise ValueError(f"{text}: {share!r} is no share; give PATH or PATH=0.6") from None


@app.command()
def export(
    context: typer.Context,
    run: Annotated[
        Path,
        typer.Argument(help="Folder of a PEFT adapter, a model, a BERT embedding model, or a pre-training run."),
    ],
    output: Annotated[Path, typer.Argument(help="The GGUF file to write.")],
    name: Annotated[str | None, typer.Option(help="general.name in the file; by default the folder's.")] = None,
    license_: Annotated[str, typer.Option("--license", help="general.license in the file.")] = "",
    precision: Annotated[Precision, typer.Option(help="Type of the weights.")] = "q8_0",
    temperature: Annotated[float | None, typer.Option(help="Sampling temperature the file recommends.")] = None,
    base: Annotated[
        Path | None, typer.Option(help="For a PEFT adapter: its base's checkpoint, by default the one it names.")
    ] = None,
    merge: Annotated[bool, typer.Option("--merge", help="Write an adapter's base with the adapter in it.")] = False,
) -> None:
    """Write a model or a LoRA adapter as GGUF, after proving that llama.cpp computes the same from it."""
    from training.export.kinds import export_any

    if (run / "adapter_config.json").is_file() and not merge:
        for flag in ("precision", "license_", "temperature"):
            source = context.get_parameter_source(flag)
            if source is not None and source.name == "COMMANDLINE":
                _fail(f"--{flag.rstrip('_')} is for whole models; an adapter is written in F32 (--merge makes a model)")
    card = ModelCard(name or run.resolve().name, license=license_, temperature=temperature)
    try:
        export_any(run, output, card, precision, base, typer.echo, merges=merge)
    except ModuleNotFoundError as error:
        _fail_without(error)
    except (ExportError, OSError) as error:
        _fail(str(error))


def _fail_without(error: ModuleNotFoundError) -> NoReturn:
    _fail(f"this command needs {error.name}; install it with: pip install -c constraints.txt -e '.[train]'")


def _fail(message: str) -> NoReturn:
    typer.echo(f"trammel: {message}", err=True)
    raise typer.Exit(2)
