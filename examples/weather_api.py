"""A small API with an OpenAPI document, for docs/tools.md: `python examples/weather_api.py`, then http://127.0.0.1:8090.

It wants the key `weather-key` in X-Api-Key. `--argument place` renames the argument `city`, as APIs do overnight.
"""

import argparse
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

KEY = "weather-key"
REPORTS = {"Paris": "clear", "Oslo": "snow"}


def document(argument: str, words: str) -> dict[str, Any]:
    city = {"name": argument, "in": "query", "required": True, "schema": {"type": "string", "maxLength": 40}}
    named = {"name": "city", "in": "path", "required": True, "schema": {"type": "string", "maxLength": 40}}
    responses = {"200": {"description": "Done", "content": {"application/json": {}}}}
    read = {"operationId": "get_report", "summary": words, "parameters": [city], "responses": responses}
    drop = {"operationId": "drop_report", "summary": "Drop a report", "parameters": [named], "responses": responses}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Weather", "version": "1"},
        "servers": [{"url": "/v1"}],
        "security": [{"key": []}],
        "paths": {"/reports": {"get": read}, "/reports/{city}": {"delete": drop}},
        "components": {"securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "X-Api-Key"}}},
    }


class Api(BaseHTTPRequestHandler):
    argument = "city"
    words = "Get the weather report for a city"

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        if parts.path == "/openapi.json":
            self.answer(200, document(self.argument, self.words))
        elif self.headers.get("x-api-key") != KEY:
            self.answer(401, {"error": "no key"})
        elif self.argument not in (query := parse_qs(parts.query)):
            self.answer(422, {"error": f"{self.argument} is missing"})
        else:
            city = query[self.argument][0]
            self.answer(200, {"city": city, "sky": REPORTS.get(city, "unknown")})

    def do_DELETE(self) -> None:
        city = unquote(self.path.rpartition("/")[2])
        self.answer(200 if REPORTS.pop(city, None) else 404, {"city": city})

    def answer(self, status: int, body: Any) -> None:
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--port", type=int, default=8090)
    options.add_argument("--argument", default="city")
    options.add_argument("--words", default=Api.words)
    given = options.parse_args()
    Api.argument, Api.words = given.argument, given.words
    ThreadingHTTPServer(("127.0.0.1", given.port), Api).serve_forever()


if __name__ == "__main__":
    main()
