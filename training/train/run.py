"""A whole fine-tuning run: base, rows, audit, training, proof and GGUF. What is done is not done again.

The folder of a run: recipe.json, contents.json (what its files held), audit.json, log.jsonl, tensorboard/,
checkpoints/, and in the end adapter/ (PEFT's files and the GGUF), loss.png, metrics.png and outcome.json.
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.data.preferences import has_preferences
from training.train.events import Audited, Event, Exported, Outcome, Said
from training.train.recipe import TrainingRecipe

if TYPE_CHECKING:
    from training.train.dataset import RowSet
    from training.train.evaluation import Evaluator
    from training.train.pairs import Pair
    from training.train.rows import Renderer

Tell = Callable[[Event], None]
_OUTCOME = "outcome.json"


class RecipeMismatchError(ValueError):
    """The output folder holds another run."""


class NothingToMeasureError(ValueError):
    """The validation file has no answer that can be looked at."""


@dataclass(frozen=True, slots=True)
class _Prepared:
    """All that training needs."""

    base: Path
    renderer: "Renderer"
    rows: "RowSet"
    pairs: "tuple[Pair, ...]"
    """For DPO."""
    evaluator: "Evaluator | None"


def run(
    recipe: TrainingRecipe,
    on_event: Tell = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
    *,
    cache: Path | None = None,
) -> Outcome:
    """Train, and leave the adapter in `recipe.output/adapter`, as PEFT has it and as GGUF.

    Goes on from the folder's last checkpoint, and of a finished run only gives the outcome. `should_stop` is asked
    after each step; when it says so a checkpoint is written and the outcome is not finished. `cache`: where
    checkpoints made of GGUF files are kept, by default ~/.cache/trammel/bases.

    Raises: InvalidDataError, NothingToLearnError, NothingToMeasureError, RecipeMismatchError, RecipeError,
    DivergedError, ExportError, OSError.
    """
    from training.train.processes import is_first, wait_for_all

    recipe.output.mkdir(parents=True, exist_ok=True)
    _claim(recipe)
    if (recipe.output / _OUTCOME).exists():
        return read_outcome(recipe.output)
    _limit_threads(recipe)
    tell: Tell = on_event if is_first() else lambda _: None
    prepared = prepare(recipe, tell, cache)
    outcome = _train(recipe, prepared, tell, should_stop)
    if outcome.is_finished and is_first():
        outcome = _export(recipe, prepared.base, outcome, tell)
        _write_outcome(recipe.output, outcome)
    wait_for_all()
    return read_outcome(recipe.output) if outcome.is_finished else outcome


def base_digest(recipe: TrainingRecipe) -> str:
    """SHA-256 of the GGUF file that is trained on; empty for a folder. Raises: OSError."""
    if not recipe.model.is_file():
        return ""
    return str(json.loads((recipe.output / "contents.json").read_text())["model"])


def read_outcome(output: Path) -> Outcome:
    """Of a finished run. Raises: FileNotFoundError."""
    value = json.loads((output / _OUTCOME).read_text())
    paths = {name: output / value[name] if value[name] else None for name in ("adapter", "gguf")}
    return Outcome(**{**value, **paths})


def prepare(recipe: TrainingRecipe, on_event: Tell = lambda _: None, cache: Path | None = None) -> _Prepared:
    """Everything up to the first step: base, rows, and the audit of what would be learnt. Raises: as `run`."""
    from transformers import AutoTokenizer

    from training.base.gguf_checkpoint import checkpoint_of
    from training.train.model import planned_steps
    from training.train.processes import is_first
    from training.train.rows import Renderer

    base = checkpoint_of(recipe.model, cache)
    tokenizer = AutoTokenizer.from_pretrained(base)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    renderer = Renderer(tokenizer)
    rows, pairs = _training_rows(recipe, renderer)
    if is_first():
        recipe.output.mkdir(parents=True, exist_ok=True)
        (recipe.output / "audit.json").write_text(json.dumps(rows.audit.as_json(), indent=1))
    rows.audit.check()
    evaluator = _evaluator(recipe, renderer)
    if evaluator is None and (recipe.patience is not None or recipe.evaluate_every is not None):
        on_event(
            Said("nothing is evaluated, since there is no validation file: patience and evaluate_every do nothing")
        )
    if evaluator is not None and not evaluator.measures_chat:
        on_event(Said("the validation file has no general chat: what is forgotten is not measured, nor bounded"))
    steps = planned_steps(rows.rows, recipe)
    on_event(Audited(rows.audit.records, len(rows.rows), steps, rows.audit, renderer.parts(rows.rows[0])))
    return _Prepared(base, renderer, rows, pairs, evaluator)


def _training_rows(recipe: TrainingRecipe, renderer: "Renderer") -> tuple["RowSet", tuple["Pair", ...]]:
    from training.train.dataset import read_rows
    from training.train.pairs import read_pairs

    path, longest, allow_invalid = recipe.train_path, recipe.longest, recipe.allow_invalid
    if recipe.method == "dpo":
        return read_pairs(path, renderer, longest, recipe.seed, allow_invalid=allow_invalid)
    return read_rows(path, renderer, longest, allow_invalid=allow_invalid), ()


def _evaluator(recipe: TrainingRecipe, renderer: "Renderer") -> "Evaluator | None":
    """Preference lines are measured by what is preferred."""
    from training.train.dataset import read_rows
    from training.train.evaluation import Evaluator
    from training.train.pairs import read_pairs

    path = recipe.validation_path
    if path is None:
        return None
    if recipe.method == "dpo" and has_preferences(path):
        rows, _ = read_pairs(path, renderer, recipe.longest, recipe.seed)
    else:
        rows = read_rows(path, renderer, recipe.longest, allow_invalid=recipe.allow_invalid)
    if not rows.rows:
        raise NothingToMeasureError(
            f"{path}: nothing in it can be measured: its answers are all further in than {recipe.longest} tokens, or "
            "the template refuses its lines"
        )
    return Evaluator(rows, renderer, recipe)


def _claim(recipe: TrainingRecipe) -> None:
    """The folder is this run's: the same recipe, and the same contents of what it names."""
    from training.train.processes import is_first

    path, contents_path = recipe.output / "recipe.json", recipe.output / "contents.json"
    contents = recipe.contents()
    if path.exists():
        different = recipe.differences(TrainingRecipe.model_validate_json(path.read_text()))
        if not different:  # a run that does not say what its files held may have seen others
            earlier = json.loads(contents_path.read_text()) if contents_path.exists() else {}
            different = sorted(name for name in contents if earlier.get(name) != contents[name])
        if different:
            raise RecipeMismatchError(
                f"{recipe.output} holds a run with another {', '.join(different)}. Give the same to go on with it, "
                "or another folder."
            )
    if is_first():
        path.write_text(recipe.model_dump_json(indent=1))
        contents_path.write_text(json.dumps(contents, indent=1))


