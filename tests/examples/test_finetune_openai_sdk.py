"""The example as its reader runs it, with fewer steps, and with the worker killed in the middle of training."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import openai
import pytest

from examples.finetune_openai_sdk import ask, await_model, create_job, watch
from tests.conftest import ROOT, running_server

BASE = "trammel-tiny"


@contextmanager
def working(home: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A worker of the home's jobs; its lease is short, so that the next one need not wait long."""
    flags = ("--home", str(home), "--lease", "8", "--poll", "0.1", "--threads", "1")
    command = [sys.executable, "-c", "from server.cli import main; main()", "worker", *flags]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(60)


def trainees(job: str) -> list[Path]:
    """Training processes of a job that live."""
    if not Path("/proc/self/cmdline").exists():
        pytest.skip("there is no /proc")
    lines = {path.parent: _command(path) for path in Path("/proc").glob("[0-9]*/cmdline")}
    return [place for place, line in lines.items() if "training.jobs.child" in line and job in line]


def _command(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # it has ended meanwhile
        return ""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_job_is_finished_and_served_though_its_worker_is_killed_in_mid_training(tmp_path: Path) -> None:
    with (
        running_server("--home", str(tmp_path)) as server,
        openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client,
    ):
        job = create_job(client, BASE, examples=32, epochs=1)
        events = watch(client, job, pause=0.2)
        with working(tmp_path) as worker:
            told = []
            for event in events:
                told.append(event.message)
                if event.message.startswith("Checkpoint created"):
                    break
            worker.send_signal(signal.SIGKILL)
        deadline = time.monotonic() + 10
        while trainees(job.id):
            assert time.monotonic() < deadline, "the training has outlived its worker"
            time.sleep(0.1)
        assert client.fine_tuning.jobs.retrieve(job.id).status == "running"
        with working(tmp_path):
            told += [event.message for event in events]

        lost = told.index("The worker of this job was lost; another has taken it over")
        assert "Fine-tuning job started" in told[:lost]
        goes_on = told[lost + 1]
        assert goes_on.startswith("Fine-tuning goes on from the checkpoint at step ")
        first = int(goes_on.rpartition(" ")[2])
        after = told[lost:]
        assert [message.split(":")[0] for message in after if message.startswith("Step ")] == [
            f"Step {step}/8" for step in range(first + 1, 9)
        ]
        assert told[-1] == "The job has successfully completed"

        done = client.fine_tuning.jobs.retrieve(job.id)
        assert (done.status, done.error) == ("succeeded", None)
        assert done.fine_tuned_model == f"ft:{BASE}:lamps:{job.id[6:14]}"
        assert done.trained_tokens
        table = client.files.content(done.result_files[0]).text.splitlines()
        assert [line.split(",")[0] for line in table] == ["step", *map(str, range(1, 9))]
        await_model(client, done.fine_tuned_model)
        served = {model.id for model in client.models.list()}
        checkpoints = [one.fine_tuned_model_checkpoint for one in client.fine_tuning.jobs.checkpoints.list(job.id)]
        assert len(checkpoints) == 3
        assert {BASE, done.fine_tuned_model, *checkpoints} <= served
        for model in (done.fine_tuned_model, checkpoints[0]):
            assert ask(client, model, "Dim the attic lamp to 40 percent")
        assert client.models.delete(done.fine_tuned_model).deleted
