"""Registered tools over HTTP and at the command line, called by the model that ships, against an API on loopback."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import Result
from typer.testing import CliRunner

from server.tools_command import app
from tests.conftest import running_server
from tests.server.tools.big_api import document as big_document
from tests.server.tools.checking_api import KEY, CheckingApi, checking_api

Json = dict[str, Any]
ADMIN = "admin-key-of-the-test"
HEADERS = {"authorization": f"Bearer {ADMIN}"}
TOOLS = str(Path(__file__).with_name("agent_tools.py"))
PARIS = [{"role": "user", "content": "What is the weather in Paris?"}]


def document(url: str, city: str = "city") -> Json:
    done = {"200": {"description": "ok"}}
    name = {"name": city, "in": "query", "required": True, "schema": {"type": "string", "maxLength": 40}}
    weather = {"operationId": "get_weather_of", "summary": "Get the weather for a city", "parameters": [name]}
    drop = {"operationId": "drop_report", "summary": "Delete the weather report of a city", "parameters": [name]}
    paths = {"/weather": {"get": {**weather, "responses": done}, "delete": {**drop, "responses": done}}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Weather", "version": "1"},
        "servers": [{"url": url}],
        "security": [{"key": []}],
        "paths": paths,
        "components": {"securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "X-Api-Key"}}},
    }


@pytest.fixture(scope="module")
def api() -> Iterator[CheckingApi]:
    with checking_api(document) as running:
        yield running


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tools") / "trammel.db"


@pytest.fixture(scope="module")
def url(api: CheckingApi, store: Path) -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRAMMEL_ADMIN_KEY", ADMIN)
        patch.setenv("TRAMMEL_SECRET_WEATHER", KEY)
        patch.setenv("AGENT_TALLY", str(store.with_name("tally")))
        with running_server("--store", str(store), "--tools", TOOLS) as server:
            place = api.url.removeprefix("http://")
            settings = {"internal": [place], "credentials": {"key": "weather"}}
            body = {"name": "weather", "url": f"{api.url}/openapi.json", "settings": settings}
            added = httpx.post(f"{server.url}/v1/tools/sources", json=body, headers=HEADERS, timeout=30)
            assert added.status_code == 201, added.text
            assert added.json()["added"] == ["get_weather_of", "drop_report"]
            yield server.url


def post(url: str, path: str, body: Json | None = None) -> httpx.Response:
    return httpx.post(f"{url}/v1/tools{path}", json=body, headers=HEADERS, timeout=30)


def ask(url: str, *tools: str, **fields: Any) -> Json:
    options = {"run_tools": True, "tools": list(tools), "max_steps": 2}
    body = {"model": "trammel-tiny", "messages": PARIS, "tool_choice": "required", "parallel_tool_calls": False,
            "max_tokens": 40, "seed": 1, "trammel": options, **fields}  # fmt: skip
    response = httpx.post(f"{url}/v1/chat/completions", json=body, timeout=60)
    assert response.status_code == 200, response.text
    run: Json = response.json()["trammel"]
    return run


def trammel(store: Path, *words: str) -> Result:
    """`trammel tools …`, in this process: a new one takes two seconds to import what it needs."""
    return CliRunner().invoke(app, [*words, "--store", str(store)], env={"TRAMMEL_SECRET_WEATHER": KEY})


def test_the_model_calls_an_operation_and_the_api_understands_it(url: str, api: CheckingApi) -> None:
    run = ask(url, "get_weather_of")
    step = run["steps"][0]
    assert (step["tool"], step["outcome"]) == ("get_weather_of", "ok")
    assert "Data of a third party" in step["result"]
    assert api.seen[-1][0] == "get_weather_of"
    assert KEY not in str(run)
    page = httpx.get(f"{url}/metrics").text
    assert 'trammel_gateway_requests_total{outcome="2xx",source="weather"}' in page


def test_an_approval_shows_the_very_request_that_is_sent(url: str, api: CheckingApi) -> None:
    run = ask(url, "drop_report")
    (approval,) = run["approvals"]
    request = approval["request"]
    assert request["method"] == "DELETE"
    assert request["credentials"] == [["key"]]
    before = len(api.seen)
    place = f"{url}/v1/runs/{run['id']}/approvals/{approval['id']}"
    assert httpx.post(place, json={"approve": True, "hash": approval["hash"]}).status_code == 200
    for _ in range(200):
        if len(api.seen) > before:
            break
        time.sleep(0.05)
    assert api.url + api.seen[before][1] == request["url"]


def test_the_next_request_has_the_new_schema_without_a_restart(url: str, api: CheckingApi) -> None:
    api.replace(document(api.url, city="place"))
    told = post(url, "/sources/weather/refresh").json()
    assert told["changed"] == ["get_weather_of", "drop_report"]
    run = ask(url, "get_weather_of")
    assert '"place":' in run["steps"][0]["arguments"]
    assert run["steps"][0]["outcome"] == "ok"
    api.replace(document(api.url))
    assert post(url, "/sources/weather/refresh").json()["changed"]
    assert post(url, "/sources/weather/refresh").json()["is_unchanged"]


def test_tools_are_found_by_words_over_http_and_at_the_command_line(url: str, store: Path) -> None:
    asked = {"query": "Please delete the weather reports", "limit": "1"}
    (hit,) = httpx.get(f"{url}/v1/tools/search", params=asked).json()["data"]
    assert (hit["name"], hit["word_rank"], hit["vector_rank"]) == ("drop_report", 1, None)
    assert "delete" in hit["words"]
    told = trammel(store, "search", "delete the weather report").output
    assert "drop_report" in told.splitlines()[0]
    fault = httpx.get(f"{url}/v1/tools/search")
    assert (fault.status_code, fault.json()["error"]["param"]) == (400, "query")


def test_many_tools_are_offered_by_the_users_words(api: CheckingApi, store: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRAMMEL_ADMIN_KEY", ADMIN)
        with running_server() as server:
            body = {"name": "big", "document": big_document(api.url), "settings": {"internal": ["127.0.0.1"]}}
            added = httpx.post(f"{server.url}/v1/tools/sources", json=body, headers=HEADERS, timeout=60)
            assert len(added.json()["added"]) == 500, added.text
            options = {"run_tools": True, "max_steps": 1}
            asked = {"model": "trammel-tiny", "messages": PARIS, "max_tokens": 20, "trammel": options}
            answer = httpx.post(f"{server.url}/v1/chat/completions", json=asked, timeout=60).json()
            assert answer["usage"]["prompt_tokens"] < 2000


def test_what_is_not_there_is_404_and_says_so(url: str) -> None:
    for path in ("/sources/nope/refresh", "/nope", "/nope/decide", "/nope/call"):
        answer = post(url, path, {"version": "1", "approve": True} if path.endswith("decide") else {})
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "tool_not_found"), path
        assert "nope" in answer.json()["error"]["message"]
    gone = httpx.delete(f"{url}/v1/tools/sources/nope", headers=HEADERS)
    assert (gone.status_code, gone.json()["error"]["message"]) == (
        404,
        "There is no source nope; there are: weather.",
    )


def test_tools_are_listed_for_all_and_changed_with_the_admin_key_only(url: str) -> None:
    listed = {one["name"]: one for one in httpx.get(f"{url}/v1/tools").json()["data"]}
    assert listed["get_weather_of"]["source"] == "weather"
    assert listed["get_weather"]["source"] is None
    shown = httpx.get(f"{url}/v1/tools/get_weather_of").json()
    assert shown["parameters"]["required"] == ["city"]
    assert httpx.get(f"{url}/v1/tools/nope").json()["error"]["code"] == "tool_not_found"
    for method, path in (("GET", "/sources"), ("POST", "/sources"), ("DELETE", "/sources/weather"),
                         ("POST", "/sources/weather/refresh"), ("GET", "/sources/weather/diff"),
                         ("POST", "/get_weather_of"), ("POST", "/get_weather_of/call"),
                         ("POST", "/get_weather_of/request"), ("POST", "/get_weather_of/decide")):  # fmt: skip
        assert httpx.request(method, f"{url}/v1/tools{path}", json={}).status_code == 401, path
    found = httpx.get(f"{url}/v1/tools/sources", headers=HEADERS)
    assert found.json()["data"][0]["settings"]["credentials"] == {"key": "weather"}
    assert KEY not in found.text


@pytest.mark.parametrize(
    "body",
    [
        {"name": "x"},
        {"name": "x", "url": "file:///etc/passwd"},
        {"name": "x", "url": "/etc/passwd"},
        {"name": "x", "url": "http://169.254.169.254/openapi.json"},
        {"name": "x", "url": "http://localhost:1/openapi.json"},
        {"name": "x", "document": "no: document"},
        {"name": "weather", "document": {}},
        {"name": "x", "document": {}, "settings": {"colour": 1}},
    ],
)
def test_a_source_that_can_not_be_is_refused(url: str, body: Json) -> None:
    response = post(url, "/sources", body)
    assert response.status_code == 400, response.text
    assert response.json()["error"]["message"]


def test_a_call_can_be_shown_and_made_by_hand(url: str, api: CheckingApi) -> None:
    shown = post(url, "/get_weather_of/request", {"arguments": {"city": "a b"}}).json()["request"]
    assert shown["url"] == f"{api.url}/weather?city=a%20b"
    made = [post(url, "/get_weather_of/call", {"arguments": {"city": "a b"}}).json() for _ in range(2)]
    assert made[0]["data"]["parameters"] == {"city": "a b"}
    assert made[0] == made[1]
    wrong = post(url, "/get_weather_of/call", {"arguments": {"town": 1}})
    assert (wrong.status_code, wrong.json()["error"]["param"]) == (400, "arguments")


def test_the_command_line_and_a_running_server_see_each_other(url: str, store: Path, api: CheckingApi) -> None:
    assert "get_weather_of" in trammel(store, "list").stdout
    assert '"object": "tool"' in trammel(store, "show", "get_weather_of").stdout
    assert trammel(store, "refresh", "weather").stdout == "unchanged\n"
    assert trammel(store, "diff", "weather").stdout == ""
    dry = trammel(store, "call", "get_weather_of", '{"city": "Oslo"}', "--dry-run")
    assert f"{api.url}/weather?city=Oslo" in dry.stdout
    said = trammel(store, "set", "get_weather_of", "trust=trusted", "fields=operation", "timeout=5")
    assert said.stdout == 'get_weather_of: on {"trust": "trusted", "timeout": 5.0, "fields": ["operation"]}\n'
    assert trammel(store, "set", "get_weather_of", "effect=harmless").exit_code == 2
    assert "trusted" in trammel(store, "set", "get_weather_of", "--off").stdout
    for _ in range(100):
        names = {one["name"]: one["status"] for one in httpx.get(f"{url}/v1/tools").json()["data"]}
        if names["get_weather_of"] == "off":
            break
        time.sleep(0.1)
    assert names["get_weather_of"] == "off"
    assert post(url, "/get_weather_of/call", {"arguments": {"city": "a"}}).json()["error"]["code"] == "tool_not_live"
    assert post(url, "/get_weather_of", {"is_enabled": True, "overrides": {}}).json()["status"] == "live"
    missing = trammel(store, "show", "nope")
    assert (missing.exit_code, missing.stderr) == (2, "trammel: no source has a tool nope\n")


def test_500_operations_are_added_at_the_command_line(store: Path, url: str) -> None:
    with checking_api(big_document) as big:
        place = big.url.removeprefix("http://")
        words = ("add", "openapi", f"{big.url}/openapi.json", "--name", "big", "--internal", place)
        done = trammel(store, *words, "--credential", "key=weather")
        assert "  500 added" in done.stdout, done.stderr
        assert len(trammel(store, "list").stdout.splitlines()) == 502
        called = trammel(store, "call", "list_order", '{"limit": 3, "filter": {"status": "open"}}')
        assert '"list_order"' in called.stdout, called.stderr
        assert trammel(store, "remove", "big").exit_code == 0


def test_our_own_document_is_a_source_like_any_other(url: str, store: Path) -> None:
    place = url.removeprefix("http://")
    body = {
        "name": "self",
        "url": f"{url}/openapi.json",
        "settings": {"server": url, "internal": [place], "prefix": "me_"},
    }
    told = post(url, "/sources", body).json()
    assert len(told["added"]) > 40
    assert told["omitted"] == {}
    called = next(name for name in told["added"] if name.startswith("me_list_models"))
    models = post(url, f"/{called}/call", {}).json()["data"]
    assert models["data"][0]["id"] == "trammel-tiny"
    assert httpx.delete(f"{url}/v1/tools/sources/self", headers=HEADERS).json()["deleted"]
