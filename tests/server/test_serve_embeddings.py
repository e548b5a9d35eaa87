"""`/v1/embeddings` over HTTP, with OpenAI's own client."""

import base64
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import openai
import pytest

from tests.conftest import ServerProcess, running_server
from tests.embedding_models import CLS, CONTEXT, SEP, WIDTH, bert_vector, bert_weights, write_bert
from tests.server.engine.conftest import MODEL


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """The embedding model is named first: the model that chats is then the one that ships."""
    bert = write_bert(tmp_path_factory.mktemp("bert") / "bert.gguf")
    with running_server("--model", f"bert={bert}") as process:
        yield process


@pytest.fixture
def client(server: ServerProcess) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
        yield client


def expected(*tokens: int) -> np.ndarray:
    return bert_vector(bert_weights(), [CLS, *tokens, SEP])


def test_texts_become_vectors_with_their_count_of_tokens(client: openai.OpenAI) -> None:
    answer = client.embeddings.create(model="bert", input=["weather paris", "tool"])
    assert (answer.model, answer.usage.prompt_tokens, answer.usage.total_tokens) == ("bert", 7, 7)
    assert [one.index for one in answer.data] == [0, 1]
    np.testing.assert_allclose(answer.data[0].embedding, expected(5, 6), atol=5e-3)
    np.testing.assert_allclose(answer.data[1].embedding, expected(7), atol=5e-3)


def test_floats_and_base64_say_the_same(server: ServerProcess) -> None:
    def ask(encoding: str) -> object:
        body = {"model": "bert", "input": "weather", "encoding_format": encoding, "dimensions": WIDTH}
        return httpx.post(f"{server.url}/v1/embeddings", json=body).json()["data"][0]["embedding"]

    written = ask("base64")
    assert isinstance(written, str)
    assert np.frombuffer(base64.b64decode(written), "<f4").tolist() == ask("float")


def test_tokens_are_taken_as_they_are(client: openai.OpenAI) -> None:
    one = client.embeddings.create(model="bert", input=[CLS, 5, SEP]).data
    two = client.embeddings.create(model="bert", input=[[CLS, 5, SEP], [CLS, 6, SEP]]).data
    np.testing.assert_allclose(one[0].embedding, expected(5), atol=5e-3)
    np.testing.assert_allclose(two[0].embedding, expected(5), atol=5e-3)
    np.testing.assert_allclose(two[1].embedding, expected(6), atol=5e-3)


@pytest.mark.parametrize(
    ("fields", "param", "words"),
    [
        ({"input": ""}, "input", "empty"),
        ({"input": []}, "input", "empty"),
        ({"input": ["a", ""]}, "input", "empty"),
        ({"input": ["a"] * 2049}, "input", "2048"),
        ({"input": [[10_000]]}, "input", "token ids"),
        ({"input": {"text": "a"}}, "input", "Invalid"),
        ({"input": "a", "dimensions": 8}, "dimensions", "gives 32 dimensions"),
        ({"input": "a", "encoding_format": "int8"}, "encoding_format", "base64"),
        ({"input": "a " * CONTEXT}, "input", "66 tokens; this model takes at most 64"),
        ({"input": "a", "model": "trammel-tiny"}, "model", "no embedding model"),
    ],
)
def test_what_cannot_be_embedded_is_refused_by_its_field(
    server: ServerProcess, fields: dict[str, object], param: str, words: str
) -> None:
    answer = httpx.post(f"{server.url}/v1/embeddings", json={"model": "bert", **fields})
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert (error["param"], words in error["message"]) == (param, True), error


def test_an_embedding_model_does_not_chat_and_unknown_ones_are_not_found(server: ServerProcess) -> None:
    body = {"model": "bert", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 3}
    refused = httpx.post(f"{server.url}/v1/chat/completions", json=body)
    assert (refused.status_code, "/v1/embeddings" in refused.text) == (400, True)
    chat = httpx.post(f"{server.url}/v1/chat/completions", json={**body, "model": MODEL.stem}, timeout=60)
    assert chat.status_code == 200
    assert httpx.post(f"{server.url}/v1/embeddings", json={"model": "none", "input": "a"}).status_code == 404


def test_an_embedding_model_in_a_folder_serves_beside_others(tmp_path: Path) -> None:
    write_bert(tmp_path / "small-bert.gguf", "cls")
    with running_server("--model", str(MODEL), "--models", str(tmp_path)) as server:
        answer = httpx.post(f"{server.url}/v1/embeddings", json={"model": "small-bert", "input": "tool"}, timeout=60)
        vector = answer.json()["data"][0]["embedding"]
        np.testing.assert_allclose(vector, bert_vector(bert_weights(), [CLS, 7, SEP], "cls"), atol=5e-3)
        assert httpx.get(f"{server.url}/healthz").status_code == 200
