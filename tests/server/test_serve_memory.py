"""The memory a server says it needs, and llama.cpp's settings passed through."""

from collections.abc import Callable

import httpx

from tests.conftest import ServerProcess


def test_the_memory_is_said_before_loading_and_quantized_kv_is_served(
    start_server: Callable[..., ServerProcess],
) -> None:
    server = start_server(
        "--log-level", "info", "--kv-type", "q8_0", "--flash-attention", "on", "--context-length", "model",
        "--parallel", "2", "--no-mmap",
    )  # fmt: skip
    body = {"model": "trammel-tiny", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 5}
    assert httpx.post(f"{server.url}/v1/chat/completions", json=body, timeout=60).status_code == 200
    log = server.stop()
    assert "8,192 cells x 1,088 bytes, q8_0" in log
    assert log.index("cells x") < log.index("Started server process")
