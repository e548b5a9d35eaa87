"""`/v1/fine_tuning/jobs` over HTTP, while this test does a worker's part with an adapter that is made up."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from server.store.engine import open_database
from server.store.fine_tuned import FineTunedModel
from server.store.home import Home
from server.store.jobs import Progress
from server.store.leases import Lease, Leases
from tests.conftest import MODEL, running_server
from tests.lora import write_lora
from tests.server.test_serve_files import LINES

BASE = "trammel-tiny"
KEYS = ("--api-key", "ann-key", "--api-key", "bob-key", "--admin-key", "a-key-of-many-letters")


@dataclass
class Shop:
    """A server with a home, and the home's inside."""

    url: str
    home: Home

    def client(self, key: str = "ann-key") -> openai.OpenAI:
        return openai.OpenAI(base_url=f"{self.url}/v1", api_key=key, max_retries=0)

    def lease(self) -> Lease:
        lease = Leases(open_database(f"sqlite:///{self.home.database}")).take(60)
        assert lease
        return lease

    def send(self, method: str, path: str, key: str = "ann-key", **fields: Any) -> httpx.Response:
        return httpx.request(method, f"{self.url}{path}", headers={"authorization": f"Bearer {key}"}, **fields)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def shop(folder: Path) -> Iterator[Shop]:
    with running_server("--home", str(folder), *KEYS) as server:
        yield Shop(server.url, Home(folder))


@pytest.fixture
def client(shop: Shop) -> Iterator[openai.OpenAI]:
    with shop.client() as client:
        yield client


@pytest.fixture
def file(client: openai.OpenAI) -> str:
    return client.files.create(file=("train.jsonl", LINES), purpose="fine-tune").id


@pytest.fixture(autouse=True)
def _end_what_is_open(shop: Shop) -> Iterator[None]:
    yield
    with shop.client() as client:
        for job in client.fine_tuning.jobs.list():
            if job.status not in ("succeeded", "failed", "cancelled"):
                client.fine_tuning.jobs.cancel(job.id)


def finish(shop: Shop, lease: Lease, name: str) -> None:
    """A worker's last act."""
    job = lease.job
    write_lora(shop.home.adapter(job.id), MODEL, strength=3.0)
    model = FineTunedModel(name, job.owner, time.time(), BASE, job.id, f"adapters/{job.id}.gguf")
    lease.succeed(Progress(fine_tuned_model=name, finished=time.time(), trained_tokens=5), model)
    lease.release()


def until_served(shop: Shop, name: str, served: bool = True) -> None:
    for _ in range(100):
        if (shop.send("GET", f"/v1/models/{name}").status_code == 200) == served:
            return
        time.sleep(0.1)
    raise AssertionError(f"{name} is {'not ' if served else ''}served")


