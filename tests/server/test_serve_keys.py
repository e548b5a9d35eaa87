"""API keys, limits of keys, CORS, body size, request ids and the log, over HTTP."""

import json
import shutil
import ssl
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from server.api.keys import hash_of, new_key
from tests.conftest import QUIET, ServerProcess, running_server
from tests.server.test_cli import trammel

MODEL = "trammel-tiny"
LONG: dict[str, Any] = {"max_tokens": 600, "logit_bias": {"1": -100}}
"""Never ends by itself: token 1 is <|end|>."""


def ask(url: str, key: str | None = None, text: str = "Hello", **fields: Any) -> httpx.Response:
    headers = {"authorization": f"Bearer {key}"} if key else {}
    body = {"model": MODEL, "messages": [{"role": "user", "content": text}], "max_tokens": 2, **fields}
    return httpx.post(f"{url}/v1/chat/completions", json=body, headers=headers, timeout=60)


@pytest.fixture
def key_file(tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """A file of three keys: without limits, one request at once, two a minute."""
    keys = {name: new_key() for name in ("ann", "bob", "cid")}
    limits = {"ann": "", "bob": "concurrency = 1\n", "cid": "rate = 2\n"}
    path = tmp_path / "keys.toml"
    path.write_text("".join(f'[{name}]\nhash = "{hashed}"\n{limits[name]}' for name, (_, hashed) in keys.items()))
    return path, {name: secret for name, (secret, _) in keys.items()}


def test_only_those_with_a_key_may_ask_and_health_is_for_all() -> None:
    with running_server("--api-key", "one", "--api-key", "two") as server:
        assert ask(server.url, "one").status_code == ask(server.url, "two").status_code == 200
        for key in (None, "three"):
            refused = ask(server.url, key)
            error = refused.json()["error"]
            assert (refused.status_code, error["code"], error["param"]) == (401, "invalid_api_key", None)
            assert refused.headers["www-authenticate"] == "Bearer"
        assert httpx.get(f"{server.url}/v1/models").status_code == 401
        assert httpx.get(f"{server.url}/healthz").status_code == 200
        client = openai.OpenAI(base_url=f"{server.url}/v1", api_key="three", max_retries=0)
        with client, pytest.raises(openai.AuthenticationError):
            client.models.list()


def test_the_admin_key_opens_everything_and_other_keys_no_adapters() -> None:
    admin = "an-admin-key-of-some-length"
    with running_server("--api-key", "one", "--admin-key", admin) as server:
        assert ask(server.url, admin).status_code == 200
        change = {"name": "x", "path": "y"}
        answers = [
            httpx.post(f"{server.url}/v1/adapters", json=change, headers={"authorization": f"Bearer {key}"}).status_code
            for key in ("one", admin)
        ]
        assert answers[0] == 401
        assert answers[1] not in (401, 403)


def test_each_key_has_limits_of_its_own(key_file: tuple[Path, dict[str, str]]) -> None:
    path, keys = key_file
    with running_server("--api-keys", str(path)) as server:
        with ThreadPoolExecutor(3) as pool:
            bobs = [answer.status_code for answer in pool.map(lambda _: ask(server.url, keys["bob"], **LONG), range(3))]
        assert sorted(bobs) == [200, 429, 429]
        assert ask(server.url, keys["bob"]).status_code == 200
        cids = [ask(server.url, keys["cid"]) for _ in range(3)]
        assert [answer.status_code for answer in cids] == [200, 200, 429]
        assert [answer.headers["x-ratelimit-remaining-requests"] for answer in cids] == ["1", "0", "0"]
        assert 1 <= int(cids[2].headers["retry-after"]) <= 30
        assert cids[2].json()["error"]["code"] == "rate_limit_exceeded"
        assert [ask(server.url, keys["ann"]).status_code for _ in range(4)] == [200] * 4


def test_stored_responses_are_seen_by_the_key_that_made_them(key_file: tuple[Path, dict[str, str]]) -> None:
    path, keys = key_file
    with running_server("--api-keys", str(path)) as server:
        ann, bob = (openai.OpenAI(base_url=f"{server.url}/v1", api_key=keys[n], max_retries=0) for n in ("ann", "bob"))
        with ann, bob:
            made = ann.responses.create(model=MODEL, input="Hello", max_output_tokens=16)
            assert ann.responses.retrieve(made.id).id == made.id
            with pytest.raises(openai.NotFoundError):
                bob.responses.retrieve(made.id)
            with pytest.raises(openai.NotFoundError):
                bob.responses.create(model=MODEL, previous_response_id=made.id, input="Go on.")


@pytest.mark.parametrize(
    ("text", "word"),
    [("[ann]\n", "no hash"), ("[ann", "no TOML"), ('[ann]\nhash = "sha256:12"', "64 hex"),
     ('[ann]\nhash = "secret"', "64 hex"), ('[ann]\nhash = "sha256:' + "0" * 64 + '"\nrate = 0', "rate")],
)  # fmt: skip
def test_a_key_file_that_cannot_be_used_is_said_in_one_line(tmp_path: Path, text: str, word: str) -> None:
    path = tmp_path / "keys.toml"
    path.write_text(text)
    result = trammel("serve", "--api-keys", str(path))
    assert (result.exit_code, word in result.stderr) == (2, True), result.stderr
    assert "secret" not in result.stderr


def test_a_new_key_is_shown_once_and_its_entry_fits_the_file(tmp_path: Path) -> None:
    made = trammel("key", "ann")
    path = tmp_path / "keys.toml"
    path.write_text(made.stdout)
    with running_server("--api-keys", str(path)) as server:
        assert ask(server.url, made.stderr.strip()).status_code == 200
    assert made.stderr.strip() not in made.stdout


def test_pages_of_other_origins_may_not_ask_unless_they_are_named() -> None:
    preflight = {"origin": "https://a.example", "access-control-request-method": "POST"}
    with running_server("--cors-origin", "https://a.example", "--api-key", "one") as server:
        url = f"{server.url}/v1/chat/completions"
        allowed = httpx.options(url, headers=preflight)
        assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (200, "https://a.example")
        assert httpx.options(url, headers={**preflight, "origin": "https://b.example"}).status_code == 400


def test_no_cors_headers_are_sent_if_nobody_asked_for_them(server_url: str) -> None:
    headers = {"origin": "https://a.example", "access-control-request-method": "POST"}
    answer = httpx.options(f"{server_url}/v1/chat/completions", headers=headers)
    assert answer.status_code == 405
    assert "access-control-allow-origin" not in answer.headers


def test_a_body_limit_is_held(start_server: Callable[..., ServerProcess]) -> None:
    server = start_server("--body-limit", "0.01")
    assert ask(server.url).status_code == 200
    assert ask(server.url, text="word " * 4000).status_code == 413


def test_every_answer_has_the_requests_id_and_the_log_says_no_prompt(
    start_server: Callable[..., ServerProcess],
) -> None:
    server = start_server("--log-level", "info", "--log-format", "json", "--api-key", "my-secret-key")
    own = httpx.post(
        f"{server.url}/v1/chat/completions",
        json={"model": MODEL, "messages": [{"role": "user", "content": "a private word"}], "max_tokens": 2},
        headers={"authorization": "Bearer my-secret-key", "x-request-id": "mine-7"},
        timeout=60,
    )
    made = ask(server.url)
    odd = httpx.get(f"{server.url}/healthz", headers={"x-request-id": "two words"})
    assert own.headers["x-request-id"] == "mine-7"
    assert made.headers["x-request-id"].startswith("req_")
    assert odd.headers["x-request-id"].startswith("req_")
    log = server.stop()
    entries = [json.loads(line) for line in log.splitlines()]
    (entry,) = [entry for entry in entries if entry.get("request_id") == "mine-7"]
    assert (entry["method"], entry["path"], entry["status"]) == ("POST", "/v1/chat/completions", 200)
    assert entry["key"] == f"key-{hash_of('my-secret-key').hex()[:12]}"
    assert entry["milliseconds"] > 0
    assert "private" not in log
    assert "my-secret-key" not in log


def test_prompts_are_logged_if_that_is_asked_for(start_server: Callable[..., ServerProcess]) -> None:
    server = start_server("--log-level", "info", "--log-prompts")
    assert ask(server.url, text="a private word").status_code == 200
    assert "a private word" in server.stop()


def test_the_server_speaks_https_where_it_has_a_certificate(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificate, and is not installed")
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-keyout", key, "-out", certificate, "-days", "1", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.create_default_context(cafile=str(certificate))
    server = ServerProcess(*QUIET, "--tls-certificate", str(certificate), "--tls-key", str(key))
    try:
        server.wait_until_ready(context)
        with pytest.raises(httpx.TransportError):
            httpx.get(server.url.replace("https", "http") + "/healthz")
    finally:
        server.stop()
