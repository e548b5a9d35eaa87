"""`/v1/completions` over HTTP, with OpenAI's own client."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

MODEL = "trammel-tiny"
PROMPT = "The weather in Paris is"


@pytest.fixture
def client(server_url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server_url}/v1", api_key="none", max_retries=0) as client:
        yield client


CERTAIN: dict[str, Any] = {"logit_bias": {"1000": 100}, "max_tokens": 20}
"""An answer that comes out the same however kernels round: one token, again and again."""


def post(url: str, **fields: Any) -> httpx.Response:
    body = {"model": MODEL, "prompt": PROMPT, "seed": 1, "max_tokens": 8, **fields}
    return httpx.post(f"{url}/v1/completions", json=body, timeout=60)


def text(response: httpx.Response, choice: int = 0) -> str:
    assert response.status_code == 200, response.text
    found: str = response.json()["choices"][choice]["text"]
    return found


def test_a_prompt_is_continued_and_counted(client: openai.OpenAI) -> None:
    answer = client.completions.create(model=MODEL, prompt=PROMPT, max_tokens=8, temperature=0)
    assert answer.object == "text_completion"
    assert answer.choices[0].text
    assert answer.usage
    assert 0 < answer.usage.completion_tokens <= 8
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_sixteen_tokens_are_made_if_nothing_is_said(server_url: str) -> None:
    body = {"model": MODEL, "prompt": PROMPT, "logit_bias": {"1": -100}}
    answer = httpx.post(f"{server_url}/v1/completions", json=body, timeout=60).json()
    assert answer["usage"]["completion_tokens"] == 16
    assert answer["choices"][0]["finish_reason"] == "length"


def test_the_stream_adds_up_to_the_whole(client: openai.OpenAI) -> None:
    asked: dict[str, Any] = {"model": MODEL, "prompt": PROMPT, "echo": True, **CERTAIN}
    whole = client.completions.create(**asked)
    stream = client.completions.create(**asked, stream=True, stream_options={"include_usage": True})
    chunks = list(stream)
    assert "".join(c.choices[0].text for c in chunks if c.choices) == whole.choices[0].text
    assert chunks[-1].choices == []
    assert (chunks[-1].usage, whole.usage) != (None, None)
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens  # type: ignore[union-attr]
    assert chunks[-2].choices[0].finish_reason == whole.choices[0].finish_reason


def test_echo_puts_the_prompt_first_and_alone_where_no_token_is_wanted(server_url: str) -> None:
    assert text(post(server_url, echo=True)).startswith(PROMPT)
    alone = post(server_url, echo=True, max_tokens=0)
    assert text(alone) == PROMPT
    assert alone.json()["usage"]["completion_tokens"] == 0


def test_several_prompts_and_choices_are_numbered_prompt_by_prompt(server_url: str) -> None:
    answer = post(server_url, prompt=["one", "two", "three"], n=2, echo=True, temperature=1.5).json()
    assert [choice["index"] for choice in answer["choices"]] == list(range(6))
    starts = [choice["text"][:3] for choice in answer["choices"]]
    assert starts == ["one", "one", "two", "two", "thr", "thr"]
    single = [post(server_url, prompt=p, n=2, temperature=1.5).json()["usage"] for p in ("one", "two", "three")]
    assert answer["usage"]["prompt_tokens"] == sum(usage["prompt_tokens"] for usage in single)


def test_tokens_and_their_text_are_the_same_prompt(server_url: str) -> None:
    tokens = httpx.post(f"{server_url}/v1/completions", json={
        "model": MODEL, "prompt": PROMPT, "max_tokens": 5, "temperature": 0, "logprobs": 0
    }, timeout=60).json()  # fmt: skip
    assert tokens["choices"][0]["logprobs"]["tokens"]
    one = post(server_url, prompt=[5, 6, 7], echo=True, **CERTAIN)
    two = post(server_url, prompt=[[5, 6, 7], [8]], echo=True, **CERTAIN)
    assert text(one) == text(two)
    assert len(two.json()["choices"]) == 2


def test_log_probabilities_have_the_old_form(client: openai.OpenAI) -> None:
    asked: Any = {"model": MODEL, "prompt": PROMPT, "max_tokens": 8, "temperature": 0, "logprobs": 2, "echo": False}
    choice = client.completions.create(**asked).choices[0]
    told = choice.logprobs
    assert told
    assert told.tokens
    assert "".join(told.tokens) == choice.text
    assert told.text_offset == [len("".join(told.tokens[:n])) for n in range(len(told.tokens))]
    for token, logprob, top in zip(told.tokens, told.token_logprobs or (), told.top_logprobs or (), strict=True):
        assert top[token] == logprob == max(top.values())  # temperature 0 takes the likeliest
        assert len(top) == 2
    chunks = [c.choices[0] for c in client.completions.create(**asked, stream=True) if c.choices]
    streamed = [token for chunk in chunks if chunk.logprobs for token in chunk.logprobs.tokens or ()]
    assert "".join(streamed) == "".join(chunk.text for chunk in chunks)


def test_the_echoed_prompt_is_judged_token_by_token(server_url: str) -> None:
    """Each token of it has the probability that it has where it is generated behind those before it."""
    prompt = "The weather in Paris is fine today, and tomorrow there will be rain. " * 4
    tokens = httpx.post(f"{server_url}/v1/tokenize", json={"model": MODEL, "prompt": prompt}).json()["tokens"]
    assert len(tokens) > 40  # more than are judged in a step
    answer = post(server_url, prompt=prompt, echo=True, logprobs=2, max_tokens=3, temperature=0).json()
    choice, told = answer["choices"][0], answer["choices"][0]["logprobs"]
    assert "".join(told["tokens"]) == choice["text"]
    assert choice["text"].startswith(prompt)
    assert told["text_offset"] == [len("".join(told["tokens"][:n])) for n in range(len(told["tokens"]))]
    assert told["token_logprobs"][0] is told["top_logprobs"][0] is None
    assert len(told["token_logprobs"]) == answer["usage"]["total_tokens"]
    assert [len(top) in (2, 3) for top in told["top_logprobs"][1:]] == [True] * (len(tokens) + 2)
    for place in (1, 2, 31, 32, 33, len(tokens) - 1):
        bias = {str(tokens[place]): 100}
        made = post(server_url, prompt=tokens[:place], max_tokens=1, logprobs=0, logit_bias=bias).json()
        expected = made["choices"][0]["logprobs"]["token_logprobs"][0]
        assert told["token_logprobs"][place] == pytest.approx(expected, abs=0.1)


def test_a_prompt_is_judged_without_anything_being_made(server_url: str) -> None:
    answer = post(server_url, prompt=["One two three", "four"], echo=True, logprobs=0, max_tokens=0).json()
    assert [choice["text"] for choice in answer["choices"]] == ["One two three", "four"]
    assert ["".join(choice["logprobs"]["tokens"]) for choice in answer["choices"]] == ["One two three", "four"]
    assert all(choice["finish_reason"] == "length" for choice in answer["choices"])
    assert answer["usage"]["completion_tokens"] == 0


def test_a_judged_prompt_is_streamed_with_its_probabilities(server_url: str) -> None:
    fields: dict[str, Any] = {"prompt": PROMPT, "echo": True, "logprobs": 1, "max_tokens": 0}
    lines = [line for line in post(server_url, stream=True, **fields).text.splitlines() if line.startswith("data: {")]
    first, *_ = [json.loads(line.removeprefix("data: "))["choices"][0] for line in lines]
    whole = post(server_url, **fields).json()["choices"][0]
    assert first["text"] == whole["text"] == PROMPT
    assert first["logprobs"]["tokens"] == whole["logprobs"]["tokens"]


def test_the_best_of_several_is_the_likeliest(server_url: str) -> None:
    fields: dict[str, Any] = {"temperature": 1.5, "logprobs": 0, "max_tokens": 6, "n": 3, "best_of": 6}
    kept = [post(server_url, seed=seed, **fields).json()["choices"] for seed in range(4)]

    def likelihood(choice: Any) -> float:
        told = choice["logprobs"]["token_logprobs"]
        return float(sum(told) / len(told))

    for choices in kept:
        assert len(choices) == 3
        assert list(map(likelihood, choices)) == sorted(map(likelihood, choices), reverse=True)
    assert "logprobs" in post(server_url, best_of=2).json()["choices"][0]


def test_a_stop_ends_before_its_own_text(server_url: str) -> None:
    whole = text(post(server_url, **CERTAIN))
    stop = whole[1:4]
    stopped = post(server_url, stop=stop, **CERTAIN)
    assert text(stopped) == whole[: whole.index(stop)]
    assert stopped.json()["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize(
    ("fields", "status", "param", "words"),
    [
        ({"suffix": "end"}, 400, "suffix", "no such mode"),
        ({"model": "gpt-4o"}, 404, "model", "does not exist"),
        ({"logprobs": 6}, 400, "logprobs", "less than or equal to 5"),
        ({"n": 3, "best_of": 2}, 400, None, "best_of"),
        ({"best_of": 2, "stream": True}, 400, None, "stream"),
        ({"prompt": ["a"] * 100, "n": 2}, 400, None, "128 choices"),
        ({"prompt": [10**6]}, 400, "prompt", "token ids"),
        ({"prompt": "word " * 5000}, 400, "prompt", "maximum context length"),
        ({"prompt": {"a": 1}}, 400, "prompt", "valid"),
        ({"stream_options": {"include_usage": True}}, 400, None, "stream_options"),
    ],
    ids=lambda value: str(value)[:40],
)  # fmt: skip
def test_what_cannot_be_completed_is_refused_by_its_field(
    server_url: str, fields: dict[str, Any], status: int, param: str | None, words: str
) -> None:
    response = post(server_url, **fields)
    error = response.json()["error"]
    assert (response.status_code, error["param"], words in error["message"]) == (status, param, True), error


def test_a_prompt_may_be_empty_or_absent(server_url: str) -> None:
    assert post(server_url, prompt="", max_tokens=2).status_code == 200
    assert post(server_url, prompt=None, max_tokens=2).status_code == 200


def test_chunks_end_with_done(server_url: str) -> None:
    lines = [line for line in post(server_url, stream=True).text.split("\n\n") if line]
    assert lines[-1] == "data: [DONE]"
    assert json.loads(lines[-2].removeprefix("data: "))["choices"][0]["finish_reason"] in ("stop", "length")
