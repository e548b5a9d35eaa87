"""A whole fine-tuning run: base, rows, audit, training, proof and GGUF. What is done is not done again.

The folder of a run: recipe.json, log.jsonl, audit.json, checkpoints/, and in the end adapter/ and outcome.json.
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.train.events import Audited, Event, Exported, Outcome, Said
from training.train.log import RunLog
from training.train.recipe import TrainingRecipe

if TYPE_CHECKING:
    from training.train.dataset import RowSet

_OUTCOME = "outcome.json"


class RecipeMismatchError(ValueError):
    """The output folder holds another run."""


def run(
    recipe: TrainingRecipe,
    on_event: Callable[[Event], None] = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
    *,
    cache: Path | None = None,
) -> Outcome:
    """Train, and leave the adapter in `recipe.output/adapter`, as PEFT has it and as GGUF.

    Goes on from the folder's last checkpoint, and of a finished run only gives the outcome. `should_stop` is asked
    after each step; when it says so a checkpoint is written and the outcome is not finished. `cache`: where
    checkpoints made of GGUF files are kept, by default ~/.cache/trammel/bases.

    Raises: InvalidDataError, NothingToLearnError, RecipeMismatchError, RecipeError, ExportError, OSError.
    """
    recipe.output.mkdir(parents=True, exist_ok=True)
    _claim(recipe)
    if (recipe.output / _OUTCOME).exists():
        return read_outcome(recipe.output)
    _limit_threads(recipe)
    base, tokenizer, rows = _prepare(recipe, on_event, cache)
    return _train(recipe, base, tokenizer, rows, on_event, should_stop)


def read_outcome(output: Path) -> Outcome:
    """Of a finished run. Raises: FileNotFoundError."""
    value = json.loads((output / _OUTCOME).read_text())
    paths = {name: output / value[name] if value[name] else None for name in ("adapter", "gguf")}
    return Outcome(**{**value, **paths})


def _claim(recipe: TrainingRecipe) -> None:
    path = recipe.output / "recipe.json"
    if path.exists():
        earlier = TrainingRecipe.model_validate_json(path.read_text())
        if different := recipe.differences(earlier):
            raise RecipeMismatchError(
                f"{recipe.output} holds a run with another {', '.join(different)}. Give the same to go on with it, "
                "or another folder."
            )
    path.write_text(recipe.model_dump_json(indent=1))


def _limit_threads(recipe: TrainingRecipe) -> None:
    import torch

    if recipe.threads is not None:
        torch.set_num_threads(recipe.threads)


def _prepare(
    recipe: TrainingRecipe, on_event: Callable[[Event], None], cache: Path | None
) -> tuple[Path, Any, "RowSet"]:
    from transformers import AutoTokenizer

    from training.base.gguf_checkpoint import checkpoint_of
    from training.train.dataset import read_rows
    from training.train.rows import Renderer

    base = checkpoint_of(recipe.model, cache)
    tokenizer = AutoTokenizer.from_pretrained(base)
    rows = read_rows(recipe.train_path, Renderer(tokenizer), recipe.longest, allow_invalid=recipe.allow_invalid)
    (recipe.output / "audit.json").write_text(json.dumps(rows.audit.as_json(), indent=1))
    rows.audit.check()
    on_event(Said(f"{recipe.model.name}: {rows.audit.records} records in {len(rows.rows)} rows"))
    return base, tokenizer, rows


def _train(
    recipe: TrainingRecipe,
    base: Path,
    tokenizer: Any,
    rows: "RowSet",
    on_event: Callable[[Event], None],
    should_stop: Callable[[], bool],
) -> Outcome:
    from training.train.checkpoints import last_checkpoint, step_of
    from training.train.model import load_model, planned_steps, supervised_trainer
    from training.train.watcher import Watcher

    log = RunLog(recipe.output)
    checkpoint = last_checkpoint(recipe.output / "checkpoints")
    start = step_of(checkpoint) if checkpoint else 0
    log.trim(start)
    watcher = Watcher(log, on_event, should_stop)
    trainer = supervised_trainer(load_model(base, recipe), tokenizer, rows.rows, recipe, watcher)
    audit = rows.audit
    on_event(
        Audited(
            audit.records, audit.rows.total(), audit.tokens.total(), audit.supervised.total(), len(audit.cut),
            planned_steps(len(rows.rows), recipe),
        )
    )  # fmt: skip
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    step = trainer.state.global_step
    if watcher.was_stopped:
        return Outcome(False, step)
    trainer.save_model(str(recipe.output / "adapter"))
    gguf, worst = _export(recipe, base, on_event)
    on_event(Exported(gguf, worst))
    outcome = Outcome(True, step, adapter=recipe.output / "adapter", gguf=gguf)
    _write_outcome(recipe.output, outcome)
    return outcome


def _export(recipe: TrainingRecipe, base: Path, on_event: Callable[[Event], None]) -> tuple[Path, float]:
    from training.export.adapter import export_adapter

    folder = recipe.output / "adapter"
    path = folder / f"{recipe.adapter_name}.gguf"
    worst = export_adapter(folder, path, base, recipe.adapter_name, lambda text: on_event(Said(text)))
    return path, worst


def _write_outcome(output: Path, outcome: Outcome) -> None:
    value = asdict(outcome)
    for name in ("adapter", "gguf"):
        value[name] = str(value[name].relative_to(output)) if value[name] else None
    written = output / f"{_OUTCOME}.new"
    written.write_text(json.dumps(value, indent=1))
    written.replace(output / _OUTCOME)
    shutil.rmtree(output / "checkpoints" / "runs", ignore_errors=True)
