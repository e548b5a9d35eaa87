"""Whole runs: what they tell, leave behind, and survive."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from server.engine.gguf_header import read_header
from tests.conftest import free_port
from training.base.gguf_checkpoint import checkpoint_of
from training.cli import app
from training.data.validation import InvalidDataError
from training.train.audit import NothingToLearnError
from training.train.checkpoints import last_checkpoint, remove_broken, step_of
from training.train.events import Audited, Evaluated, Event, Exported, Outcome, Saved, Stepped
from training.train.log import RunLog
from training.train.model import RecipeError
from training.train.recipe import AdapterSettings, TrainingRecipe
from training.train.run import NothingToMeasureError, RecipeMismatchError, prepare
from training.train.run import run as train
from training.train.watcher import DivergedError

from .conftest import PLACES, calling, talking, write_lines

pytestmark = [
    # PEFT and TRL read properties that transformers wants to drop
    pytest.mark.filterwarnings("ignore:.*gradient_checkpointing:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*save_embedding_layers:UserWarning"),
]
ROOT = Path(__file__).parents[3]
STEPS = 6


def recipe_for(base: Path, lines: Path, output: Path, **changes: Any) -> TrainingRecipe:
    values: dict[str, Any] = {
        "model": base, "train_path": lines, "output": output, "max_steps": STEPS, "batch_size": 2, "accumulation": 2,
        "learning_rate": 2e-2, "checkpoint_every": 2, "longest": 512, "threads": 1,
        "adapter": AdapterSettings(rank=4, alpha=8, dropout=0.1),
    }  # fmt: skip
    return TrainingRecipe(**{**values, **changes})


@pytest.fixture(scope="module")
def finished(
    base: Path, lines: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Outcome, list[Event], TrainingRecipe]:
    """An unbroken run with a validation file."""
    folder = tmp_path_factory.mktemp("finished")
    held = write_lines(folder / "held.jsonl", [calling("Paris"), talking("Paris"), calling("Wien")])
    recipe = recipe_for(base, lines, folder / "mine", validation_path=held, evaluate_every=3, forgetting_budget=9)
    events: list[Event] = []
    return train(recipe, events.append, cache=cache), events, recipe


def test_a_run_tells_of_every_step_checkpoint_and_evaluation(finished: tuple[Outcome, list[Event], Any]) -> None:
    outcome, events, _ = finished
    audited = next(event for event in events if isinstance(event, Audited))
    assert (audited.records, audited.steps) == (2 * len(PLACES), STEPS)
    steps = [event for event in events if isinstance(event, Stepped)]
    assert [event.step for event in steps] == list(range(1, STEPS + 1))
    assert [event.step for event in events if isinstance(event, Saved)] == [2, 4, 6]
    evaluations = [event for event in events if isinstance(event, Evaluated)]
    assert [event.step for event in evaluations] == [0, 3, 6]
    assert evaluations[-1].metrics["loss"] < evaluations[0].metrics["loss"]
    assert {"loss", "chat_loss", "choice", "exact", "accuracy"} <= evaluations[0].metrics.keys()
    assert outcome.is_finished
    assert outcome.trained_tokens > audited.audit.supervised.total()


def test_a_run_leaves_an_adapter_for_peft_and_llama_cpp_and_pictures(
    finished: tuple[Outcome, list[Event], TrainingRecipe],
) -> None:
    outcome, events, recipe = finished
    assert outcome.gguf == recipe.output / "adapter" / "mine.gguf"
    assert read_header(outcome.gguf).text("general.type") == "adapter"
    assert json.loads((recipe.output / "adapter" / "adapter_config.json").read_text())["r"] == 4
    assert next(event.worst for event in events if isinstance(event, Exported)) < 0.01
    for name in ("loss.png", "metrics.png"):
        assert (recipe.output / name).read_bytes().startswith(b"\x89PNG")
    assert list((recipe.output / "tensorboard").iterdir())


def test_the_adapter_is_that_of_the_best_evaluation(finished: tuple[Outcome, list[Event], Any]) -> None:
    outcome, events, _ = finished
    best = [event for event in events if isinstance(event, Evaluated) and event.is_best][-1]
    assert outcome.best_step == best.step
    assert outcome.metrics == best.metrics


def test_a_finished_run_is_not_done_again(finished: tuple[Outcome, list[Event], TrainingRecipe]) -> None:
    outcome, _, recipe = finished
    events: list[Event] = []
    assert train(recipe, events.append) == outcome
    assert not events


def test_a_folder_with_another_run_is_refused(finished: tuple[Outcome, list[Event], TrainingRecipe]) -> None:
    recipe = finished[2].model_copy(update={"seed": 7})
    with pytest.raises(RecipeMismatchError, match="seed"):
        train(recipe)


@pytest.mark.parametrize("field", ["train_path", "validation_path"])
def test_a_folder_whose_run_saw_other_contents_is_refused(
    finished: tuple[Outcome, list[Event], TrainingRecipe], field: str
) -> None:
    path: Path = getattr(finished[2], field)
    before = path.read_bytes()
    path.write_bytes(before + before.splitlines(keepends=True)[0])
    try:
        with pytest.raises(RecipeMismatchError, match=field):
            train(finished[2])
    finally:
        path.write_bytes(before)


def test_a_folder_that_does_not_say_what_its_run_saw_is_refused(
    finished: tuple[Outcome, list[Event], TrainingRecipe], tmp_path: Path
) -> None:
    shutil.copytree(finished[2].output, tmp_path / "mine")
    (tmp_path / "mine" / "contents.json").unlink()
    with pytest.raises(RecipeMismatchError, match="model, train_path, validation_path"):
        train(finished[2].model_copy(update={"output": tmp_path / "mine"}))


def losses(output: Path) -> list[float]:
    return [record["loss"] for record in RunLog(output).read() if "loss" in record]


def test_a_stopped_run_goes_on_with_the_same_losses(
    finished: tuple[Outcome, list[Event], TrainingRecipe], cache: Path, tmp_path: Path
) -> None:
    recipe = finished[2].model_copy(update={"output": tmp_path / "mine"})
    asked = iter([False, False, True])
    stopped = train(recipe, should_stop=lambda: next(asked), cache=cache)
    assert (stopped.is_finished, stopped.step, stopped.gguf) == (False, 3, None)
    assert train(recipe, cache=cache).is_finished
    assert losses(recipe.output) == pytest.approx(losses(finished[2].output), abs=1e-4)


@pytest.mark.slow
def test_a_killed_run_goes_on_with_the_same_losses(
    finished: tuple[Outcome, list[Event], TrainingRecipe], cache: Path, tmp_path: Path
) -> None:
    recipe = finished[2].model_copy(update={"output": tmp_path / "mine"})
    program = (
        "import sys, time; from pathlib import Path; from training.train.recipe import TrainingRecipe;"
        "from training.train.events import Stepped; from training.train.run import run;"
        "run(TrainingRecipe.model_validate_json(sys.argv[1]), "
        "lambda e: time.sleep(60) if isinstance(e, Stepped) and e.step == 5 else None, cache=Path(sys.argv[2]))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, recipe.model_dump_json(), str(cache)],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    for _ in range(1200):
        if len(losses(recipe.output)) >= 5 or process.poll() is not None:
            break
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    (recipe.output / "checkpoints" / "checkpoint-9").mkdir()  # as a kill in the middle of one would leave it
    events: list[Event] = []
    outcome = train(recipe, events.append, cache=cache)
    assert [event.step for event in events if isinstance(event, Stepped)] == [5, 6]
    assert losses(recipe.output) == pytest.approx(losses(finished[2].output), abs=1e-4)
    assert outcome.metrics == pytest.approx(dict(finished[0].metrics), abs=1e-3)


def test_patience_ends_a_run_early(base: Path, lines: Path, cache: Path, tmp_path: Path) -> None:
    held = write_lines(tmp_path / "held.jsonl", [talking("Paris")])
    recipe = recipe_for(
        base, lines, tmp_path / "run", validation_path=held, evaluate_every=1, patience=2, forgetting_budget=0,
        learning_rate=1e-12,
    )  # fmt: skip
    outcome = train(recipe, cache=cache)
    assert outcome.is_finished
    assert (outcome.best_step, outcome.step) == (1, 3)  # nothing changes, so nothing is better than the first


def test_invalid_data_is_refused_unless_it_is_wanted(base: Path, cache: Path, tmp_path: Path) -> None:
    wrong = calling("Rome")
    wrong["messages"][1]["tool_calls"][0]["function"]["arguments"] = '{"to": 5}'
    data = write_lines(tmp_path / "wrong.jsonl", [wrong])
    recipe = recipe_for(base, data, tmp_path / "run", max_steps=1)
    with pytest.raises(InvalidDataError, match="invalid-arguments"):
        train(recipe, cache=cache)
    assert train(recipe.model_copy(update={"allow_invalid": True}), cache=cache).is_finished


def test_nothing_to_measure_is_refused_by_the_files_name(base: Path, lines: Path, cache: Path, tmp_path: Path) -> None:
    held = write_lines(tmp_path / "held.jsonl", [talking("x" * 600)])
    with pytest.raises(NothingToMeasureError, match="held"):
        train(recipe_for(base, lines, tmp_path / "run", validation_path=held), cache=cache)


def test_a_run_that_diverges_ends_and_says_so(base: Path, lines: Path, cache: Path, tmp_path: Path) -> None:
    with pytest.raises(DivergedError, match="smaller learning rate"):
        train(recipe_for(base, lines, tmp_path / "run", learning_rate=1e30), cache=cache)


def test_nothing_to_learn_is_refused(base: Path, cache: Path, tmp_path: Path) -> None:
    data = write_lines(tmp_path / "long.jsonl", [talking("x" * 600)])
    with pytest.raises(NothingToLearnError):
        train(recipe_for(base, data, tmp_path / "run"), cache=cache)


def test_four_bits_without_their_library_or_a_gpu_are_refused(
    base: Path, lines: Path, cache: Path, tmp_path: Path
) -> None:
    with pytest.raises(RecipeError, match="4 bits"):
        train(recipe_for(base, lines, tmp_path / "run", is_quantized=True), cache=cache)


def test_all_weights_can_be_trained_and_are_written_as_a_whole_model(
    base: Path, lines: Path, cache: Path, tmp_path: Path
) -> None:
    outcome = train(recipe_for(base, lines, tmp_path / "run", max_steps=1, adapter=None), cache=cache)
    assert outcome.gguf is not None
    assert read_header(outcome.gguf).text("tokenizer.chat_template")


def test_the_learning_rate_follows_the_width_unless_it_is_given(base: Path, lines: Path, tmp_path: Path) -> None:
    recipe = TrainingRecipe(model=base, train_path=lines, output=tmp_path)
    assert [recipe.peak_learning_rate(width) for width in (64, 256, 2048, 8192)] == pytest.approx(
        [2e-3, 1.6e-3, 2e-4, 1e-4]
    )
    assert recipe.model_copy(update={"learning_rate_multiplier": 3}).peak_learning_rate(2048) == pytest.approx(6e-4)
    assert recipe.model_copy(update={"adapter": None}).peak_learning_rate(64) == 2e-5
    assert recipe.model_copy(update={"learning_rate": 7.0}).peak_learning_rate(64) == 7.0


@pytest.mark.slow
def test_two_processes_train_one_model(base: Path, lines: Path, cache: Path, tmp_path: Path) -> None:
    held = write_lines(tmp_path / "held.jsonl", [calling("Paris"), talking("Paris")])
    recipe = recipe_for(
        base, lines, tmp_path / "mine", max_steps=2, accumulation=1, validation_path=held, evaluate_every=1, patience=1
    )
    program = tmp_path / "both.py"
    program.write_text(
        "import os, sys; from pathlib import Path; from training.train.recipe import TrainingRecipe;"
        "from training.train.run import run; recipe = TrainingRecipe.model_validate_json(sys.argv[1]);"
        "gguf = run(recipe, lambda e: None, cache=Path(sys.argv[2])).gguf;"
        "os.write(1, f'\\n{gguf}\\n'.encode())"  # at once: both write to one pipe
    )
    # not --standalone, which looks for itself by the machine's name: there may be no name server
    place = ["--master-addr", "127.0.0.1", "--master-port", str(free_port())]
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", *place, str(program)]
    made = subprocess.run(
        [*launch, recipe.model_dump_json(), str(cache)], env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, timeout=170, check=False,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr[-2000:]
    assert made.stdout.splitlines().count(str(recipe.output / "adapter" / "mine.gguf")) == 2
    records = RunLog(recipe.output).read()
    assert [record["step"] for record in records if "loss" in record] == list(range(1, len(losses(recipe.output)) + 1))


def test_half_written_checkpoints_are_removed(tmp_path: Path) -> None:
    for number in (4, 10, 12):
        (tmp_path / f"checkpoint-{number}").mkdir()
    for number in (4, 10):
        (tmp_path / f"checkpoint-{number}" / ".complete").touch()
    assert last_checkpoint(tmp_path) == tmp_path / "checkpoint-10"
    remove_broken(tmp_path)
    assert not (tmp_path / "checkpoint-12").exists()


def test_a_log_line_cut_off_by_a_kill_is_forgotten(tmp_path: Path) -> None:
    log = RunLog(tmp_path)
    for step in (1, 2, 3):
        log.write({"step": step})
    log.path.write_text(log.path.read_text() + '{"step": 4, "lo')
    log.trim(2)
    assert [record["step"] for record in log.read()] == [1, 2]


def test_the_command_makes_examples_up_and_only_that_if_wanted(tmp_path: Path) -> None:
    arguments = ["train", "--tools", "search,calculate", "--num-examples", "4", "--output-dir", str(tmp_path / "run")]
    made = CliRunner().invoke(app, [*arguments, "--generate-only"])
    assert made.exit_code == 0, made.output
    assert len((tmp_path / "run" / "train.jsonl").read_text().splitlines()) == 4
    assert not (tmp_path / "run" / "recipe.json").exists()
    refused = CliRunner().invoke(app, ["train", "--data-path", "x", "--output-dir", str(tmp_path), "--generate-only"])
    assert refused.exit_code == 2


def test_a_target_that_the_model_has_not_is_refused_by_its_name(
    base: Path, lines: Path, cache: Path, tmp_path: Path
) -> None:
    adapter = AdapterSettings(targets=("q_proj", "w_proj"))
    with pytest.raises(RecipeError, match=r"no 'w_proj'; it has .*v_proj"):
        train(recipe_for(base, lines, tmp_path / "run", adapter=adapter), cache=cache)


def test_the_command_trains_and_says_how_to_serve(base: Path, lines: Path, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    arguments = ["train", "--data-path", str(lines), "--output-dir", str(tmp_path / "run"), "--model-name", str(base)]
    made = CliRunner().invoke(app, [*arguments, "--max-steps", "1", "--max-length", "512", "--threads", "1"])
    assert made.exit_code == 0, made.output
    assert "What is learnt" in made.output
    assert f"trammel serve --model {base} --adapter run=" in made.output
    refused = CliRunner().invoke(app, [*arguments, "--max-steps", "2", "--max-length", "512"])
    assert refused.exit_code == 2
    assert "max_steps" in refused.output


def test_an_interrupted_command_ends_after_its_step_with_a_checkpoint(
    base: Path, lines: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    output = tmp_path / "run"

    def interrupt() -> None:
        while not losses(output):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    watching = threading.Thread(target=interrupt)
    watching.start()
    arguments = ["train", "--data-path", str(lines), "--output-dir", str(output), "--model-name", str(base)]
    made = CliRunner().invoke(app, [*arguments, "--max-steps", "5000", "--max-length", "512", "--threads", "1"])
    watching.join()
    assert made.exit_code == 130, made.output
    checkpoint = last_checkpoint(output / "checkpoints")
    assert checkpoint is not None
    assert f"stopped at step {step_of(checkpoint)}" in made.output


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--data-path", "none.jsonl"], "none.jsonl"),
        (["--tools", "search", "--num-examples", "2", "--full", "--qlora"], "4 bits"),
        ([], "--data-path"),
    ],
)
def test_what_the_command_cant_do_it_says(arguments: list[str], reason: str, tmp_path: Path) -> None:
    made = CliRunner().invoke(app, ["train", "--output-dir", str(tmp_path / "run"), *arguments])
    assert made.exit_code == 2
    assert reason in made.output


def test_a_tokenizer_without_padding_is_padded_with_its_end(
    base: Path, lines: Path, cache: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(checkpoint_of(base, cache), tmp_path / "model")
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "pad_token": None}))
    recipe = recipe_for(folder, lines, tmp_path / "run", max_steps=1)
    assert prepare(recipe).renderer.tokenizer.pad_token == "<|end|>"
    assert train(recipe).is_finished
