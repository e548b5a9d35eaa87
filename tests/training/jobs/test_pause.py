"""A job that is paused while it trains, by preferences; the training is real."""

import threading
import time
from pathlib import Path

import pytest

from server.store.jobs import WORKABLE
from tests.training.jobs.shop import Place, pair


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_job_paused_in_mid_training_keeps_what_it_has_learnt(tmp_path: Path) -> None:
    place = Place.of(tmp_path)
    job = place.create(place.upload([pair(f"yes {number}") for number in range(200)]), method="dpo")

    def pause_after_a_step() -> None:
        while not any(message.startswith("Step ") for message in place.told(job)):
            time.sleep(0.05)
        place.jobs.move(job, "paused", WORKABLE, "The job was paused")

    pausing = threading.Thread(target=pause_after_a_step, daemon=True)
    pausing.start()
    ended = place.work()
    pausing.join(10)
    assert ended.status == "paused", place.told(job)
    last = place.told(job)[-1]
    assert last.startswith("The job rests at step ")
    step = int(last.rpartition(" ")[2])
    assert [entry.number for entry in place.jobs.checkpoints(job, 9)] == [step]
    assert 1 <= ended.progress.step <= step
    assert (place.home.job(job) / "checkpoints" / f"checkpoint-{step}").is_dir()
    assert place.home.adapter(job, step).is_file()
    place.engine.dispose()
