"""Stands beside the trainer: tells what happens, writes the log, evaluates, and ends the run when it should end."""

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tensorboardX import SummaryWriter
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from training.train.checkpoints import mark_complete
from training.train.evaluation import Evaluator, Metrics, Precise, Standing, standing
from training.train.events import Evaluated, Event, Said, Saved, Stepped
from training.train.log import RunLog
from training.train.processes import any_says, is_first
from training.train.recipe import TrainingRecipe

_ACCURACIES = ("rewards/accuracies", "mean_token_accuracy")


class DivergedError(ValueError):
    """The weights have become useless."""


class Watcher(TrainerCallback):  # type: ignore[misc]
    """Of one run, from a step on."""

    def __init__(
        self,
        recipe: TrainingRecipe,
        start: int,
        evaluator: Evaluator | None,
        on_event: Callable[[Event], None],
        should_stop: Callable[[], bool],
    ) -> None:
        self.was_stopped = False
        self.precise: Precise | None = None
        """The trainer's autocast, once there is a trainer."""
        self._log = RunLog(recipe.output)
        self._evaluations = [
            (record["step"], record["metrics"])
            for record in self._log.read()
            if "metrics" in record and record["step"] <= start
        ]
        self._is_first = is_first()
        if self._is_first:
            self._log.trim(start)
        self._recipe = recipe
        self._evaluator = evaluator
        self._tell = on_event
        self._should_stop = should_stop
        purged = start + 1 if start else None
        self._board = SummaryWriter(str(recipe.output / "tensorboard"), purge_step=purged, write_to_disk=self._is_first)
        self._began = 0.0

    @property
    def standing(self) -> Standing:
        """Of the evaluations so far."""
        return standing(self._evaluations, self._recipe.forgetting_budget)

    @property
    def best_folder(self) -> Path:
        """Where the best adapter is kept until the end."""
        return self._recipe.output / "best"

    def on_train_begin(self, _: TrainingArguments, state: TrainerState, __: TrainerControl, **kept: Any) -> None:
        if state.global_step == 0:
            self._evaluate(0, kept["model"])

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        self._began = time.perf_counter()

    def on_step_end(self, _: TrainingArguments, state: TrainerState, control: TrainerControl, **__: Any) -> None:
        if any_says(self._should_stop()) and state.global_step < state.max_steps:
            self.was_stopped = control.should_save = control.should_training_stop = True

    def on_log(
        self, _: TrainingArguments, state: TrainerState, control: TrainerControl, logs: dict[str, Any], **kept: Any
    ) -> None:
        if "loss" not in logs:
            return
        self._record_step(state, logs)
        if not math.isfinite(float(logs["loss"])):
            raise DivergedError(
                f"the loss of step {state.global_step} is no finite number: the training has diverged; "
                "a smaller learning rate would help"
            )
        each = self._recipe.evaluate_every or max(1, round(state.max_steps / max(1, state.num_train_epochs)))
        if state.global_step % each == 0 or state.global_step == state.max_steps:
            self._evaluate(state.global_step, kept["model"])
            patience = self._recipe.patience
            if patience is not None and any_says(self.standing.without_gain >= patience):
                self._tell(Said(f"stopped: {patience} evaluations without a better one"))
                control.should_training_stop = True

    def on_save(self, arguments: TrainingArguments, state: TrainerState, *_: Any, **__: Any) -> None:
        path = Path(arguments.output_dir) / f"checkpoint-{state.global_step}"
        if self._is_first:
            mark_complete(path)
        self._tell(Saved(state.global_step, path))

    def on_train_end(self, *_: Any, **__: Any) -> None:
        self._board.close()

    def _record_step(self, state: TrainerState, logs: dict[str, Any]) -> None:
        accuracy = next((float(logs[name]) for name in _ACCURACIES if name in logs), None)
        event = Stepped(
            state.global_step, state.max_steps, float(state.epoch or 0), float(logs["loss"]),
            float(logs["learning_rate"]), time.perf_counter() - self._began, accuracy,
        )  # fmt: skip
        self._write({
            "step": event.step, "epoch": round(event.epoch, 4), "loss": event.loss, "token_accuracy": accuracy,
            "learning_rate": event.learning_rate, "seconds": round(event.seconds, 4),
        })  # fmt: skip
        self._draw({"train/loss": event.loss, "train/learning_rate": event.learning_rate}, event.step)
        self._tell(event)

    def _evaluate(self, step: int, model: Any) -> None:
        if self._evaluator is None or self.precise is None:
            return
        metrics: Metrics = self._evaluator.measure(model, self.precise)
        self._write({"step": step, "metrics": metrics})
        self._evaluations.append((step, metrics))
        is_best = self.standing.best_step == step
        if is_best and self._is_first:
            model.save_pretrained(self.best_folder)
        self._draw({f"validation/{name}": value for name, value in metrics.items()}, step)
        self._tell(Evaluated(step, metrics, is_best))

    def _write(self, record: dict[str, Any]) -> None:
        if self._is_first:
            self._log.write(record)

    def _draw(self, values: dict[str, float], step: int) -> None:
        for name, value in values.items():
            self._board.add_scalar(name, value, step)
