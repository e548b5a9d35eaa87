"""What a worker writes into the store while it works on a job: events, metrics, checkpoints, the end."""

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from server.store.fine_tuned import FineTunedModel
from server.store.home import Home
from server.store.jobs import Progress, Status
from server.store.leases import Lease
from training.jobs.messages import Evaluated, Prepared, Stepped, Told
from training.jobs.names import model_name

Json = dict[str, Any]


class Reporter:
    """Of one attempt at a job. Everything raises LeaseLostError once the job is another worker's."""

    def __init__(self, lease: Lease, home: Home) -> None:
        self.progress: Progress = lease.job.progress
        self._lease = lease
        self._home = home
        self._metrics: dict[str, float] = {}
        """The latest of each, as checkpoints have them."""
        self._began: tuple[int, float] | None = None
        """The first step of this attempt and when it was done."""

    def enter(self, status: Status, message: str, **changes: Any) -> None:
        """Another status. Raises: NotWantedError."""
        self.progress = replace(self.progress, **changes)
        self._lease.enter(status, self.progress, message)

    def take(self, message: Told | Prepared | Stepped | Evaluated) -> None:
        """Something the training told."""
        match message:
            case Told(text):
                self._lease.tell(text)
            case Prepared(records, cut, tokens, supervised, steps, left_out):
                self.progress = replace(self.progress, steps=steps)
                lost = f", {cut} of them cut" if cut else ""
                self._write(
                    f"Training on {records} examples{lost}: {tokens} tokens an epoch, {supervised} of them learnt, "
                    f"in {steps} steps"
                )
                if left_out:
                    self._lease.tell(left_out, "warn")
            case Stepped():
                self._step(message)
            case Evaluated(step, metrics):
                named = {f"valid_{name}": value for name, value in metrics.items()}
                if (loss := loss_of(metrics)) is not None:
                    named["valid_loss"] = self._metrics["full_valid_loss"] = loss
                told = ", ".join(f"{name}={value:.4f}" for name, value in metrics.items())
                self._measure(f"Step {step}: validation {told}", {"step": step, **named})

    def save(self, step: int, file: Path) -> None:
        """A checkpoint whose adapter lies in the home folder."""
        name = model_name(self._lease.job, step)
        model = self._model(name, file)
        metrics = {"step": step, **self._metrics}
        for old in self._lease.save(step, model, metrics, f"Checkpoint created at step {step}"):
            (self._home.folder / old.file).unlink(missing_ok=True)

    def succeed(self, file: Path, tokens: int, result_files: list[str]) -> None:
        """The adapter is in its place. Raises: NotWantedError."""
        name = model_name(self._lease.job)
        self.progress = replace(
            self.progress,
            fine_tuned_model=name,
            trained_tokens=tokens,
            finished=time.time(),
            result_files=result_files,
        )
        self._lease.succeed(self.progress, self._model(name, file))

    def fail(self, code: str, message: str, param: str | None = None) -> None:
        """The end without a model. Raises: NotWantedError."""
        error = {"code": code, "message": message, "param": param}
        self.progress = replace(self.progress, error=error, finished=time.time())
        self._lease.enter("failed", self.progress, message, "error")

    def _step(self, event: Stepped) -> None:
        now = time.time()
        first, at = self._began = self._began or (event.step, now)
        done, left = event.step - first, event.steps - event.step
        finish = now + left * (now - at) / done if done else None
        self.progress = replace(self.progress, step=event.step, steps=event.steps, estimated_finish=finish)
        self._metrics |= {"train_loss": event.loss}
        if event.accuracy is not None:
            of_pairs = self._lease.job.request.method == "dpo"
            self._metrics["train_pair_accuracy" if of_pairs else "train_mean_token_accuracy"] = event.accuracy
        data = {"step": event.step, "total_steps": event.steps, "learning_rate": event.learning_rate}
        trained = {name: value for name, value in self._metrics.items() if name.startswith("train_")}
        self._measure(f"Step {event.step}/{event.steps}: training loss={event.loss:.4f}", data | trained)

    def _measure(self, message: str, data: Json) -> None:
        body = {"level": "info", "type": "metrics", "message": message, "data": data}
        self._lease.write(body, self.progress)

    def _write(self, message: str) -> None:
        self._lease.write({"level": "info", "type": "message", "message": message}, self.progress)

    def _model(self, name: str, file: Path) -> FineTunedModel:
        job = self._lease.job
        place = str(file.relative_to(self._home.folder)) if file.is_relative_to(self._home.folder) else str(file)
        return FineTunedModel(name, job.owner, time.time(), job.request.model, job.id, place)


def loss_of(metrics: Mapping[str, float]) -> float | None:
    """That of an evaluation: on lines about tools, or where there are none, on talk."""
    return metrics.get("loss", metrics.get("chat_loss"))
