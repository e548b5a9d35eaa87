"""A server on loopback that answers what a test wants it to, and small documents for it."""

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Json = dict[str, Any]
Answer = tuple[int, dict[str, str], bytes]


class AnyServer:
    """Each request's method, target and headers are in `seen`; `answer` says what comes back."""

    def __init__(self, answer: Callable[[str], Answer]) -> None:
        self.answer = answer
        self.seen: list[tuple[str, str, dict[str, str]]] = []
        self.bodies: list[bytes] = []
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self.server.daemon_threads = True
        self.server.any = self  # type: ignore[attr-defined]
        self.port = self.server.server_port
        self.place = f"127.0.0.1:{self.port}"
        self.url = f"http://{self.place}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def handle_any(self) -> None:
        server: AnyServer = self.server.any  # type: ignore[attr-defined]
        server.seen.append((self.command, self.path, {key.lower(): value for key, value in self.headers.items()}))
        server.bodies.append(self.rfile.read(int(self.headers.get("content-length") or 0)))
        status, headers, body = server.answer(self.path)
        self.send_response(status)
        for name, value in {"content-length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # whoever has seen enough hangs up
                self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_PATCH = handle_any  # noqa: N815

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def any_server(answer: Callable[[str], Answer] = lambda path: ok({"path": path})) -> Iterator[AnyServer]:
    server = AnyServer(answer)
    thread = threading.Thread(target=server.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.server.shutdown()
        server.server.server_close()
        thread.join()


def ok(data: Any, **headers: str) -> Answer:
    return 200, {"content-type": "application/json", **headers}, json.dumps(data).encode()


def spec(server: str | None = "https://api.example/v1", paths: Json | None = None, **fields: Any) -> Json:
    """A document with one read unless `paths` says otherwise."""
    found = {"/things/{id}": {"get": read("get_thing", _ID)}} if paths is None else paths
    servers = {} if server is None else {"servers": [{"url": server}]}
    return {"openapi": "3.1.0", "info": {"title": "t", "version": "1"}, **servers, "paths": found, **fields}


_ID = {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}


def read(name: str, *parameters: Json, **fields: Any) -> Json:
    return {
        "operationId": name,
        "parameters": list(parameters),
        "responses": {"200": {"description": "ok"}},
        **fields,
    }


def written(document: Json) -> bytes:
    return json.dumps(document).encode()
