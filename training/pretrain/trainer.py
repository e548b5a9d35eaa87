"""The training loop: resumable at any step, logged line by line, with a bar that says how long it will take.

A checkpoint is everything the next step depends on: weights, optimizer, step number. The data's order follows from
the seed and dropout there is none, so a run that was killed and resumed has the same loss curve as an unbroken one.
"""

import json
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from transformers import LlamaForCausalLM

from training.pretrain.dataset import Batch, TokenSet, batches, make_batch
from training.pretrain.model import build_model, weighted_loss
from training.pretrain.settings import CHECKPOINT, LossWeights, PretrainSettings
from training.pretrain.transplant import continue_model
from training.tokenizer import load_tokenizer

_LOG = "log.jsonl"
_ANSWERS_ALIKE = LossWeights(words=0.0, talk=1.0, choice=1.0, call=1.0)
_SETTINGS_THAT_MAY_CHANGE = {"output", "threads", "checkpoint_every", "evaluate_every", "steps", "cooldown"}
"""Until the cooldown begins, a run with more or fewer steps is the same run."""


class CheckpointMismatchError(ValueError):
    """The output folder holds a run with other settings."""


class Trainer:
    """One pre-training run in one folder."""

    def __init__(self, settings: PretrainSettings, *, end: int, pad: int) -> None:
        """Builds the model, or picks up where the folder's checkpoint stands.

        Raises: CheckpointMismatchError.
        """
        torch.set_num_threads(settings.threads)
        self.settings = settings
        self.step = 0
        self._pad = pad
        self.model: LlamaForCausalLM = build_model(settings.model, end=end, pad=pad, seed=settings.seed)
        if settings.start_from is not None:
            self.model = continue_model(settings.start_from, load_tokenizer(settings.output / "tokenizer.json"))
            self.model.config.max_position_embeddings = settings.model.context
        self._optimizers = _optimizers(self.model, settings.weight_decay)
        self._resume()

    def run(self, train: TokenSet, held_out: TokenSet) -> None:
        """Train up to `settings.steps`, then write the model as a Hugging Face checkpoint."""
        settings = self.settings
        source = batches(train, settings.batch_tokens, settings.loss, self._pad, settings.seed)
        with _progress() as bar:
            task = bar.add_task("pretrain", total=settings.steps, completed=self.step, loss="")
            for batch in islice(source, self.step, settings.steps):
                started = time.perf_counter()
                loss = self._train_step(batch)
                self.step += 1
                record = {"step": self.step, "loss": round(loss, 5), "seconds": time.perf_counter() - started}
                if self.step % settings.evaluate_every == 0 or self.step == settings.steps:
                    record["held_out_loss"] = round(self.evaluate(held_out), 5)
                self._log(record | {"tokens": int((batch.weights > 0).sum())})
                if self.step % settings.checkpoint_every == 0 or self.step == settings.steps:
                    self.save_checkpoint()
                bar.update(task, completed=self.step, loss=f"loss {loss:.3f}")
        self.model.save_pretrained(settings.output / "model")

    def evaluate(self, held_out: TokenSet) -> float:
        """Mean loss (nats a token) on the assistant's tokens."""
        total = weight = 0.0
        with torch.no_grad():
            for rows in _groups(len(held_out), 4):
                batch = make_batch(held_out, rows, _ANSWERS_ALIKE, self._pad)
                count = float(batch.weights[:, 1:].sum())
                total += float(self._loss(batch)) * count
                weight += count
        return total / weight

    def save_checkpoint(self) -> None:
        """Written beside the old one and then put in its place: a kill never leaves half a checkpoint."""
        state = {
            "settings": self.settings.model_dump(mode="json"),
            "step": self.step,
            "model": self.model.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self._optimizers],
        }
        path = self.settings.output / CHECKPOINT
        temporary = path.with_suffix(".new")
        torch.save(state, temporary)
        temporary.replace(path)

    def _train_step(self, batch: Batch) -> float:
        for group in (group for optimizer in self._optimizers for group in optimizer.param_groups):
            group["lr"] = self.settings.learning_rate * learning_rate_factor(self.step, self.settings)
        loss = self._loss(batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimizer in self._optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return float(loss.detach())

    def _loss(self, batch: Batch) -> torch.Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return weighted_loss(self.model, torch.from_numpy(batch.ids), torch.from_numpy(batch.weights))

    def _resume(self) -> None:
        path = self.settings.output / CHECKPOINT
        if not path.exists():
            return
        state = torch.load(path, weights_only=True)
        # a setting that is younger than the checkpoint had its default
        theirs = PretrainSettings(output=self.settings.output).model_dump(mode="json") | state["settings"]
        ours = self.settings.model_dump(mode="json")
        different = {key for key in ours if ours[key] != theirs[key]} - _SETTINGS_THAT_MAY_CHANGE
        if different:
            raise CheckpointMismatchError(
                f"{path} belongs to a run with other settings ({', '.join(sorted(different))}). "
                "Give the same settings to resume it, or another --output."
            )
        self.step = state["step"]
        self.model.load_state_dict(state["model"])
        for optimizer, values in zip(self._optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(values)
        self._trim_log()

    def _trim_log(self) -> None:
        """Steps after the checkpoint will be done again."""
        path = self.settings.output / _LOG
        if path.exists():
            lines = [line for line in path.read_text().splitlines() if json.loads(line)["step"] <= self.step]
            path.write_text("".join(f"{line}\n" for line in lines))

    def _log(self, record: dict[str, Any]) -> None:
        with (self.settings.output / _LOG).open("a") as file:
            file.write(json.dumps(record) + "\n")


def learning_rate_factor(step: int, settings: PretrainSettings) -> float:
    """Linear warm-up, a plateau, and a straight way down to nothing (https://arxiv.org/abs/2405.18392)."""
    rise = min(1.0, (step + 1) / max(1, settings.warmup_steps))
    fall = min(1.0, (settings.steps - step) / max(1.0, settings.cooldown * settings.steps))
    return rise * fall


def read_log(output: Path) -> list[dict[str, Any]]:
    """The run's log, a record a step."""
    return [json.loads(line) for line in (output / _LOG).read_text().splitlines()]


def _optimizers(model: LlamaForCausalLM, weight_decay: float) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside, which learn about twice as much a token by it (https://arxiv.org/abs/2502.16982);
    AdamW for embeddings and norms, of which the norms are not decayed."""
    inside = [p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name]
    embeddings = [p for name, p in model.named_parameters() if p.ndim == 2 and "embed" in name]
    vectors = [p for p in model.parameters() if p.ndim < 2]
    groups = [
        {"params": embeddings, "weight_decay": weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return [
        torch.optim.Muon(inside, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(groups, betas=(0.9, 0.95), fused=True),
    ]


def _groups(count: int, size: int) -> Iterator[list[int]]:
    for start in range(0, count, size):
        yield list(range(start, min(start + size, count)))


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[loss]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
