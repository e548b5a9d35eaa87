"""The gateway against servers on loopback that do what servers should not."""

import asyncio
import gzip
import ipaddress
import logging
import shutil
import socket
import ssl
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest

from server.tools import ToolError
from server.tools.definition import UncertainError
from server.tools.gateway.address import ForbiddenError, Guard, is_public
from server.tools.gateway.answer import keep_fields, shorten, size_of
from server.tools.gateway.credentials import CredentialError, Secrets
from server.tools.gateway.gateway import Gateway, GatewaySettings
from server.tools.gateway.pace import Breaker, BusyError, Pace
from server.tools.gateway.request import Request
from server.tools.openapi.operation import Scheme
from tests.server.tools.hostile import AnyServer, any_server, ok

SECRET = "s3cret-value-of-the-test"


def gateway(server: AnyServer, *, internal: bool = True, hosts: tuple[str, ...] = (), **fields: Any) -> Gateway:
    places = (server.place,) if internal else ()
    return Gateway("api", GatewaySettings((server.place, *hosts), places, **fields), Secrets())


def get(server: AnyServer, path: str = "/a", method: str = "GET", **fields: Any) -> Request:
    return Request(method, f"{server.url}{path}", **fields)


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.1.2.3", "192.168.0.1", "172.16.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
     "255.255.255.255", "198.18.0.1", "::1", "::", "fe80::1", "fc00::1", "fec0::1", "ff02::1", "::ffff:127.0.0.1",
     "::ffff:169.254.169.254", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "2001:db8::1",
     "2002:a9fe:a9fe::1"],
)  # fmt: skip
def test_addresses_of_this_machine_and_its_network_are_not_public(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ["1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "64:ff9b::101:101"])
def test_addresses_elsewhere_are_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1", "127.1", "2130706433", "0x7f.1", "[::1]", "[::ffff:127.0.0.1]"]
)
async def test_no_spelling_of_loopback_gets_through(host: str) -> None:
    with any_server() as server:
        url = f"http://{host}:{server.port}/"
        place = f"{host.strip('[]')}:{server.port}"
        door = Gateway("api", GatewaySettings((place,)), Secrets())
        with pytest.raises(ToolError, match=r"not made|can't be reached"):
            await door.send(Request("GET", url))
        await door.aclose()
    assert server.seen == []


async def test_hosts_and_methods_that_were_not_named_are_refused() -> None:
    with any_server() as server, any_server() as other:
        door = gateway(server, methods=("GET",))
        for request in (get(other), get(server, method="POST"), Request("GET", "file:///etc/passwd")):
            with pytest.raises(ToolError, match="not made"):
                await door.send(request)
        assert (await door.send(get(server))).data() == {"path": "/a"}
        await door.aclose()
    assert other.seen == []
    assert len(server.seen) == 1


def test_an_exception_is_for_the_host_it_names_and_a_clouds_own_address_must_be_spelled_out() -> None:
    guard = Guard(frozenset(), ("intranet", "10.0.0.0/8", "box:8080"))
    guard.check_address("intranet", 80, "192.168.1.1")
    guard.check_address("any", 80, "10.2.3.4")
    guard.check_address("box", 8080, "127.0.0.1")
    for host, address in (("box", "127.0.0.1"), ("evil", "127.0.0.1"), ("intranet", "169.254.169.254")):
        with pytest.raises(ForbiddenError):
            guard.check_address(host, 80, address)
    Guard(frozenset(), ("169.254.169.254",)).check_address("x", 80, "169.254.169.254")


@pytest.mark.parametrize("address", ["::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1", "fe80::1"])
def test_no_name_leads_to_a_clouds_own_address_in_the_form_of_another(address: str) -> None:
    with pytest.raises(ForbiddenError):
        Guard(frozenset(), ("intranet",)).check_address("intranet", 80, address)
    Guard(frozenset(), ("169.254.169.254", "fe80::/10")).check_address("intranet", 80, address)


async def test_a_name_is_resolved_once_and_the_address_that_was_checked_is_the_one_connected_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A name that is public when it is looked at and loopback when it is used, and the other way round."""
    answers: list[str] = []
    asked: list[str] = []

    async def resolve(host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (answers.pop(0), port))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
    with any_server() as server:
        place = f"api.test:{server.port}"
        request = Request("GET", f"http://{place}/a")
        answers[:] = ["127.0.0.1", "8.8.8.8"]
        door = Gateway("api", GatewaySettings((place,), (place,)), Secrets())
        assert (await door.send(request)).status == 200
        assert asked == ["api.test"]
        assert server.seen[0][2]["host"] == place
        await door.aclose()
        answers[:] = ["127.0.0.1"]
        strict = Gateway("api", GatewaySettings((place,)), Secrets())
        with pytest.raises(ToolError, match="an address of this machine"):
            await strict.send(request)
        await strict.aclose()
    assert len(server.seen) == 1


async def test_tls_holds_the_server_to_the_name_though_the_address_was_chosen_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificate, and is not installed")
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-keyout", key, "-out", certificate, "-days", "1", "-subj", "/CN=api.test",
         "-addext", "subjectAltName=DNS:api.test"],
        check=True, capture_output=True,
    )  # fmt: skip

    async def resolve(host: str, port: int, **_: Any) -> list[Any]:
        return [(2, 1, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
    believed = ssl.create_default_context(cafile=str(certificate))
    with any_server() as server:
        own = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        own.load_cert_chain(certificate, key)
        server.server.socket = own.wrap_socket(server.server.socket, server_side=True)
        for name, is_right in (("api.test", True), ("other.test", False)):
            place = f"{name}:{server.port}"
            door = Gateway("api", GatewaySettings((place,), (place,), retries=0), Secrets(), context=believed)
            request = Request("GET", f"https://{place}/a")
            if is_right:
                assert (await door.send(request)).status == 200
            else:
                with pytest.raises(ToolError, match="can't be reached"):
                    await door.send(request)
            await door.aclose()
    assert [headers["host"] for _, _, headers in server.seen] == [f"api.test:{server.port}"]


async def test_a_name_with_one_public_and_one_private_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    async def resolve(host: str, port: int, **_: Any) -> list[Any]:
        return [(2, 1, 6, "", (address, port)) for address in ("8.8.8.8", "10.0.0.1")]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
    with pytest.raises(ForbiddenError):
        await Guard(frozenset()).resolve("api.test", 80)


@pytest.mark.parametrize(
    "target",
    [
        "http://169.254.169.254/latest/",
        "http://127.0.0.1:1/",
        "http://localhost/",
        "file:///etc/passwd",
        "//evil.test/",
    ],
)
async def test_a_redirect_leads_nowhere_but_to_hosts_that_were_named(target: str) -> None:
    with any_server(lambda _: (302, {"location": target}, b"")) as server:
        door = gateway(server)
        with pytest.raises(ToolError, match="not made"):
            await door.send(get(server), may_repeat=True)
        await door.aclose()
    assert len(server.seen) == 1


async def test_a_read_follows_a_redirect_within_its_hosts_and_a_write_follows_none() -> None:
    with any_server(lambda path: ok(path) if path == "/b" else (307, {"location": "/b"}, b"")) as server:
        door = gateway(server)
        assert (await door.send(get(server), may_repeat=True)).data() == "/b"
        with pytest.raises(UncertainError, match="elsewhere"):
            await door.send(get(server, method="POST", body=b"{}"))
        await door.aclose()
    with any_server(lambda _: (302, {"location": "/a"}, b"")) as ring:
        door = gateway(ring)
        with pytest.raises(ToolError, match="place to place"):
            await door.send(get(ring), may_repeat=True)
        await door.aclose()


async def test_a_gzip_bomb_and_an_endless_answer_stop_at_the_limit() -> None:
    bomb = gzip.compress(b"0" * 200_000_000, 9)
    packed = {"content-encoding": "gzip", "content-type": "text/plain"}
    answers = {
        "/bomb": (200, packed, bomb),
        "/large": (200, {}, b"x" * 2_000_000),
        "/br": (200, {"content-encoding": "br"}, b"x"),
        "/broken": (200, packed, b"no gzip"),
        "/right": (200, packed, gzip.compress(b"right")),
    }
    with any_server(lambda path: answers[path]) as server:
        door = gateway(server, response_limit=1_000_000)
        for path in ("/bomb", "/large", "/br", "/broken"):
            with pytest.raises(ToolError, match="HTTP 200, but"):
                await door.send(get(server, path), may_repeat=True)
        assert (await door.send(get(server, "/right"))).data() == "right"
        for method in ("POST", "GET"):
            done = await door.send(get(server, "/bomb", method=method))
            assert done.data() == {"status": 200, "note": "the answer is larger than 1000000 bytes"}
        await door.aclose()


@pytest.mark.parametrize("headers", [{"content-encoding": "br"}, {}])
@pytest.mark.parametrize(("method", "status"), [("POST", 500), ("POST", 502), ("GET", 502), ("POST", 422)])
async def test_an_error_whose_answer_is_not_read_is_still_that_error(
    headers: dict[str, str], method: str, status: int
) -> None:
    with any_server(lambda _: (status, headers, b"x" * 2000)) as server:
        door = gateway(server, response_limit=1000)
        answer = await door.send(get(server, method=method))
        assert (answer.status, answer.body, bool(answer.note)) == (status, b"", True)
        await door.aclose()


async def test_a_write_that_left_is_uncertain_though_its_last_attempt_never_left() -> None:
    errors: list[type[httpx.TransportError]] = [httpx.ReadError, httpx.ConnectError]

    def answer(_: httpx.Request) -> httpx.Response:
        raise errors.pop(0)("gone")

    place = "api.test:80"
    door = Gateway("api", GatewaySettings((place,), retries=1), Secrets())
    await door.aclose()
    door._client = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    with pytest.raises(UncertainError, match="can't be reached"):
        await door.send(Request("POST", f"http://{place}/"), may_repeat=True)
    await door.aclose()
    assert errors == []


SCHEMES = {
    "head": Scheme("apiKey", "header", "X-Key"),
    "query": Scheme("apiKey", "query", "key"),
    "cookie": Scheme("apiKey", "cookie", "sid"),
    "bearer": Scheme("bearer"),
    "basic": Scheme("basic"),
}


@pytest.mark.parametrize("scheme", list(SCHEMES))
async def test_a_secret_is_in_the_request_and_nowhere_else(
    scheme: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("TRAMMEL_SECRET_MINE", SECRET)
    caplog.set_level(logging.DEBUG)
    with any_server() as server:
        server.answer = lambda path: ok({"echo": str(server.seen[-1])})
        door = gateway(server, credentials={scheme: "mine"})
        request = get(server, "/a?x=1", security=((scheme,),), schemes=((scheme, SCHEMES[scheme]),))
        answer = await door.send(request, tool="t", label="/a")
        await door.aclose()
    sent = str(server.seen[0])
    shown = "czNjcmV0LXZhbHVlLW9mLXRoZS10ZXN0" if scheme == "basic" else SECRET
    assert shown in sent
    for place in (caplog.text, str(answer.data()), repr(answer), str(request.show()), repr(request), repr(door)):
        assert SECRET not in place
        assert shown not in place
    assert "api t: GET 127.0.0.1/a: 2xx" in caplog.text


@pytest.mark.parametrize(
    "written", ["ab/c+d== e", "ab%2Fc%2Bd%3D%3D%20e", "ab%2fc%2bd%3d%3d+e", "ab/c%2Bd%3D%3D%20e", "ab/c+d==%20e"]
)
async def test_a_secret_of_the_query_is_blotted_however_a_link_spells_it(
    written: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRAMMEL_SECRET_MINE", "ab/c+d== e")
    with any_server(lambda _: ok({"next": f"/a?page=2&key={written}&x=1"})) as server:
        door = gateway(server, credentials={"query": "mine"})
        request = get(server, security=(("query",),), schemes=(("query", SCHEMES["query"]),))
        assert (await door.send(request)).data() == {"next": "/a?page=2&key=[secret]&x=1"}
        await door.aclose()


async def test_a_missing_secret_is_told_by_its_schemes_name_and_nothing_is_sent(tmp_path: Path) -> None:
    schemes = (("head", SCHEMES["head"]), ("odd", Scheme("unsupported")))
    with any_server() as server:
        for security, word in (((("head",),), "for head"), ((("odd",),), "odd")):
            door = gateway(server)
            with pytest.raises(ToolError, match=word):
                await door.send(get(server, security=security, schemes=schemes))
            await door.aclose()
        door = gateway(server)
        await door.send(get(server, security=(("head",), ()), schemes=schemes))
        await door.aclose()
    assert len(server.seen) == 1
    file = tmp_path / "secrets.toml"
    file.write_text('mine = "a\\nb"')
    file.chmod(0o644)
    with pytest.raises(CredentialError, match="others may read"):
        Secrets(file).get("mine")
    file.chmod(0o600)
    assert Secrets(file).get("mine") == "a\nb"
    assert Secrets(file).get("other") is None


async def test_cookies_of_one_call_are_not_sent_with_the_next() -> None:
    with any_server(lambda _: ok({}, **{"set-cookie": "session=of-somebody; Path=/"})) as server:
        door = gateway(server)
        await door.send(get(server))
        await door.send(get(server))
        await door.aclose()
    assert "cookie" not in server.seen[1][2]


async def test_only_what_may_be_repeated_is_tried_again() -> None:
    answers: list[Any] = []
    with any_server(lambda _: answers.pop(0)) as server:
        door = gateway(server)
        answers[:] = [(503, {"retry-after": "0"}, b""), ok("late")]
        assert (await door.send(get(server), may_repeat=True)).data() == "late"
        answers[:] = [(503, {}, b""), ok("never")]
        assert (await door.send(get(server, method="POST"))).status == 503
        await door.aclose()
    assert len(server.seen) == 3


async def test_a_source_that_does_not_answer_is_left_alone_and_tried_again_later() -> None:
    now = [0.0]
    breaker = Breaker(3, 30.0, lambda: now[0])
    with any_server(lambda _: (500, {}, b"")) as server:
        door = Gateway("api", GatewaySettings((server.place,), (server.place,)), Secrets(), breaker=breaker)
        for _ in range(3):
            await door.send(get(server))
        with pytest.raises(ToolError, match="does not answer"):
            await door.send(get(server))
        now[0] = 31.0
        server.answer = lambda _: ok(1)
        assert (await door.send(get(server))).status == 200
        assert not breaker.is_open
        await door.aclose()
    assert len(server.seen) == 4


async def test_a_call_that_takes_too_long_is_given_up_and_its_outcome_unknown() -> None:
    with any_server(lambda _: asyncio.run(_later())) as server:
        door = gateway(server)
        with pytest.raises(UncertainError, match=r"within 0\.2 s"):
            await door.send(get(server, method="POST"), timeout=0.2)
        await door.aclose()


async def _later() -> Any:
    await asyncio.sleep(1)
    return ok(1)


async def test_the_rate_is_a_bucket_and_concurrency_has_places() -> None:
    now = [0.0]
    pace = Pace(1, 6, lambda: now[0])
    for _ in range(6):
        async with pace.turn():
            pass
    with pytest.raises(BusyError, match="6 times a minute"):
        async with pace.turn():
            pass
    now[0] = 10.0
    async with pace.turn():
        pass


def test_answers_are_cut_to_fields_and_size_and_stay_json() -> None:
    data = {"items": [{"id": n, "owner": {"name": "a", "mail": "b"}, "text": "x" * 50} for n in range(500)], "page": 1}
    kept = keep_fields(data, ("items.id", "items.owner.name"))
    assert kept["items"][3] == {"id": 3, "owner": {"name": "a"}}
    assert "page" not in kept
    short = shorten(data, 2000)
    assert size_of(short) <= 2000
    assert short["page"] == 1
    assert short["items"][-1].endswith("more]")
    assert int(short["items"][-1].split()[1]) + len(short["items"]) - 1 == 500
    assert shorten("y" * 10_000, 1000).startswith("yyy")
    assert shorten({"a": 1}, 1000) == {"a": 1}
