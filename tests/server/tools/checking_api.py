"""A real HTTP server on loopback that holds every request to its OpenAPI document, by openapi-core: none of our code.

What it has understood of a right request is its answer, so that the two ends can be compared. A wrong one is 422.
"""

import base64
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from openapi_core import Config, OpenAPI
from openapi_core.datatypes import RequestParameters
from werkzeug.datastructures import Headers, ImmutableMultiDict

Json = dict[str, Any]
KEY, TOKEN, PERSON = "k3y-of-the-test", "t0ken-of-the-test", "ann:p4ss-of-the-test"
_CONFIG = Config(spec_validator_cls=None, extra_media_type_deserializers={"application/merge-patch+json": json.loads})
SECRETS = {"key": KEY, "query_key": KEY, "token": TOKEN, "person": PERSON}
"""By scheme of `big_api`."""


class _Asked:
    """A request as openapi-core wants it."""

    def __init__(self, handler: BaseHTTPRequestHandler, host: str, path: Json) -> None:
        parts = urlsplit(handler.path)
        pairs = parse_qsl(parts.query, keep_blank_values=True)
        cookies = [one.strip().partition("=") for one in handler.headers.get("cookie", "").split(";") if one.strip()]
        self.host_url = host
        self.path = parts.path
        self.method = handler.command.lower()
        self.content_type = handler.headers.get("content-type", "")
        length = int(handler.headers.get("content-length") or 0)
        self.body = handler.rfile.read(length) if length else None
        self.parameters = RequestParameters(
            query=ImmutableMultiDict([(name, _spaced(name, value)) for name, value in pairs]),
            header=Headers(list(handler.headers.items())),
            cookie=ImmutableMultiDict([(name, unquote(value)) for name, _, value in cookies]),
            path=path,
        )


class CheckingApi:
    """Serves `document`, which may be replaced while it runs, at /openapi.json with an ETag."""

    def __init__(self, make: Callable[[str], Json]) -> None:
        """`make`: the document, for the server's own address."""
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self.server.daemon_threads = True
        self.server.api = self  # type: ignore[attr-defined]
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.seen: list[tuple[str, str]] = []
        """Operation and raw target of the requests that were right."""
        self.faults: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.reads = {"full": 0, "unchanged": 0}
        """Of the document."""
        self.replace(make(self.url))

    def replace(self, document: Json) -> None:
        self.document = document
        self.etag = f'"{abs(hash(json.dumps(document)))}"'
        base = urlsplit(document["servers"][0]["url"].replace("{base}", "v1")).path
        self.patterns = [
            (re.compile(base + re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]*)", re.escape(path)) + "$"), path, item)
            for path, item in document["paths"].items()
        ]

    def check(self, handler: BaseHTTPRequestHandler) -> tuple[int, Json]:
        target = urlsplit(handler.path).path
        method = handler.command.lower()
        found = [(p.match(target), path, item) for p, path, item in self.patterns if p.match(target) and method in item]
        # A literal path comes before one with parameters (https://spec.openapis.org/oas/v3.1.1#paths-object).
        match, place, item = min(
            found, key=lambda one: len(one[0].groupdict()) if one[0] else 0, default=(None, "", {})
        )
        if match is None:
            return 404, {"error": f"there is no {handler.command} {target}"}
        path = {name: unquote(value) for name, value in match.groupdict().items()}
        path |= {f"{sign}{name}": unquote(value) for name, value in match.groupdict().items() for sign in ";."}
        asked = _Asked(handler, self.url, path)
        # The document with this path alone: openapi-core looks through all of them at every request.
        openapi = OpenAPI.from_dict({**self.document, "paths": {place: item}}, config=_CONFIG)
        result = openapi.unmarshal_request(asked)  # type: ignore[arg-type]
        if result.errors:
            causes = [f"{error!r} {error.__cause__!r}" for error in result.errors]
            return 422, {"error": "; ".join(causes)}
        return 200, {
            "operation": item[method]["operationId"],
            "parameters": {
                name: _plain(value)
                for place in ("path", "query", "header", "cookie")
                for name, value in getattr(result.parameters, place).items()
            },
            "body": {**_plain(result.body), **_files(asked)} if _files(asked) else _plain(result.body),
            "security": sorted(str(value) for value in (result.security or {}).values()),
        }


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # the body would wait for the other end to have acknowledged the head

    def answer(self) -> None:
        api: CheckingApi = self.server.api  # type: ignore[attr-defined]
        if self.path == "/openapi.json":
            self._document(api)
            return
        status, body = api.check(self)
        if status == 200:
            api.seen.append((body["operation"], self.path))
            api.headers.append(dict(self.headers.items()))
        else:
            api.faults.append(f"{self.command} {self.path}: {body['error']}")
        self._send(status, json.dumps(body).encode())

    do_GET = do_PUT = do_POST = do_DELETE = do_PATCH = do_HEAD = do_OPTIONS = answer  # noqa: N815 - the base class' names

    def _document(self, api: CheckingApi) -> None:
        if self.headers.get("if-none-match") == api.etag:
            api.reads["unchanged"] += 1
            self._send(304, b"")
            return
        api.reads["full"] += 1
        self._send(200, json.dumps(api.document).encode(), etag=api.etag)

    def _send(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD" and status != 304:
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def checking_api(make: Callable[[str], Json]) -> Iterator[CheckingApi]:
    api = CheckingApi(make)
    thread = threading.Thread(target=api.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield api
    finally:
        api.server.shutdown()
        api.server.server_close()
        thread.join()


def _files(asked: _Asked) -> dict[str, str]:
    """openapi-core gives None for the bytes of a file."""
    if not asked.content_type.startswith("multipart/"):
        return {}
    message = message_from_bytes(f"content-type: {asked.content_type}\r\n\r\n".encode() + (asked.body or b""))
    parts = message.get_payload()
    return {
        str(part.get_param("name", header="content-disposition")): part.get_payload(decode=True).decode()
        for part in parts
        if part.get_filename()
    }


def _spaced(name: str, value: str) -> str:
    """openapi-core looks for the bare `%20` between values, in a text that has been unquoted already."""
    return value.replace(" ", "%20") if name == "range" else value


def _plain(value: Any) -> Any:
    if hasattr(value, "__dataclass_fields__"):
        return {name: _plain(getattr(value, name)) for name in value.__dataclass_fields__}
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value
