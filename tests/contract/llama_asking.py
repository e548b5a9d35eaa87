"""The server that the tests in the manner of llama-server's ask, and how they ask it."""

import json
from typing import Any

import httpx
import openai

KEY = "sk-this-is-the-secret-key"
ORIGIN = "http://localhost:8080"
NAME = "trammel-tiny"
BOOK = [{"role": "system", "content": "Book"}, {"role": "user", "content": "What is the best book"}]
ENDLESS = "root ::= [ab]{5000,5000}"
"""Its texts are longer than the context: the model's own end would be a matter of luck."""


class Asked:
    """A server with a key, a web origin, an adapter and an embedding model."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.client = httpx.Client(base_url=f"{url}/v1", headers={"authorization": f"Bearer {KEY}"}, timeout=60)
        self.sdk = openai.OpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0)

    def close(self) -> None:
        self.client.close()
        self.sdk.close()

    def post(self, path: str, **body: Any) -> httpx.Response:
        return self.client.post(path, json={"model": NAME, **body})

    def chat(self, **body: Any) -> Any:
        answer = self.post("/chat/completions", **{"messages": BOOK, "max_tokens": 8, **body})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def chunks(self, path: str = "/chat/completions", **body: Any) -> list[Any]:
        question = {"messages": BOOK} if "chat" in path else {"prompt": "Once upon a time"}
        with self.client.stream("POST", path, json={"model": NAME, "stream": True, **question, **body}) as stream:
            stream.read()
        assert stream.status_code == 200, stream.text
        events = [block[6:] for block in stream.text.split("\n\n") if block.startswith("data: ")]
        assert events.pop() == "[DONE]"
        return [json.loads(event) for event in events]

    def text(self, **body: Any) -> Any:
        answer = self.post("/completions", **{"prompt": "I believe the meaning of life is", "max_tokens": 8, **body})
        assert answer.status_code == 200, answer.text
        return answer.json()


def refused(answer: httpx.Response, status: int = 400) -> Any:
    """The error, which has all four keys."""
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return error
