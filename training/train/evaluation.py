"""Looks at the validation file while training goes on, and says when it was best and when to stop.

The best evaluation is the one with the most right answers among those whose loss on general chat rose no further than
the forgetting budget allows; where none keeps within it, the one that forgot least. All that is needed to go on with
after a restart stands in the log.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch.nn import functional

from training.train.answers import choose_questions, measure_answers
from training.train.dataset import RowSet
from training.train.recipe import TrainingRecipe
from training.train.rows import Renderer, Row

_MOST_ROWS = 200
"""Of each kind, to keep an evaluation short."""
Metrics = dict[str, float]


class Precise(Protocol):
    """The trainer's choice of how exactly to compute."""

    def __call__(self) -> AbstractContextManager[Any]: ...


class Evaluator:
    """Of one validation file."""

    def __init__(self, rows: RowSet, renderer: Renderer, recipe: TrainingRecipe) -> None:
        self._renderer = renderer
        self._groups = {
            "loss": _spread([row for row in rows.rows if row.category != "chat"]),
            "chat_loss": _spread([row for row in rows.rows if row.category == "chat"]),
        }
        self.measures_chat = bool(self._groups["chat_loss"])
        """Otherwise nobody knows what is forgotten."""
        self._questions = choose_questions(rows.records, renderer, recipe.evaluation_answers, recipe.longest)

    def measure(self, model: Any, precise: Precise) -> Metrics:
        """`loss` of all but chat and `chat_loss` (nats a token), and the shares of `measure_answers`."""
        was_training = model.training
        model.eval()
        try:
            with torch.no_grad(), precise():
                losses = {name: self._loss(model, rows) for name, rows in self._groups.items() if rows}
                shares = measure_answers(model, self._questions, self._renderer) if self._questions else {}
        finally:
            model.train(was_training)
        return {**losses, **shares}

    def _loss(self, model: Any, rows: Sequence[Row]) -> float:
        """Row by row, and logits of what is learnt only: all of a large vocabulary's would fill the memory."""
        total, tokens = 0.0, 0
        for row in rows:
            places = [place for start, end in row.answers for place in range(max(start, 1), end)]
            ids = torch.tensor([row.ids], device=model.device)
            before = torch.tensor(places, device=model.device) - 1
            logits = model(input_ids=ids, logits_to_keep=before, use_cache=False).logits[0].float()
            total += float(functional.cross_entropy(logits, ids[0, places], reduction="sum"))
            tokens += len(places)
        return total / tokens


@dataclass(frozen=True, slots=True)
class Standing:
    """What the evaluations so far, in their order, say."""

    best_step: int | None
    metrics: Mapping[str, float]
    """Of the best."""
    without_gain: int
    """Evaluations since the best, or of all where there is none."""
    keeps_budget: bool = True
    """The best is within the forgetting budget."""


def standing(evaluations: Sequence[tuple[int, Mapping[str, float]]], budget: float) -> Standing:
    """`evaluations`: steps and metrics; step 0 is the base, and never the best."""
    base = next((metrics for step, metrics in evaluations if step == 0), {})
    best: tuple[int, Mapping[str, float]] | None = None
    highest: tuple[float, ...] = (True,)
    since = 0
    for step, metrics in evaluations:
        if step == 0:
            continue
        since += 1
        rise = metrics.get("chat_loss", 0.0) - base.get("chat_loss", metrics.get("chat_loss", 0.0))
        merit = (True, *_merit(metrics)) if rise <= budget else (False, -rise)
        if best is None or merit > highest:
            best, highest, since = (step, metrics), merit, 0
    return Standing(best[0] if best else None, best[1] if best else {}, since, bool(highest[0]))


def _merit(metrics: Mapping[str, float]) -> tuple[float, float]:
    return metrics.get("accuracy", 0.0), -metrics.get("loss", metrics.get("chat_loss", 0.0))


def _spread(rows: list[Row]) -> list[Row]:
    """At most so many, evenly."""
    step = max(1.0, len(rows) / _MOST_ROWS)
    return [rows[int(number * step)] for number in range(min(_MOST_ROWS, len(rows)))]
