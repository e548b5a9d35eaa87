"""Files, jobs and their errors, judged by OpenAI's own OpenAPI document."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from server.store.engine import open_database
from server.store.home import Home
from server.store.leases import Lease, Leases
from tests.conftest import running_server
from tests.contract.document import Document, sample, whole_document
from tests.server.test_serve_files import LINES
from training.jobs.messages import Evaluated, Prepared, Stepped, Told
from training.jobs.reports import Reporter

MODEL = "trammel-tiny"
JOBS = "/v1/fine_tuning/jobs"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def client(home: Home) -> Iterator[httpx.Client]:
    with running_server("--home", str(home.folder)) as server, httpx.Client(base_url=server.url) as client:
        yield client


@pytest.fixture(scope="module")
def document() -> Document:
    return whole_document() or sample()


@pytest.fixture
def file(client: httpx.Client) -> str:
    form = {"files": {"file": ("t.jsonl", LINES)}, "data": {"purpose": "fine-tune"}}
    return str(client.post("/v1/files", **form).json()["id"])  # type: ignore[arg-type]


def bodies(file: str) -> list[dict[str, Any]]:
    """Requests that OpenAI allows."""
    plain: dict[str, Any] = {"model": MODEL, "training_file": file}
    chosen = {"batch_size": 4, "n_epochs": 2, "learning_rate_multiplier": 0.5}
    automatic = dict.fromkeys(chosen, "auto")
    return [
        plain,
        {**plain, "hyperparameters": chosen},
        {**plain, "hyperparameters": automatic, "suffix": "s" * 64, "seed": 0, "validation_file": file},
        {**plain, "suffix": None, "validation_file": None, "seed": None, "metadata": None, "integrations": None},
        {**plain, "metadata": {"a": "b"}, "seed": 2**31 - 1, "integrations": []},
        {**plain, "method": {"type": "supervised"}},
        {**plain, "method": {"type": "supervised", "supervised": {"hyperparameters": chosen}}},
        {**plain, "method": {"type": "dpo", "dpo": {"hyperparameters": {**automatic, "beta": "auto"}}}},
        {**plain, "method": {"type": "dpo", "dpo": {"hyperparameters": {**chosen, "beta": 0.2}}}},
    ]


def test_every_job_is_as_openai_describes_it(client: httpx.Client, document: Document, file: str) -> None:
    for body in bodies(file):
        assert document.fault("CreateFineTuningJobRequest", body) is None
        reply = client.post(JOBS, json=body)
        assert reply.status_code == 200, reply.text
        judge_job(document, reply.json())
        place = f"{JOBS}/{reply.json()['id']}"
        for action in ("pause", "resume", "cancel"):
            judge_job(document, client.post(f"{place}/{action}").json())
        assert document.fault("ListFineTuningJobEventsResponse", client.get(f"{place}/events?limit=3").json()) is None
        checkpoints = client.get(f"{place}/checkpoints").json()
        assert document.fault("ListFineTuningJobCheckpointsResponse", checkpoints) is None
    assert document.fault("ListPaginatedFineTuningJobsResponse", client.get(JOBS).json()) is None


def test_what_a_worker_reports_is_as_openai_describes_it(
    client: httpx.Client, document: Document, file: str, home: Home
) -> None:
    id_ = client.post(JOBS, json={"model": MODEL, "training_file": file}).json()["id"]
    lease = leased(home)
    reporter = Reporter(lease, home)
    for message in (
        Told("hello"), Prepared(12, 0, 700, 90, 6), Stepped(1, 6, 2.5, 1e-4, 0.5), Stepped(2, 6, 2.0, 1e-4, None),
        Evaluated(2, {"loss": 1.5, "exact": 0.25}),
    ):  # fmt: skip
        reporter.take(message)
    reporter.enter("running", "begun", hyperparameters={"n_epochs": 3, "batch_size": 4, "learning_rate_multiplier": 1})
    judge_job(document, client.get(f"{JOBS}/{id_}").json())
    reporter.save(2, home.adapter(id_, 2))
    reporter.fail("invalid_training_file", "line 3: no", "training_file")
    place = f"{JOBS}/{id_}"
    job = client.get(place).json()
    judge_job(document, job)
    assert (job["status"], job["error"]["param"]) == ("failed", "training_file")
    events = client.get(f"{place}/events").json()
    assert document.fault("ListFineTuningJobEventsResponse", events) is None
    assert {event["type"] for event in events["data"]} == {"message", "metrics"}
    for event in events["data"]:
        assert document.fault("FineTuningJobEvent", event) is None
    checkpoints = client.get(f"{place}/checkpoints").json()
    assert document.fault("ListFineTuningJobCheckpointsResponse", checkpoints) is None
    assert [one["step_number"] for one in checkpoints["data"]] == [2]


def test_files_are_as_openai_describes_them(client: httpx.Client, document: Document, file: str) -> None:
    assert document.fault("OpenAIFile", client.get(f"/v1/files/{file}").json()) is None
    for query in ("", "?limit=1", "?purpose=batch"):
        assert document.fault("ListFilesResponse", client.get(f"/v1/files{query}").json()) is None
    assert document.fault("DeleteFileResponse", client.delete(f"/v1/files/{file}").json()) is None


def test_mistakes_are_answered_by_openais_errors(client: httpx.Client, document: Document, file: str) -> None:
    ok = {"model": MODEL, "training_file": file}
    wrong: list[Any] = [{}, [], {**ok, "seed": "x"}, {**ok, "method": {}}, {**ok, "method": {"type": "reinforcement"}}]
    wrong += [{**ok, "model": "gpt-4o"}, {**ok, "training_file": "file-no"}, {**ok, "suffix": 5}]
    replies = [client.post(JOBS, json=body) for body in wrong]
    replies += [client.post(JOBS, content=content) for content in (b"", b"{", b"\xff")]
    gone = f"{JOBS}/ftjob-no"
    replies += [client.get(path) for path in (gone, f"{gone}/events", f"{gone}/checkpoints", "/v1/files/file-no")]
    replies += [client.post(f"{gone}/{action}") for action in ("cancel", "pause", "resume")]
    replies += [client.get(f"{JOBS}?limit=0"), client.get(f"{JOBS}?after=x"), client.get("/v1/files?order=up")]
    replies += [client.delete(path) for path in ("/v1/files/file-no", f"/v1/models/{MODEL}", "/v1/models/no")]
    for reply in replies:
        assert 400 <= reply.status_code < 500, reply.text
        assert document.fault("ErrorResponse", reply.json()) is None
    assert client.get("/healthz").status_code == 200


def judge_job(document: Document, job: Any) -> None:
    """The document's list of statuses lacks `paused`, which its example of pausing a job answers with."""
    status = "queued" if job["status"] == "paused" else job["status"]
    assert document.fault("FineTuningJob", {**job, "status": status}) is None


def leased(home: Home) -> Lease:
    lease = Leases(open_database(f"sqlite:///{home.database}")).take(60)
    assert lease is not None
    return lease
