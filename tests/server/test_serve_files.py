"""`/v1/files` over HTTP, with OpenAI's own client and by hand."""

import io
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from tests.conftest import running_server

LINES = b'{"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}]}\n' * 12


@dataclass
class Place:
    """A server with keys and a small limit, and its home folder."""

    url: str
    home: Path

    def client(self, key: str = "ann-key") -> openai.OpenAI:
        return openai.OpenAI(base_url=f"{self.url}/v1", api_key=key, max_retries=0)

    def send(self, method: str, path: str, **fields: Any) -> httpx.Response:
        return httpx.request(method, f"{self.url}/v1{path}", headers={"authorization": "Bearer ann-key"}, **fields)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    home = tmp_path_factory.mktemp("home") / "new"
    keys = ("--api-key", "ann-key", "--api-key", "bob-key")
    with running_server("--home", str(home), "--file-limit", "12", *keys) as server:
        yield Place(server.url, home)


def test_a_file_is_uploaded_listed_read_and_deleted(place: Place) -> None:
    with place.client() as client:
        made = client.files.create(file=("train.jsonl", LINES), purpose="fine-tune")
        assert (made.bytes, made.filename, made.purpose, made.status) == (
            len(LINES), "train.jsonl", "fine-tune", "processed",
        )  # fmt: skip
        assert client.files.retrieve(made.id) == made
        assert client.files.wait_for_processing(made.id) == made
        assert client.files.content(made.id).content == LINES
        assert made.id in [file.id for file in client.files.list(purpose="fine-tune")]
        assert client.files.delete(made.id).deleted
        for again in (client.files.retrieve, client.files.content, client.files.delete):
            with pytest.raises(openai.NotFoundError):
                again(made.id)
    assert not (place.home / "files" / made.id).exists()


def test_a_file_that_cannot_be_noted_leaves_nothing_behind(place: Place) -> None:
    before = set((place.home / "files").iterdir())
    with closing(sqlite3.connect(place.home / "trammel.db", timeout=10)) as database:
        database.execute("CREATE TRIGGER full BEFORE INSERT ON files BEGIN SELECT RAISE(ABORT, 'full'); END")
        try:
            refused = place.send("POST", "/files", files={"file": ("a.jsonl", LINES)}, data={"purpose": "fine-tune"})
        finally:
            database.execute("DROP TRIGGER full")
    assert refused.status_code == 500
    assert refused.json()["error"]["type"] == "server_error"
    assert "full" not in refused.text
    assert set((place.home / "files").iterdir()) == before
    kept = place.send("POST", "/files", files={"file": ("a.jsonl", LINES)}, data={"purpose": "fine-tune"}).json()
    assert place.send("DELETE", f"/files/{kept['id']}").is_success


def test_files_come_in_pages_in_either_order(place: Place) -> None:
    with place.client() as client:
        made = [client.files.create(file=io.BytesIO(LINES), purpose="fine-tune").id for _ in range(5)]
        assert [file.id for file in client.files.list(limit=2)][:5] == made[::-1]
        page = client.files.list(limit=2, order="asc", after=made[1])
        assert ([file.id for file in page.data], page.has_more) == (made[2:4], True)
        assert list(client.files.list(purpose="batch")) == []
        with pytest.raises(openai.NotFoundError):
            client.files.list(after="file-none")
        for id_ in made:
            client.files.delete(id_)


def test_files_are_their_keys_own(place: Place) -> None:
    with place.client() as ann, place.client("bob-key") as bob:
        made = ann.files.create(file=LINES, purpose="fine-tune")
        assert list(bob.files.list()) == []
        for refused in (bob.files.retrieve, bob.files.content, bob.files.delete):
            with pytest.raises(openai.NotFoundError):
                refused(made.id)
        ann.files.delete(made.id)


def test_a_file_larger_than_a_request_may_be_is_taken(place: Place) -> None:
    large = b"x" * (9 * 2**20)
    with place.client() as client:
        made = client.files.create(file=("large.jsonl", large), purpose="fine-tune")
        assert client.files.content(made.id).content == large
        client.files.delete(made.id)


