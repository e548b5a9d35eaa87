"""What a worker does with a job that does not come to training, or that training can't do."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from server.store.jobs import WORKABLE, Job, JobRequest, Progress
from server.store.leases import Leases
from tests.conftest import MODEL
from tests.training.jobs.shop import Place, pair, talk
from training.data.preferences import has_preferences, validate_pairs, write_preferred
from training.data.validation import validate_file
from training.jobs.child import _left_out
from training.jobs.choices import recipe_of
from training.jobs.messages import Ended, Prepared, Stepped
from training.jobs.reports import Reporter
from training.jobs.trainee import Trainee
from training.jobs.worker import Worker
from training.train.audit import MaskAudit

TALK = [talk(f"word {number}") for number in range(12)]
UNKNOWN_TOOL: Any = {
    "messages": [
        {"role": "user", "content": "Light on"},
        {"role": "assistant", "content": None, "tool_calls": [
            {"id": "c", "type": "function", "function": {"name": "lamp", "arguments": "{}"}}]},
    ],
    "tools": [],
}  # fmt: skip


def job_for(file: str) -> Job:
    return Job("ftjob-1", "", 0.0, JobRequest("trammel-tiny", str(MODEL), file), "queued", Progress(), 1)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place.of(tmp_path)
    yield place
    place.engine.dispose()


@pytest.mark.parametrize(
    ("lines", "code", "said"),
    [
        ([*TALK, "{not json"], "invalid_training_file", "line 13: error not-json"),
        ([*TALK, {"messages": []}], "invalid_training_file", "line 13"),
        ([UNKNOWN_TOOL, *TALK], "invalid_training_file", "line 1: error"),
        (TALK[:9], "invalid_n_examples", "Training file has 9 example(s), but must have at least 10 examples."),
    ],
)
def test_an_invalid_file_fails_the_job_with_line_and_reason(
    place: Place, lines: list[Any], code: str, said: str
) -> None:
    job = place.create(place.upload(lines))
    ended = place.work()
    assert ended.status == "failed"
    assert ended.progress.error
    assert (ended.progress.error["code"], ended.progress.error["param"]) == (code, "training_file")
    assert said in str(ended.progress.error["message"])
    assert said in place.told(job)[-1]
    assert Leases(place.engine).take(30) is None


def test_an_invalid_validation_file_is_named(place: Place) -> None:
    place.create(place.upload(TALK), validation_file=place.upload(["nonsense"]))
    error = place.work().progress.error
    assert error
    assert (error["code"], error["param"]) == ("invalid_validation_file", "validation_file")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (talk("supervised"), "input.messages"),
        ({**pair(), "preferred_output": []}, "preferred_output"),
        ({**pair(), "preferred_output": [{"role": "robot", "content": "x"}]}, "preferred_output"),
        ("[]", "input.messages"),
        ("{", "not-json"),
    ],
)
def test_preference_lines_are_judged_as_such(place: Place, line: Any, said: str) -> None:
    place.create(place.upload([*(pair() for _ in range(10)), line]), method="dpo")
    error = place.work().progress.error
    assert error
    assert "line 11" in str(error["message"])
    assert said in str(error["message"])


def test_pairs_may_be_measured_by_pairs_and_made_of_ordinary_lines(place: Place, tmp_path: Path) -> None:
    file = tmp_path / "pairs.jsonl"
    file.write_text("\ufeff" + "\n\n".join(json.dumps(pair(f"yes {number}")) for number in range(3)) + "\n")
    assert validate_pairs(file).errors == []
    write_preferred(file, tmp_path / "preferred.jsonl")
    assert validate_file(tmp_path / "preferred.jsonl").coverage.records == 3
    assert "yes 2" in (tmp_path / "preferred.jsonl").read_text()
    assert has_preferences(file)
    file.write_text("".join(json.dumps(line) + "\n" for line in TALK))
    assert not has_preferences(file)
    assert validate_pairs(file).coverage.records == len(TALK)
    file.write_text("")
    assert [fault.code for fault in validate_pairs(file).errors] == ["empty-file"]


def test_what_is_wrong_with_a_wrong_answer_is_no_error(place: Place, tmp_path: Path) -> None:
    """A call of an unknown tool may be what is not to be done."""
    call = {"id": "c", "type": "function", "function": {"name": "lamp", "arguments": "{}"}}
    bad = {**pair(), "non_preferred_output": [{"role": "assistant", "content": None, "tool_calls": [call]}]}
    file = tmp_path / "pairs.jsonl"
    file.write_text(json.dumps(bad) + "\n")
    assert validate_pairs(file).errors == []
    assert validate_pairs(file).warnings != []
    file.write_text(json.dumps({**bad, "preferred_output": bad["non_preferred_output"]}) + "\n")
    assert {fault.line for fault in validate_pairs(file).errors} == {1}


def test_a_file_that_is_gone_fails_the_job(place: Place) -> None:
    file = place.upload(TALK)
    place.create(file)
    place.home.upload(file).unlink()
    assert "can't be read" in str((place.work().progress.error or {})["message"])


def test_a_file_that_a_job_needs_outlives_its_time(place: Place) -> None:
    file = place.upload(TALK)
    other, path = place.files.new_place()
    for id_ in (file, other):
        place.home.upload(id_).write_text("x")
    place.files.delete(file)
    for id_ in (file, other):
        place.home.upload(id_).write_text("x")
        place.files.add(id_, "", "train.jsonl", "fine-tune", time.time() - 1)
    job = place.create(file)
    assert place.files.remove_expired(place.jobs.training_on) == 1
    assert place.home.upload(file).exists()
    assert not path.exists()
    assert place.jobs.move(job, "cancelled", WORKABLE, "cancelled")
    assert place.files.remove_expired(place.jobs.training_on) == 1


def test_examples_of_which_nothing_is_learnt_are_told(place: Place) -> None:
    audit = MaskAudit()
    for line in range(1, 14):
        audit.add(line, [], frozenset())
    audit.refuse(20, "roles must alternate")
    place.create(place.upload(TALK))
    lease = Leases(place.engine).take(30)
    assert lease
    Reporter(lease, place.home).take(Prepared(14, 0, 9, 9, 1, _left_out(audit)))
    (told,) = [text for text in place.told(lease.job.id) if "nothing is learnt" in text]
    assert "line 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 3 more" in told
    assert "line 20 (roles must alternate)" in told


def test_a_base_that_this_machine_lacks_fails_the_job(place: Place, tmp_path: Path) -> None:
    place.create(place.upload(TALK), base="/nowhere/base.gguf")
    error = place.work().progress.error
    assert error
    assert error["param"] == "model"


def test_a_job_that_comes_no_further_is_given_up(place: Place) -> None:
    place.create(place.upload(TALK))
    for _ in range(3):
        lease = Leases(place.engine).take(30)
        assert lease
        lease.release()
    ended = place.work()
    assert ended.status == "failed"
    assert "3 attempts" in str((ended.progress.error or {})["message"])


def test_a_job_whose_file_is_what_workers_die_of_is_given_up(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(path: Path) -> Any:
        raise SystemExit(path)

    monkeypatch.setattr("training.jobs.judging.validate_file", die)
    place.create(place.upload(TALK))
    for _ in range(3):
        with pytest.raises(SystemExit):
            place.work()
        with place.engine.begin() as connection:  # as time does
            connection.exec_driver_sql("UPDATE fine_tuning_jobs SET leased_until = 0")
    ended = place.work()
    assert ended.status == "failed"
    assert "3 attempts" in str((ended.progress.error or {})["message"])


def test_a_job_whose_file_is_a_fault_of_ours_is_given_up_at_once(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker lives on, and the lease is given back each time."""

    def fail(path: Path) -> Any:
        raise MemoryError(path)

    monkeypatch.setattr("training.jobs.judging.validate_file", fail)
    place.create(place.upload(TALK))
    statuses = [place.work().status for _ in range(4)]
    assert statuses == ["validating_files"] * 3 + ["failed"]