def _limit_threads(recipe: TrainingRecipe) -> None:
    import torch

    if recipe.threads is not None:
        torch.set_num_threads(recipe.threads)


def _train(recipe: TrainingRecipe, prepared: _Prepared, tell: Tell, should_stop: Callable[[], bool]) -> Outcome:
    from training.train.checkpoints import last_checkpoint, remove_broken, step_of
    from training.train.model import load_model, preference_trainer, supervised_trainer
    from training.train.plots import draw_run
    from training.train.processes import is_first
    from training.train.watcher import Watcher

    if is_first():
        remove_broken(recipe.output / "checkpoints")
    checkpoint = last_checkpoint(recipe.output / "checkpoints")
    if checkpoint is not None:
        tell(Said(f"going on from {checkpoint.name}"))
    watcher = Watcher(recipe, step_of(checkpoint) if checkpoint else 0, prepared.evaluator, tell, should_stop)
    model, tokenizer = load_model(prepared.base, recipe), prepared.renderer.tokenizer
    if recipe.method == "dpo":
        trainer = preference_trainer(model, tokenizer, prepared.pairs, recipe, watcher)
    else:
        trainer = supervised_trainer(model, tokenizer, prepared.rows.rows, recipe, watcher)
    watcher.precise = trainer.compute_loss_context_manager
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    step, epoch = trainer.state.global_step, trainer.state.epoch or 0
    if is_first():
        draw_run(recipe.output)
    if watcher.was_stopped:
        return Outcome(False, step)
    folder, best = recipe.output / "adapter", watcher.standing
    if best.best_step is None:
        trainer.save_model(str(folder))
    elif is_first():
        if not best.keeps_budget:
            tell(Said(f"no evaluation kept within the forgetting budget: that of step {best.best_step} forgot least"))
        shutil.copytree(watcher.best_folder, folder, dirs_exist_ok=True)
        tokenizer.save_pretrained(folder)
    trained_tokens = round(prepared.rows.audit.tokens.total() * epoch)
    return Outcome(True, step, trained_tokens, folder, None, best.best_step, best.metrics)


def _export(recipe: TrainingRecipe, base: Path, outcome: Outcome, tell: Tell) -> Outcome:
    """The outcome with the GGUF file. Raises: ExportError."""
    from training.export.adapter import export_adapter
    from training.export.card import ModelCard
    from training.export.model import export_model

    folder = recipe.output / "adapter"
    path = folder / f"{recipe.adapter_name}.gguf"
    if recipe.adapter is None:
        worst = export_model(folder, path, ModelCard(recipe.adapter_name), "q8_0", lambda text: tell(Said(text)))
    else:
        worst = export_adapter(
            folder, path, base, recipe.adapter_name, lambda text: tell(Said(text)), trained_on=base_digest(recipe)
        )
    tell(Exported(path, worst))
    return replace(outcome, gguf=path)


def _write_outcome(output: Path, outcome: Outcome) -> None:
    value: dict[str, Any] = asdict(outcome)
    for name in ("adapter", "gguf"):
        value[name] = str(value[name].relative_to(output)) if value[name] else None
    written = output / f"{_OUTCOME}.new"
    written.write_text(json.dumps(value, indent=1))
    written.replace(output / _OUTCOME)
