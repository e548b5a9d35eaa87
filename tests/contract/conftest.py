"""A server for the tests in the manner of llama-server's: they share it, because none of them changes it."""

from collections.abc import Iterator

import pytest

from tests.conftest import MODEL, running_server
from tests.contract.llama_asking import KEY, NAME, ORIGIN, Asked
from tests.embedding_models import write_bert
from tests.lora import write_lora


@pytest.fixture(scope="package")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    home = tmp_path_factory.mktemp("models")
    bert, tuned = write_bert(home / "bert.gguf"), write_lora(home / "tuned.gguf", MODEL, 1)
    flags = ("--model", f"{NAME}={MODEL}", "--model", f"bert={bert}", "--adapter", f"tuned={tuned}")
    with running_server(*flags, "--api-key", KEY, "--cors-origin", ORIGIN) as server:
        one = Asked(server.url)
        yield one
        one.close()