def test_a_training_whose_worker_hangs_ends_before_the_lease_does(place: Place, tmp_path: Path) -> None:
    """It would go on writing into a folder that another worker's training has by then."""
    recipe = recipe_of(job_for(place.upload(TALK)), {"n_epochs": 50, "batch_size": 1, "learning_rate_multiplier": 1},
                       12, place.home, MODEL)  # fmt: skip
    (tmp_path / "recipe.json").write_text(recipe.model_dump_json())
    trainee = Trainee(tmp_path / "recipe.json", place.home.folder, tmp_path / "log", patience=0.5)
    assert [message for message in trainee.messages() if isinstance(message, Ended | Stepped)] == []
    trainee.close()
    assert "with status 70" in trainee.last_words()


def test_a_cancelled_job_is_left_alone(place: Place) -> None:
    job = place.create(place.upload(TALK))
    lease = Leases(place.engine).take(0.01)
    assert lease
    assert place.jobs.move(job, "cancelled", WORKABLE, "cancelled")
    assert Leases(place.engine).take(30) is None


def test_what_a_job_had_learnt_goes_when_it_is_cancelled_while_it_waits(place: Place) -> None:
    job = place.create(place.upload(TALK))
    for folder in (place.home.job(job), place.home.job("ftjob-of-another-database")):
        (folder / "checkpoints").mkdir(parents=True)
    worker = Worker(Leases(place.engine), place.shop(), 30, 1)
    assert place.jobs.move(job, "paused", WORKABLE, "paused")
    worker.work(until_idle=True)
    assert place.home.job(job).exists()
    assert place.jobs.move(job, "cancelled", ("paused",), "cancelled")
    worker.work(until_idle=True)
    assert not place.home.job(job).exists()
    assert place.home.job("ftjob-of-another-database").exists()


def test_a_base_that_can_not_be_trained_fails_the_job_with_the_reason(place: Place, tmp_path: Path) -> None:
    """The training process is real; it finds that the file is no model."""
    base = tmp_path / "base.gguf"
    base.write_bytes(b"GGUF, but no more")
    place.create(place.upload(TALK))
    ended = place.work(bases={"trammel-tiny": base})
    assert ended.status == "failed", place.told(ended.id)
    assert ended.progress.error
    assert ended.progress.error["code"] == "export_failed"
    assert "base.gguf" in str(ended.progress.error["message"])
    assert ended.progress.hyperparameters == {"n_epochs": 10, "batch_size": 1, "learning_rate_multiplier": 1.0}
