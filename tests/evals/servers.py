"""Servers that answer as a script says, for what a real one does only on bad days."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


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
def answering(answer: Callable[[Any], dict[str, Any]]) -> Iterator[str]:
    """A server whose answers depend on nothing but the question, which a model's last bits don't promise."""

    class Handler(_Listing):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            time.sleep(0.05)
            choice = {"message": answer(body), "finish_reason": "stop"}
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"choices": [choice], "usage": {"prompt_tokens": len(body)}}).encode())

    with _serving(Handler) as url:
        yield url


@contextmanager
def listing(owner: str) -> Iterator[str]:
    """A server that lists one model of this owner, and answers nothing."""

    class Handler(_Listing):
        owned_by = owner

    with _serving(Handler) as url:
        yield url


class _Quiet(BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


class _Listing(_Quiet):
    owned_by = "tests"

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"data": [{"id": "m", "owned_by": self.owned_by}]}).encode())


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
