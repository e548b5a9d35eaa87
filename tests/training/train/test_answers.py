"""What the model says, judged; and which evaluation is the best."""

import contextlib
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from server.chat.messages import ToolCall
from training.base.gguf_checkpoint import checkpoint_of
from training.train.answers import judge
from training.train.dataset import read_rows
from training.train.evaluation import Evaluator, standing
from training.train.recipe import TrainingRecipe
from training.train.rows import Renderer

from .conftest import calling, talking, write_lines

RIGHT = [ToolCall("go", '{"to":"Rome","by":"bus"}')]


def test_the_same_call_has_all_points_whatever_the_order_of_its_arguments() -> None:
    said = [ToolCall("go", '{"by": "bus", "to": "Rome"}', "other-id")]
    assert all(score == total for score, total in judge(RIGHT, said).values())


def test_a_wrong_value_costs_its_argument_and_the_call() -> None:
    points = judge(RIGHT, [ToolCall("go", '{"to":"Oslo","by":"bus"}')])
    assert points == {"choice": (1, 1), "name": (1, 1), "arguments": (1, 2), "exact": (0, 1), "accuracy": (0, 1)}


def test_arguments_that_are_no_json_have_no_points() -> None:
    assert judge(RIGHT, [ToolCall("go", '{"to":"Ro')])["arguments"] == (0, 2)


def test_talk_where_talk_is_right_is_right_and_a_call_is_wrong() -> None:
    assert judge([], []) == {"choice": (1, 1), "accuracy": (1, 1)}
    assert judge([], RIGHT) == {"choice": (0, 1), "accuracy": (0, 1)}
    assert judge(RIGHT, [])["choice"] == (0, 1)


def test_every_call_of_several_counts() -> None:
    two = [*RIGHT, ToolCall("stay", "{}")]
    assert judge(two, list(reversed(two)))["exact"] == (1, 1)
    assert judge(two, RIGHT)["exact"] == (0, 1)


def test_the_best_evaluation_is_the_most_accurate_within_the_budget() -> None:
    seen = [
        (0, {"accuracy": 0.9, "chat_loss": 2.0}),
        (5, {"accuracy": 0.4, "chat_loss": 2.05, "loss": 1.0}),
        (10, {"accuracy": 0.8, "chat_loss": 2.3, "loss": 0.5}),
        (15, {"accuracy": 0.4, "chat_loss": 2.08, "loss": 0.9}),
        (20, {"accuracy": 0.3, "chat_loss": 2.0, "loss": 0.8}),
    ]
    found = standing(seen, budget=0.1)
    assert (found.best_step, found.without_gain) == (15, 1)
    assert standing(seen, budget=1.0).best_step == 10
    assert standing(seen[:1], budget=1.0).best_step is None


def test_without_chat_in_the_file_nothing_is_over_budget() -> None:
    assert standing([(0, {"loss": 1.0}), (5, {"loss": 2.0})], budget=0.0).best_step == 5


def test_the_loss_is_that_of_the_learnt_tokens_and_chat_is_apart(base: Path, cache: Path, tmp_path: Path) -> None:
    checkpoint = checkpoint_of(base, cache)
    renderer = Renderer(AutoTokenizer.from_pretrained(checkpoint))
    model = AutoModelForCausalLM.from_pretrained(checkpoint)
    held = read_rows(write_lines(tmp_path / "held.jsonl", [calling("Rome"), talking("Rome")]), renderer, 512)
    recipe = TrainingRecipe(model=base, train_path=base, output=tmp_path, evaluation_answers=0)
    metrics = Evaluator(held, renderer, recipe).measure(model, contextlib.nullcontext)
    losses = {}
    for name, row in zip(("loss", "chat_loss"), held.rows, strict=True):
        with torch.no_grad():
            found = model(input_ids=torch.tensor([row.ids]), labels=torch.tensor([row.labels()]))
        losses[name] = float(found.loss)
    assert metrics == pytest.approx(losses, rel=1e-5)


def test_where_none_keeps_within_the_budget_the_one_that_forgot_least_is_the_best() -> None:
    seen = [
        (0, {"chat_loss": 2.0}),
        (5, {"accuracy": 0.9, "chat_loss": 3.0}),
        (10, {"accuracy": 0.1, "chat_loss": 2.5}),
    ]
    found = standing(seen, budget=0.1)
    assert (found.best_step, found.keeps_budget) == (10, False)
    better = standing([*seen, (15, {"accuracy": 0.0, "chat_loss": 2.0})], budget=0.1)
    assert (better.best_step, better.keeps_budget) == (15, True)
