"""Hyperparameters, names and messages of jobs."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.store.home import Home
from server.store.jobs import Job, JobRequest, Progress
from training.jobs.choices import choose, recipe_of
from training.jobs.messages import (
    Broken,
    Ended,
    Evaluated,
    Message,
    Prepared,
    Published,
    Stepped,
    Told,
    read_message,
    write_message,
)
from training.jobs.names import model_name


def job(**fields: Any) -> Job:
    return Job(
        "ftjob-0123456789ab", "", 0.0, JobRequest("tiny", "/b.gguf", "file-1", **fields), "queued", Progress(), 1
    )


def test_what_was_given_is_kept_and_auto_is_chosen() -> None:
    given = {"n_epochs": "auto", "batch_size": 12, "learning_rate_multiplier": 0.5}
    assert choose(job(hyperparameters=given).request, 50) == {
        "n_epochs": 6, "batch_size": 12, "learning_rate_multiplier": 0.5,
    }  # fmt: skip
    assert choose(job(method="dpo").request, 10_000)["beta"] == 0.1


@given(records=st.integers(1, 10**6), batch=st.one_of(st.none(), st.integers(1, 256)))
def test_a_step_has_as_many_examples_as_the_batch_size_says(records: int, batch: int | None) -> None:
    made = job(hyperparameters={} if batch is None else {"batch_size": batch})
    numbers = choose(made.request, records)
    recipe = recipe_of(made, numbers, records, Home(Path("/h")), Path("/b.gguf"))
    assert recipe.batch_size * recipe.accumulation == numbers["batch_size"]
    assert 1 <= recipe.checkpoint_every <= 50
    assert 3 <= recipe.epochs <= 10


def test_a_recipe_is_the_same_each_time_a_job_is_gone_on_with() -> None:
    made = job(method="dpo", seed=3, hyperparameters={"learning_rate_multiplier": 2, "beta": 0.3})
    numbers = choose(made.request, 64)
    first, second = (recipe_of(made, numbers, 64, Home(Path("/h")), Path("/b.gguf"), threads=t) for t in (1, 2))
    assert first.differences(second) == []
    assert (first.learning_rate_multiplier, first.beta, first.seed, first.method) == (2, 0.3, 3, "dpo")
    assert first.learning_rate is None


@pytest.mark.parametrize(
    ("suffix", "step", "name"),
    [
        (None, None, "ft:tiny::01234567"),
        ("my tools", None, "ft:tiny:my-tools:01234567"),
        ("a:b/ü", 40, "ft:tiny:a-b:01234567:ckpt-step-40"),
    ],
)
def test_models_are_named_as_openai_names_them(suffix: str | None, step: int | None, name: str) -> None:
    assert model_name(job(suffix=suffix), step) == name


@pytest.mark.parametrize(
    "message",
    [
        Told("ü\n"), Prepared(1, 2, 3, 4, 5), Stepped(1, 2, 0.5, 1e-4, None), Evaluated(3, {"loss": 0.5}),
        Published(4, Path("/h/a.gguf")), Ended(True, 9, Path("/h/a.gguf"), 70, {"loss": 1.0}), Ended(False, 3),
        Broken("code", "why", None),
    ],
)  # fmt: skip
def test_messages_are_read_as_they_were_written(message: Message) -> None:
    line = write_message(message)
    assert "\n" not in line
    assert read_message(line) == message


@pytest.mark.parametrize("line", ["", "{", "[]", '{"kind": "Nothing"}', '{"kind": "Told"}', '{"kind": "Told", "te'])
def test_half_a_line_is_no_message(line: str) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        read_message(line)
