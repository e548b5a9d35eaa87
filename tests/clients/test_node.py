"""openai-node and Vercel's AI SDK, each by a test file of Node's own runner in `node/`, against a real server.

`make clients` installs them (scripts/node_clients.sh), outside the repository. Packages are found from a test file's
own folder upwards, so the files are copied there.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import MODEL, ROOT, running_server
from tests.embedding_models import write_bert

HERE = Path(__file__).with_name("node")
COUNTS = {"openai.test.mjs": 19, "ai_sdk.test.mjs": 19}
"""Tests in each file: none may go missing."""


@pytest.fixture(scope="module")
def packages() -> Path:
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("node and npm are not installed")
    found = subprocess.run(
        [ROOT / "scripts" / "node_clients.sh", "--check"], capture_output=True, text=True, check=False
    )
    if found.returncode:
        pytest.skip("the JavaScript clients are not installed: scripts/node_clients.sh (or make clients) does that")
    return Path(found.stdout.strip())


@pytest.fixture(scope="module")
def urls(packages: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """An open server with an embedding model, and one that wants a key."""
    bert = f"bert={write_bert(tmp_path_factory.mktemp('bert') / 'bert.gguf')}"
    with (
        running_server("--model", str(MODEL), "--model", bert) as server,
        running_server("--api-key", "sk-a-key-of-many-letters") as locked,
    ):
        yield {"TRAMMEL_URL": server.url, "TRAMMEL_LOCKED_URL": locked.url}


@pytest.mark.parametrize("name", COUNTS)
def test_the_javascript_client_finds_everything_as_it_expects(packages: Path, urls: dict[str, str], name: str) -> None:
    place = packages / f"{os.getpid()}.{name}"
    shutil.copy(HERE / name, place)
    try:
        done = subprocess.run(
            ["node", "--test", "--test-reporter=tap", place],
            env={**os.environ, **urls},
            capture_output=True,
            text=True,
            timeout=150,
            check=False,
        )
    finally:
        place.unlink()
    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.search(r"^# pass (\d+)$", done.stdout, re.MULTILINE)
    assert passed is not None
    assert int(passed.group(1)) == COUNTS[name]
