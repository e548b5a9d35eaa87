"""What is in the log of a server, and what is not."""

import logging
from collections.abc import Iterator

import httpx
import pytest

from server.logs import start_log

_NAMES = ("httpx", "httpcore", "httpx2", "httpcore2", "mcp", "client")


@pytest.fixture(autouse=True)
def _levels() -> Iterator[None]:
    before = {name: logging.getLogger(name).level for name in _NAMES}
    yield
    for name, level in before.items():
        logging.getLogger(name).setLevel(level)


@pytest.mark.parametrize("level", ["info", "debug"])
async def test_an_argument_that_is_sent_to_an_api_is_in_no_line(level: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(level.upper())
    start_log(level, "text")
    async with httpx.AsyncClient(transport=httpx.MockTransport(lambda _: httpx.Response(200))) as client:
        await client.get("https://api.example/people?name=a-private-word")
    for name in ("httpcore.http11", "httpx2", "httpcore2.connection", "mcp.client.session"):
        logging.getLogger(name).info("a-private-word")
    logging.getLogger("trammel.gateway").info("a line of ours")
    assert "a line of ours" in caplog.text
    assert "a-private-word" not in caplog.text
