"""`/v1/adapters` on a real server: loading, unloading and pointing names elsewhere, while it answers."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import running_server
from tests.lora import write_lora
from tests.server.engine.conftest import MODEL
from tests.server.test_cli import trammel

KEY = "a-key-of-many-letters"
QUESTION = {"messages": [{"role": "user", "content": "hello"}], "temperature": 0, "max_tokens": 12}


@dataclass
class Client:
    """Speaks to one server, as its administrator unless told otherwise."""

    url: str
    folder: Path

    def send(self, method: str, path: str, body: Any = None, *, key: str | None = KEY) -> httpx.Response:
        headers = {"authorization": f"Bearer {key}"} if key else {}
        return httpx.request(method, f"{self.url}/v1/adapters{path}", json=body, headers=headers, timeout=60)

    def load(self, name: str, file: str, **fields: Any) -> httpx.Response:
        return self.send("POST", "", {"name": name, "file": file, **fields})

    def point(self, alias: str, target: str) -> httpx.Response:
        return self.send("POST", "/alias", {"alias": alias, "target": target})

    def say(self, model: str) -> str:
        reply = httpx.post(f"{self.url}/v1/chat/completions", json={**QUESTION, "model": model}, timeout=60)
        assert reply.status_code == 200, reply.text
        assert reply.json()["model"] == model
        return str(reply.json()["choices"][0]["message"]["content"])


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    home = tmp_path_factory.mktemp("home")
    folder = home / "adapters"
    (folder / "versions").mkdir(parents=True)
    for number, seed in ((1, 3), (2, 19)):  # with which the model is sure of what it says
        write_lora(folder / "versions" / f"v{number}.gguf", MODEL, seed)
    write_lora(folder / "versions" / "other.gguf", MODEL, 3, width=128)
    write_lora(home / "outside.gguf", MODEL, 4)
    (folder / "versions" / "link.gguf").symlink_to(home / "outside.gguf")
    (folder / "versions" / "loop.gguf").symlink_to(folder / "versions" / "loop.gguf")
    (folder / "text.txt").write_text("no adapter")
    key_file = home / "key"
    key_file.write_text(KEY + "\n")
    with running_server("--adapters", str(folder), "--admin-key-file", str(key_file)) as server:
        yield Client(server.url, folder)


@pytest.fixture(autouse=True)
def _begin_anew(request: pytest.FixtureRequest) -> None:
    """Take away what other tests have left: aliases first, since they hold adapters."""
    if "client" in request.fixturenames:
        client: Client = request.getfixturevalue("client")
        left = client.send("GET", "").json()["data"]
        for found in sorted(left, key=lambda one: one["object"] == "adapter"):
            if found.get("source") != "folder":
                assert client.send("DELETE", f"/{found['id']}").status_code == 200


def error_of(reply: httpx.Response) -> dict[str, Any]:
    error: dict[str, Any] = reply.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return error


def test_an_adapter_is_loaded_listed_used_replaced_and_unloaded(client: Client) -> None:
    base = client.say("trammel-tiny")
    loaded = client.load("team/support:v1", "versions/v1.gguf")
    assert loaded.status_code == 200
    expected = {
        "id": "team/support:v1", "object": "adapter", "parent": "trammel-tiny", "root": "v1.gguf", "scale": 1.0,
        "source": "api", "aliases": [],
    }  # fmt: skip
    assert loaded.json() == {**expected, "created": loaded.json()["created"]}
    assert client.send("GET", "", key=None).json() == {"object": "list", "data": [loaded.json()]}
    assert client.send("GET", "/team/support:v1", key=None).json() == loaded.json()
    first = client.say("team/support:v1")
    assert first != base
    assert client.load("team/support:v1", "versions/v2.gguf").status_code == 200
    assert client.say("team/support:v1") not in (first, base)
    assert client.load("team/support:v1", "versions/v2.gguf", scale=0).status_code == 200
    assert client.say("team/support:v1") == base
    assert client.send("DELETE", "/team/support:v1").json()["deleted"] is True
    gone = httpx.post(f"{client.url}/v1/chat/completions", json={**QUESTION, "model": "team/support:v1"})
    assert (gone.status_code, error_of(gone)["code"]) == (404, "model_not_found")


def test_an_alias_is_flipped_under_running_requests_and_rolled_back(client: Client) -> None:
    client.load("v1", "versions/v1.gguf")
    client.load("v2", "versions/v2.gguf")
    assert client.point("prod", "v1").json()["previous"] is None
    texts = {name: client.say(name) for name in ("v1", "v2", "trammel-tiny")}
    assert len(set(texts.values())) == 3
    listed = httpx.get(f"{client.url}/v1/models/prod").json()
    assert (listed["root"], listed["parent"]) == ("v1", "trammel-tiny")

    body = {**QUESTION, "model": "prod", "stream": True}
    with httpx.stream("POST", f"{client.url}/v1/chat/completions", json=body, timeout=60) as running:
        lines = running.iter_lines()
        next(lines)
        assert client.point("prod", "v2").json() == {
            **client.send("GET", "/prod").json(), "target": "v2", "previous": "v1"
        }  # fmt: skip
        assert client.say("prod") == texts["v2"]
        chunks = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
    said = "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks if chunk["choices"])
    assert texts["v1"].endswith(said)
    assert said

    assert client.send("POST", "/rollback", {"alias": "prod"}).json()["target"] == "v1"
    assert client.say("prod") == texts["v1"]
    assert error_of(client.send("POST", "/rollback", {"alias": "prod"}))["code"] == "nothing_to_roll_back"
    assert client.point("prod", "trammel-tiny").status_code == 200
    assert client.say("prod") == texts["trammel-tiny"]


def test_what_an_alias_means_stays_until_it_means_something_else(client: Client) -> None:
    client.load("v1", "versions/v1.gguf")
    client.load("v2", "versions/v2.gguf")
    client.point("prod", "v1")
    refused = client.send("DELETE", "/v1")
    assert (refused.status_code, error_of(refused)["code"]) == (400, "in_use")
    client.point("prod", "v2")
    assert client.send("DELETE", "/v1").status_code == 200
    back = client.send("POST", "/rollback", {"alias": "prod"})
    assert (back.status_code, error_of(back)["code"]) == (400, "adapter_not_found")
    assert client.say("prod") == client.say("v2")
    assert client.send("DELETE", "/prod").json() == {"id": "prod", "object": "adapter.alias", "deleted": True}


@pytest.mark.parametrize(
    "file",
    [
        "../outside.gguf", "versions/../../outside.gguf", "/etc/passwd", "versions/link.gguf", "versions/loop.gguf",
        "versions", ".", "nowhere.gguf", "a\0b.gguf", "x" * 1000, "%2e%2e/outside.gguf",
    ],
)  # fmt: skip
def test_no_file_outside_the_folder_is_touched(client: Client, file: str) -> None:
    refused = client.load("sneaky", file)
    error = error_of(refused)
    assert (refused.status_code, error["code"], error["param"]) == (400, "file_not_found", "file")
    absolute = client.load("sneaky", str(client.folder.parent / "outside.gguf"))
    assert error_of(absolute)["code"] == "file_not_found"


@pytest.mark.parametrize(("file", "words"), [("versions/other.gguf", "another size"), ("text.txt", "GGUF")])
def test_a_file_that_does_not_fit_is_refused_with_the_reason_and_no_path(client: Client, file: str, words: str) -> None:
    refused = client.load("bad", file)
    assert refused.status_code == 400
    assert words in error_of(refused)["message"]
    assert error_of(refused)["code"] == "invalid_adapter"
    assert str(client.folder) not in refused.text


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("POST", "", {"name": "trammel-tiny", "file": "versions/v1.gguf"}, 400, "name_taken"),
        ("POST", "", {"name": "", "file": "versions/v1.gguf"}, 400, "invalid_value"),
        ("POST", "", {"name": "../x", "file": "versions/v1.gguf"}, 400, "invalid_value"),
        ("POST", "", {"name": "x"}, 400, "missing_required_parameter"),
        ("POST", "", {"name": "x", "file": "versions/v1.gguf", "scale": "much"}, 400, "invalid_value"),
        ("POST", "", [], 400, "invalid_value"),
        ("POST", "/alias", {"alias": "prod", "target": "nothing"}, 400, "adapter_not_found"),
        ("POST", "/alias", {"alias": "trammel-tiny", "target": "trammel-tiny"}, 400, "name_taken"),
        ("POST", "/rollback", {"alias": "nothing"}, 404, "adapter_not_found"),
        ("DELETE", "/nothing", None, 404, "adapter_not_found"),
        ("DELETE", "/trammel-tiny", None, 404, "adapter_not_found"),
        ("GET", "/nothing", None, 404, "adapter_not_found"),
        ("PUT", "", {}, 405, "method_not_allowed"),
    ],
)
def test_what_cannot_be_done_is_an_error_of_openais_shape(
    client: Client, method: str, path: str, body: Any, status: int, code: str
) -> None:
    reply = client.send(method, path, body)
    assert (reply.status_code, error_of(reply)["code"]) == (status, code)


def test_an_adapter_of_the_watched_folder_goes_with_its_file_only(client: Client) -> None:
    path = write_lora(client.folder / "watched.gguf", MODEL, 5)
    while client.send("GET", "/watched").status_code == 404:
        pass
    assert client.send("GET", "/watched").json()["source"] == "folder"
    refused = client.send("DELETE", "/watched")
    assert (refused.status_code, error_of(refused)["code"]) == (400, "watched")
    taken = client.load("watched", "versions/v1.gguf")
    assert error_of(taken)["code"] == "name_taken"
    client.point("prod", "watched")
    path.unlink()
    while client.send("GET", "/watched").status_code == 200:
        pass
    lost = httpx.post(f"{client.url}/v1/chat/completions", json={**QUESTION, "model": "prod"})
    assert (lost.status_code, error_of(lost)["code"]) == (404, "model_not_found")
    assert httpx.get(f"{client.url}/v1/models/prod").status_code == 404


@pytest.mark.parametrize("key", [None, "another-key-of-letters", "", KEY + "x"])
def test_without_the_key_nothing_changes(client: Client, key: str | None) -> None:
    for method, path, body in (
        ("POST", "", {"name": "x", "file": "versions/v1.gguf"}),
        ("POST", "", {}),
        ("POST", "/alias", {"alias": "x", "target": "trammel-tiny"}),
        ("POST", "/rollback", {"alias": "x"}),
        ("DELETE", "/x", None),
    ):
        reply = client.send(method, path, body, key=key)
        assert (reply.status_code, error_of(reply)["code"]) == (401, "invalid_api_key")
        assert reply.headers["www-authenticate"] == "Bearer"
    assert client.send("GET", "", key=None).json()["data"] == []


def test_a_server_without_a_key_or_a_folder_says_which_setting_is_missing(server_url: str) -> None:
    open_server = Client(server_url, Path())
    reply = open_server.load("x", "x.gguf")
    assert (reply.status_code, error_of(reply)["code"]) == (403, "admin_key_not_set")
    assert "--admin-key-file" in error_of(reply)["message"]
    assert open_server.send("GET", "", key=None).json() == {"object": "list", "data": []}
    with running_server("--admin-key", KEY) as server:
        reply = Client(server.url, Path()).load("x", "x.gguf")
        assert (reply.status_code, error_of(reply)["code"]) == (400, "no_adapters_folder")
        assert "--adapters" in error_of(reply)["message"]


def test_keys_that_are_no_keys_are_refused_at_the_start(tmp_path: Path) -> None:
    short = tmp_path / "short"
    short.write_text("abc")
    good = tmp_path / "good"
    good.write_text(KEY)
    for flags, words in (
        (("--admin-key", "abc"), "16 characters"),
        (("--admin-key-file", str(short)), "16 characters"),
        (("--admin-key-file", str(tmp_path / "nowhere")), "can't be read"),
        (("--admin-key", KEY, "--admin-key-file", str(good)), "not both"),
    ):
        result = trammel("serve", "--port", "0", *flags)
        assert (result.exit_code, words in result.stderr, KEY in result.output) == (2, True, False)