def test_a_job_is_created_listed_and_shown_with_its_events(client: openai.OpenAI, file: str) -> None:
    made = client.fine_tuning.jobs.create(
        model=BASE, training_file=file, validation_file=file, suffix="my tools", seed=7, metadata={"team": "a"},
        method={"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 2, "batch_size": "auto"}}},
    )  # fmt: skip
    assert (made.status, made.seed, made.training_file, made.fine_tuned_model) == ("validating_files", 7, file, None)
    assert made.hyperparameters.to_dict() == {"n_epochs": 2, "batch_size": "auto", "learning_rate_multiplier": "auto"}
    assert client.fine_tuning.jobs.retrieve(made.id) == made
    assert next(iter(client.fine_tuning.jobs.list())).id == made.id
    assert [job.id for job in client.fine_tuning.jobs.list(metadata={"team": "a"})] == [made.id]
    assert list(client.fine_tuning.jobs.list(metadata={"team": "b"})) == []
    events = list(client.fine_tuning.jobs.list_events(made.id, limit=1))
    assert [event.message for event in events] == [
        f"Validating training file: {file}", f"Created fine-tuning job: {made.id}",
    ]  # fmt: skip
    assert list(client.fine_tuning.jobs.checkpoints.list(made.id)) == []
    client.fine_tuning.jobs.cancel(made.id)


def test_jobs_are_paused_resumed_and_cancelled(client: openai.OpenAI, file: str) -> None:
    jobs = client.fine_tuning.jobs
    made = jobs.create(model=BASE, training_file=file)
    assert jobs.pause(made.id).status == "paused"  # type: ignore[comparison-overlap]
    with pytest.raises(openai.BadRequestError, match="paused can't be paused"):
        jobs.pause(made.id)
    assert jobs.resume(made.id).status == "validating_files"
    with pytest.raises(openai.ConflictError, match=made.id):
        client.files.delete(file)
    assert jobs.cancel(made.id).status == "cancelled"
    for refused in (jobs.cancel, jobs.pause, jobs.resume):
        with pytest.raises(openai.BadRequestError, match="is cancelled"):
            refused(made.id)
    assert client.files.delete(file).deleted


def test_jobs_are_their_keys_own(shop: Shop, client: openai.OpenAI, file: str) -> None:
    made = client.fine_tuning.jobs.create(model=BASE, training_file=file)
    with shop.client("bob-key") as bob:
        assert list(bob.fine_tuning.jobs.list()) == []
        for refused in (bob.fine_tuning.jobs.retrieve, bob.fine_tuning.jobs.cancel, bob.fine_tuning.jobs.list_events):
            with pytest.raises(openai.NotFoundError):
                refused(made.id)
        with pytest.raises(openai.BadRequestError, match="invalid training_file"):
            bob.fine_tuning.jobs.create(model=BASE, training_file=file)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": None}, "model"), ({"training_file": "file-none"}, "training_file"),
        ({"validation_file": "file-none"}, "validation_file"), ({"suffix": ""}, "suffix"),
        ({"suffix": "x" * 65}, "suffix"), ({"seed": -1}, "seed"), ({"metadata": {"k" * 65: "v"}}, "metadata"),
        ({"hyperparameters": {"n_epochs": 0}}, "hyperparameters.n_epochs"),
        ({"hyperparameters": {"batch_size": 257}}, "hyperparameters.batch_size"),
        ({"hyperparameters": {"learning_rate_multiplier": 0}}, "hyperparameters.learning_rate_multiplier"),
        ({"method": {"type": "reinforcement"}}, "method.type"), ({"method": {"type": "magic"}}, "method.type"),
        ({"method": {"type": "dpo", "dpo": {"hyperparameters": {"beta": 3}}}}, "method.dpo.hyperparameters.beta"),
        ({"method": {"type": "dpo"}, "hyperparameters": {"n_epochs": 1}}, "hyperparameters"),
        ({"integrations": [{"type": "wandb", "wandb": {"project": "p"}}]}, "integrations"),
    ],
)  # fmt: skip
def test_a_wrong_job_is_refused_by_naming_the_field(shop: Shop, file: str, fields: dict[str, Any], param: str) -> None:
    body = {"model": BASE, "training_file": file, **fields}
    reply = shop.send("POST", "/v1/fine_tuning/jobs", json={k: v for k, v in body.items() if v is not None})
    assert reply.status_code == 400, reply.text
    assert reply.json()["error"]["param"].startswith(param)


def test_what_is_not_there_is_said_to_be_not_there(shop: Shop, client: openai.OpenAI, file: str) -> None:
    with pytest.raises(openai.NotFoundError, match="gpt-4o"):
        client.fine_tuning.jobs.create(model="gpt-4o", training_file=file)
    for refused in (client.fine_tuning.jobs.retrieve, client.fine_tuning.jobs.checkpoints.list):
        with pytest.raises(openai.NotFoundError):
            refused("ftjob-none")
    made = client.fine_tuning.jobs.create(model=BASE, training_file=file)
    for after in ("ftevent-x", "ftevent-other-1", "1"):
        with pytest.raises(openai.BadRequestError):
            client.fine_tuning.jobs.list_events(made.id, after=after)


