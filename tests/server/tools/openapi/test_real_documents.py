"""Documents that others have written: every operation is a tool, or says why not, and can be written as a request.

OpenAI's is looked for in TRAMMEL_DATA. Ours is imported by `tests/server/test_serve_tools.py`.
"""

import lzma
import os
import random
from pathlib import Path

import pytest

from server.tools import ToolError
from server.tools.openapi.document import read_document
from server.tools.openapi.operation import Operation
from server.tools.openapi.reading import read_operations
from server.tools.openapi.writing import write_request
from tests.server.tools.big_api import value_for

DATA = Path(os.environ.get("TRAMMEL_DATA", Path(__file__).parents[5] / "shared" / "data"))
OPENAI = DATA / "openai-openapi.yml.xz"


def write_all(operations: list[Operation]) -> int:
    """Requests with arguments that the schemas admit, as many as the values that this can make up allow."""
    chance, written = random.Random(1), 0
    for operation in operations:
        try:
            arguments = value_for(dict(operation.schema), chance)
            request = write_request(operation, arguments)
        except (ToolError, TypeError, KeyError, ValueError, RecursionError):
            continue
        assert request.url.startswith(operation.url.partition("{")[0].partition("#")[0])
        assert Operation.from_json(operation.to_json()).hash == operation.hash
        written += 1
    return written


@pytest.mark.skipif(not OPENAI.exists(), reason=f"{OPENAI} is not there")
def test_openais_document_is_imported() -> None:
    document = read_document(lzma.decompress(OPENAI.read_bytes()), "https://api.openai.com/openapi.yml")
    operations, omissions = read_operations(document)
    assert len(operations) == 288
    assert omissions == []
    chat = next(one for one in operations if one.key == "createEmbedding")
    assert chat.url == "https://api.openai.com/v1/embeddings"
    assert set(chat.schema["required"]) == {"model", "input"}
    assert write_all(operations) > 200
