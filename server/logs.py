"""How the log is written: a line of text or a JSON object an entry, with the id of the request it belongs to."""

import json
import logging
import sys
import time
from typing import Literal

from server.api.request_log import REQUEST_ID

LogFormat = Literal["text", "json"]
_TELLTALES = ("httpx", "httpcore", "httpx2", "httpcore2", "mcp", "client")
"""Loggers of libraries that tell of every request with its whole URL, or of every message (`client`: the MCP SDK's)."""


class _TextFormatter(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        request_id = REQUEST_ID.get()
        text = super().format(record)
        return text if request_id is None else f"{text} [{request_id}]"


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, object] | None = getattr(record, "fields", None)
        entry: dict[str, object] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
        }
        if (request_id := REQUEST_ID.get()) is not None:
            entry["request_id"] = request_id
        entry |= fields if fields is not None else {"message": record.getMessage()}
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False, default=str)


def start_log(level: str, form: LogFormat) -> None:
    """Log to standard error from now on. Libraries by which tools are called tell of failures only, whatever the level:
    what a model sends is not for the log."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonFormatter() if form == "json" else _TextFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler])
    for name in _TELLTALES:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLogger().level))
