"""`trammel serve --worker`: a worker that lives, works and ends with its server."""

import time
from pathlib import Path

import openai
import pytest

from examples.finetune_openai_sdk import create_job, watch
from tests.conftest import running_server
from tests.training.jobs.shop import Place


def workers(home: Path) -> list[str]:
    """Processes that work for a home."""
    if not Path("/proc/self/cmdline").exists():
        pytest.skip("there is no /proc")
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_text()
        except OSError:  # it has ended meanwhile
            continue
        if str(home) in line and ("--beside-server" in line or "training.jobs.child" in line):
            found.append(path.parent.name)
    return found


@pytest.mark.timeout(400)
def test_a_worker_works_and_ends_with_its_server_and_gives_its_job_back(tmp_path: Path) -> None:
    with (
        running_server("--home", str(tmp_path), "--worker") as server,
        openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client,
    ):
        wrong = client.files.create(file=("wrong.jsonl", b'{"messages": 5}\n'), purpose="fine-tune")
        failed = client.fine_tuning.jobs.create(model="trammel-tiny", training_file=wrong.id)
        events = list(watch(client, failed, pause=0.2))
        assert (events[-1].level, client.fine_tuning.jobs.retrieve(failed.id).status) == ("error", "failed")
        assert "line 1: error" in events[-1].message
        job = create_job(client, "trammel-tiny", examples=200, epochs=50)
        while client.fine_tuning.jobs.retrieve(job.id).status != "running":
            time.sleep(0.1)
        assert workers(tmp_path)
    assert workers(tmp_path) == []
    place = Place.of(tmp_path)
    ended = place.jobs.get(job.id)
    assert ended
    assert (ended.status, ended.attempts) == ("queued", 0), place.told(job.id)
    assert place.told(job.id)[-1].startswith("The worker ends")
    place.engine.dispose()