@pytest.mark.parametrize("size", [12 * 2**20 + 1, 13 * 2**20])
def test_a_file_beyond_the_limit_is_refused_and_leaves_nothing(place: Place, size: int) -> None:
    before = sorted(place.home.rglob("*"))
    reply = place.send("POST", "/files", files={"file": b"x" * size}, data={"purpose": "fine-tune"}, timeout=60)
    assert (reply.status_code, set(reply.json()["error"])) == (413, {"message", "type", "param", "code"})
    assert sorted(place.home.rglob("*")) == before


@pytest.mark.parametrize(
    ("form", "files", "param"),
    [
        ({"purpose": "fine-tune"}, None, "file"),
        ({}, {"file": b"x"}, "purpose"),
        ({"purpose": "batch"}, {"file": b"x"}, "purpose"),
        ({"purpose": "nothing"}, {"file": b"x"}, "purpose"),
        ({"purpose": "fine-tune"}, {"file": b""}, "file"),
        ({"purpose": "fine-tune", "file": "text"}, None, "file"),
        ({"purpose": "fine-tune", "expires_after[anchor]": "created_at"}, {"file": b"x"}, "expires_after"),
        *(
            (
                {"purpose": "fine-tune", "expires_after[anchor]": "created_at", "expires_after[seconds]": seconds},
                {"file": b"x"},
                "expires_after[seconds]",
            )
            for seconds in ("0000003600999", "0000003600" + "9" * 5000, "\u0663\u0666\u0660\u0660", "-3600")
        ),
        (
            {"purpose": "fine-tune", "expires_after[anchor]": "created_at", "expires_after[seconds]": "5"},
            {"file": b"x"},
            "expires_after[seconds]",
        ),
    ],
)
def test_a_wrong_upload_is_refused_by_naming_the_field(
    place: Place, form: dict[str, str], files: dict[str, bytes] | None, param: str
) -> None:
    reply = place.send("POST", "/files", data=form, files=files)
    assert reply.status_code == 400, reply.text
    assert str(reply.json()["error"]["param"]).startswith(param)


@pytest.mark.parametrize("body", [b"", b"{}", b"--x\r\nnonsense"])
def test_what_is_no_form_is_refused(place: Place, body: bytes) -> None:
    headers = {"authorization": "Bearer ann-key", "content-type": "multipart/form-data; boundary=x"}
    for more in ({}, {"content-type": "application/json"}):
        reply = httpx.post(f"{place.url}/v1/files", content=body, headers=headers | more)
        assert (reply.status_code, set(reply.json()["error"])) == (400, {"message", "type", "param", "code"})


def test_a_name_can_not_lead_out_of_the_folder_nor_break_the_database(place: Place) -> None:
    reply = place.send("POST", "/files", data={"purpose": "fine-tune"}, files={"file": ("../../x\x00.jsonl", b"x")})
    assert reply.status_code == 200, reply.text
    assert [path.name for path in (place.home / "files").iterdir()] == [reply.json()["id"]]
    place.send("DELETE", f"/files/{reply.json()['id']}")


def test_a_file_may_expire(place: Place) -> None:
    with place.client() as client:
        made = client.files.create(
            file=LINES, purpose="fine-tune", expires_after={"anchor": "created_at", "seconds": 3600}
        )
        assert 3590 < made.expires_at - time.time() < 3610  # type: ignore[operator]
        client.files.delete(made.id)


def test_without_a_home_files_and_jobs_are_refused_by_saying_what_to_do(server_url: str) -> None:
    for path in ("files", "fine_tuning/jobs", "files/file-1/content", "fine_tuning/jobs/ftjob-1/events"):
        reply = httpx.get(f"{server_url}/v1/{path}")
        assert (reply.status_code, reply.json()["error"]["code"]) == (403, "no_home")
        assert "--home" in reply.json()["error"]["message"]
