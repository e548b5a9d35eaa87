"""Stands beside the trainer: tells what happens, writes the log, and stops the run when it is asked to."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from training.train.checkpoints import mark_complete
from training.train.events import Event, Saved, Stepped
from training.train.log import RunLog

_ACCURACIES = ("mean_token_accuracy", "rewards/accuracies")


class Watcher(TrainerCallback):  # type: ignore[misc]
    """Of one run."""

    def __init__(self, log: RunLog, on_event: Callable[[Event], None], should_stop: Callable[[], bool]) -> None:
        self.was_stopped = False
        self._log = log
        self._tell = on_event
        self._should_stop = should_stop
        self._began = 0.0

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        self._began = time.perf_counter()

    def on_step_end(self, _: TrainingArguments, state: TrainerState, control: TrainerControl, **__: Any) -> None:
        if state.global_step < state.max_steps and self._should_stop():
            self.was_stopped = control.should_save = control.should_training_stop = True

    def on_log(
        self, _: TrainingArguments, state: TrainerState, __: TrainerControl, logs: dict[str, Any], **___: Any
    ) -> None:
        if "loss" not in logs:
            return
        accuracy = next((float(logs[name]) for name in _ACCURACIES if name in logs), None)
        event = Stepped(
            state.global_step, state.max_steps, float(state.epoch or 0), float(logs["loss"]),
            float(logs["learning_rate"]), time.perf_counter() - self._began, accuracy,
        )  # fmt: skip
        self._log.write({
            "step": event.step, "epoch": round(event.epoch, 4), "loss": event.loss, "token_accuracy": accuracy,
            "learning_rate": event.learning_rate, "seconds": round(event.seconds, 4),
        })  # fmt: skip
        self._tell(event)

    def on_save(self, arguments: TrainingArguments, state: TrainerState, *_: Any, **__: Any) -> None:
        path = Path(arguments.output_dir) / f"checkpoint-{state.global_step}"
        mark_complete(path)
        self._tell(Saved(state.global_step, path))
