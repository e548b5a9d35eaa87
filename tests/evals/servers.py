"""Servers that answer as a script says, for what a real one does only on bad days."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@contextmanager
def scripted(*answers: tuple[int, str]) -> Iterator[tuple[str, list[str]]]:
    """A server that gives these answers one after the other, and the keys it was shown."""
    keys: list[str] = []
    left = list(answers)

    class Handler(_Quiet):
        def do_POST(self) -> None:
            keys.append(self.headers["authorization"])
            status, text = left.pop(0)
            self.send_response(status)
            self.send_header("retry-after", "0")
            self.end_headers()
            self.wfile.write(text.encode())

    with _serving(Handler) as url:
        yield url, keys


@contextmanager
def listing(owner: str) -> Iterator[str]:
    """A server that lists one model of this owner, and answers nothing."""

    class Handler(_Quiet):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"data": [{"id": "m", "owned_by": owner}]}).encode())

    with _serving(Handler) as url:
        yield url


class _Quiet(BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@contextmanager
def _serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
