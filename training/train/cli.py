"""The command `trammel train`. Imports nothing heavy: the server's own commands load this module too."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event as Flag
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Literal, NoReturn

import typer
from pydantic import ValidationError

from training.train.recipe import AdapterSettings, TrainingRecipe

if TYPE_CHECKING:
    from training.train.events import Outcome

_LONGEST_WAIT = 600
"""Seconds for the examples of another process."""


def train(
    data_path: Annotated[
        Path | None, typer.Option(help="Fine-tuning lines; by default made up for --tools, in the output folder.")
    ] = None,
    output_dir: Annotated[Path, typer.Option(help="Folder of the run; one that broke off is gone on with.")] = Path(
        "runs/train"
    ),
    model_name: Annotated[
        Path | None, typer.Option(help="A GGUF file or a folder in Hugging Face's form; by default trammel-tiny.")
    ] = None,
    validation_path: Annotated[
        Path | None, typer.Option(help="Lines to measure on: losses, and the calls the model makes.")
    ] = None,
    tools: Annotated[
        str | None, typer.Option(help="Tools to make examples up for, as in `trammel data generate`.")
    ] = None,
    num_examples: Annotated[int, typer.Option(min=1, help="Examples to make up.")] = 500,
    generate_only: Annotated[bool, typer.Option("--generate-only", help="Make up the examples and end.")] = False,
    method: Annotated[
        Literal["supervised", "dpo"], typer.Option(help="dpo: prefer right calls to wrong ones made of them.")
    ] = "supervised",
    num_train_epochs: Annotated[float, typer.Option(help="Times that all rows are seen.")] = 3,
    max_steps: Annotated[int | None, typer.Option(help="Optimizer steps at most.")] = None,
    per_device_train_batch_size: Annotated[int, typer.Option(help="Rows at once.")] = 4,
    gradient_accumulation_steps: Annotated[int, typer.Option(help="Batches a step.")] = 4,
    learning_rate: Annotated[
        float | None,
        typer.Option(help="Peak. By default what suits the model's width: docs/training.md.", show_default=False),
    ] = None,
    seed: Annotated[int, typer.Option(help="Decides first weights and order.")] = 42,
    rank: Annotated[int, typer.Option(help="Of the adapter.")] = 16,
    alpha: Annotated[float, typer.Option(help="The adapter is scaled by alpha / rank.")] = 32,
    dropout: Annotated[float, typer.Option(help="Before the adapter.")] = 0.0,
    rslora: Annotated[bool, typer.Option("--rslora", help="Scale by alpha / √rank.")] = False,
    target_modules: Annotated[
        str | None, typer.Option(help="Such as q_proj,v_proj; by default every linear layer but the head.")
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Train all weights instead of an adapter.")] = False,
    qlora: Annotated[bool, typer.Option("--qlora", help="The base in 4 bits: bitsandbytes and a GPU.")] = False,
    max_length: Annotated[int, typer.Option(help="Tokens of a row; longer ones are cut after an answer.")] = 2048,
    packing: Annotated[
        bool, typer.Option("--packing", help="Several conversations a row; each sees itself alone.")
    ] = False,
    checkpoint_every: Annotated[int, typer.Option(help="Steps.")] = 50,
    evaluate_every: Annotated[int | None, typer.Option(help="Steps; by default an epoch.", show_default=False)] = None,
    patience: Annotated[int | None, typer.Option(help="End after so many evaluations without a better one.")] = None,
    forgetting_budget: Annotated[
        float, typer.Option(help="Rise of the loss on chat, in nats a token, that the best evaluation may have.")
    ] = 0.1,
    allow_invalid: Annotated[bool, typer.Option("--allow-invalid", help="Train on invalid data all the same.")] = False,
    threads: Annotated[int | None, typer.Option(help="CPU threads.")] = None,
) -> None:
    """Train a LoRA adapter on conversations with tools, prove it and write it as GGUF."""
    from training.data.validation import InvalidDataError

    try:
        data = data_path or output_dir / "train.jsonl"
        if tools is not None:
            _generate(tools, data, num_examples, seed)
        elif data_path is None and not data.exists():
            _fail("give --data-path, or --tools to make examples up for")
        if generate_only and tools is None:
            _fail("--generate-only makes examples up for --tools; which?")
        if generate_only:
            return
        adapter = AdapterSettings(
            rank=rank, alpha=alpha, dropout=dropout, is_rank_stabilized=rslora,
            targets=tuple(name.strip() for name in target_modules.split(",")) if target_modules else (),
        )  # fmt: skip
        recipe = TrainingRecipe(
            model=model_name or _default_model(), train_path=data, output=output_dir, validation_path=validation_path,
            method=method, adapter=None if full else adapter, epochs=num_train_epochs, max_steps=max_steps,
            batch_size=per_device_train_batch_size, accumulation=gradient_accumulation_steps,
            learning_rate=learning_rate, longest=max_length, packs=packing, is_quantized=qlora,
            seed=seed, threads=threads,
            checkpoint_every=checkpoint_every, evaluate_every=evaluate_every, patience=patience,
            forgetting_budget=forgetting_budget, allow_invalid=allow_invalid,
        )  # fmt: skip
        outcome = _run(recipe)
    except ValidationError as error:
        _fail("; ".join(f"{e['loc'][-1] if e['loc'] else 'recipe'}: {e['msg']}" for e in error.errors()))
    except ModuleNotFoundError as error:
        _fail(f"this command needs {error.name}; install it with: pip install -c constraints.txt -e '.[train]'")
    except InvalidDataError as error:
        _fail(f"{error}\n`trammel data validate` shows all; --allow-invalid trains on the rest all the same")
    except (ValueError, OSError) as error:
        _fail(str(error))
    raise typer.Exit(0 if outcome.is_finished else 130)


def _run(recipe: TrainingRecipe) -> "Outcome":
    import warnings

    from transformers.utils import logging

    from training.train.run import run
    from training.train.screen import Screen

    logging.disable_progress_bar()
    warnings.simplefilter("ignore", FutureWarning)  # what transformers 6 will call its settings
    with Screen() as screen, _interruptible() as interrupted:
        outcome = run(recipe, screen, interrupted.is_set)
        screen.end(outcome, recipe, None if recipe.model == _default_model() else recipe.model)
    return outcome


@contextmanager
def _interruptible() -> Iterator[Flag]:
    """The first Ctrl-C or SIGTERM ends the run after its step, with a checkpoint; the second at once."""
    flag = Flag()

    def note(number: int, _: FrameType | None) -> None:
        if flag.is_set():
            signal.default_int_handler(number, None)
        flag.set()

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield flag
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _generate(tools: str, output: Path, count: int, seed: int) -> None:
    from training.generate.generator import GenerateSettings, write_generated
    from training.generate.plan import DEFAULT_SHARES
    from training.tools import load_tools
    from training.tools.examples import EXAMPLE_TOOLS

    chosen = load_tools(tools)
    names = {tool.name for tool in chosen}
    others = [tool for tool in EXAMPLE_TOOLS if tool.name not in names]
    if int(os.environ.get("RANK", "0")) > 0:
        _wait_for_lines(output, count)
        return
    output.parent.mkdir(parents=True, exist_ok=True)
    settings = GenerateSettings(chosen, count, seed, DEFAULT_SHARES, others, 2, 0.2)
    for stats in write_generated(settings, output):  # noqa: B007 - the last one counts
        pass
    typer.echo(f"{output}: {stats.count} examples", err=True)


def _wait_for_lines(path: Path, count: int) -> None:
    """Of several processes that train one model the first makes the examples."""
    until = time.monotonic() + _LONGEST_WAIT
    while not path.exists() or path.read_bytes().count(b"\n") < count:
        if time.monotonic() > until:
            _fail(f"{path} has not got its {count} examples after {_LONGEST_WAIT} s: has the first process failed?")
        time.sleep(0.2)


def _default_model() -> Path:
    from server.settings import DEFAULT_MODEL

    return DEFAULT_MODEL


def _fail(message: str) -> NoReturn:
    typer.echo(f"trammel: {message}", err=True)
    raise typer.Exit(2)