def test_a_finished_job_s_model_is_served_at_once_and_until_it_is_deleted(
    shop: Shop, client: openai.OpenAI, file: str
) -> None:
    made = client.fine_tuning.jobs.create(model=BASE, training_file=file)
    name = f"ft:{BASE}:tools:{made.id[6:]}"
    finish(shop, shop.lease(), name)
    until_served(shop, name)
    job = client.fine_tuning.jobs.retrieve(made.id)
    assert (job.status, job.fine_tuned_model, job.trained_tokens) == ("succeeded", name, 5)
    shown = shop.send("GET", f"/v1/models/{name}").json()
    assert (shown["parent"], shown["root"]) == (BASE, f"{made.id}.gguf")
    question: Any = [{"role": "user", "content": "hello"}]
    answer = client.chat.completions.create(model=name, messages=question, max_tokens=4)
    assert answer.model == name
    with pytest.raises(openai.BadRequestError, match="can't be fine-tuned"):
        client.fine_tuning.jobs.create(model=name, training_file=file)
    with shop.client("bob-key") as bob, pytest.raises(openai.PermissionDeniedError):
        bob.models.delete(name)
    with pytest.raises(openai.PermissionDeniedError):
        client.models.delete(BASE)
    admin = "a-key-of-many-letters"
    assert shop.send("DELETE", f"/v1/adapters/{name}", admin).json()["error"]["code"] == "fine_tuned"
    assert shop.send("GET", f"/v1/adapters/{name}").json()["source"] == "fine-tuning"
    alias = {"alias": "tools", "target": name}
    assert shop.send("POST", "/v1/adapters/alias", admin, json=alias).status_code == 200
    with pytest.raises(openai.BadRequestError, match="`tools`"):
        client.models.delete(name)
    assert shop.send("DELETE", "/v1/adapters/tools", admin).status_code == 200
    deleted = client.models.delete(name)
    assert (deleted.id, deleted.deleted) == (name, True)
    for gone in (client.models.retrieve, client.models.delete):
        with pytest.raises(openai.NotFoundError):
            gone(name)
    assert not shop.home.adapter(made.id).exists()


def test_a_model_whose_file_is_no_adapter_harms_nobody(shop: Shop, client: openai.OpenAI, file: str) -> None:
    made = client.fine_tuning.jobs.create(model=BASE, training_file=file)
    lease = shop.lease()
    shop.home.adapter(made.id).write_text("nonsense")
    name = f"ft:{BASE}::{made.id[6:]}"
    model = FineTunedModel(name, lease.job.owner, 1.0, BASE, made.id, f"adapters/{made.id}.gguf")
    lease.succeed(Progress(fine_tuned_model=name), model)
    second = client.fine_tuning.jobs.create(model=BASE, training_file=file)
    finish(shop, shop.lease(), f"ft:{BASE}::{second.id[6:]}")
    until_served(shop, f"ft:{BASE}::{second.id[6:]}")
    assert shop.send("GET", f"/v1/models/{name}").status_code == 404
    assert shop.send("GET", "/healthz").status_code == 200


def test_jobs_are_counted_by_status(shop: Shop, client: openai.OpenAI, file: str) -> None:
    client.fine_tuning.jobs.cancel(client.fine_tuning.jobs.create(model=BASE, training_file=file).id)
    page = shop.send("GET", "/metrics").text
    counts = {
        line.split('"')[1]: float(line.split()[-1])
        for line in page.splitlines()
        if line.startswith("trammel_fine_tuning_jobs{")
    }
    assert counts["cancelled"] >= 1
    assert counts["running"] == 0


def test_after_a_restart_the_models_are_served_from_the_start(shop: Shop, client: openai.OpenAI, file: str) -> None:
    made = client.fine_tuning.jobs.create(model=BASE, training_file=file)
    name = f"ft:{BASE}:kept:{made.id[6:]}"
    finish(shop, shop.lease(), name)
    until_served(shop, name)
    with running_server("--home", str(shop.home.folder), *KEYS) as again:
        other = Shop(again.url, shop.home)
        assert other.send("GET", f"/v1/models/{name}").status_code == 200
        assert client.models.delete(name).deleted
        until_served(other, name, served=False)
