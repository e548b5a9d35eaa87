"""What llama-server's own HTTP tests ask of a server, asked of ours with the model that ships.

The requests are theirs in kind; the code and the words are ours, for they ask one model for its very words. Which test
of theirs each of these stands for, and which have no counterpart, is the table of `llama_server.py`.
"""

import base64
import re
import struct
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import httpx
import pytest

from server.chat.messages import Message
from server.chat.template import ChatTemplate
from tests.contract.llama_asking import BOOK, ENDLESS, KEY, NAME, ORIGIN, Asked, refused

# test_security.py


def test_health_needs_no_key_and_everything_else_does(asked: Asked) -> None:
    assert httpx.get(f"{asked.url}/healthz").status_code == 200
    for headers in ({}, {"authorization": "Bearer invalid-key"}, {"authorization": KEY}, {"authorization": "Basic x"}):
        answer = httpx.post(f"{asked.url}/v1/completions", json={"prompt": "x"}, headers=headers)
        assert refused(answer, 401)["code"] == "invalid_api_key"
        assert answer.headers["www-authenticate"] == "Bearer"
    assert asked.sdk.models.list().data


def test_only_the_named_origin_may_ask(asked: Asked) -> None:
    """llama-server answers every origin with its own name and allows credentials, unless it is told not to."""
    wanted = {"access-control-request-method": "POST", "access-control-request-headers": "authorization"}
    for origin, is_let in (
        (ORIGIN, True), ("http://evil.com", False), ("http://localhost:8080.evil.com", False), ("null", False),
    ):  # fmt: skip
        answer = httpx.options(f"{asked.url}/v1/completions", headers={"origin": origin, **wanted})
        assert (answer.headers.get("access-control-allow-origin") == origin) == is_let
        assert ("access-control-allow-origin" in answer.headers) == is_let
        assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize("place", ["file://mtmd/test-1.jpeg", "file:///etc/passwd", "http://127.0.0.1:1/x.png"])
def test_no_file_and_no_address_is_read_for_a_message(asked: Asked, place: str) -> None:
    image = {"type": "image_url", "image_url": {"url": place}}
    error = refused(asked.post("/chat/completions", messages=[{"role": "user", "content": [image]}]))
    assert error["param"] == "messages[0].content[0].type"


# test_basic.py


def test_models_are_listed_with_their_adapters(asked: Asked) -> None:
    assert {one.id for one in asked.sdk.models.list()} == {NAME, "bert", "tuned"}


# test_completion.py


def test_a_text_is_continued_and_streamed(asked: Asked) -> None:
    whole = asked.text(grammar=ENDLESS)
    assert (whole["choices"][0]["finish_reason"], whole["usage"]["completion_tokens"]) == ("length", 8)
    chunks = asked.chunks("/completions", max_tokens=8, grammar=ENDLESS)
    assert {chunk["object"] for chunk in chunks} == {"text_completion"}
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks][-1] == "length"
    assert set("".join(chunk["choices"][0]["text"] for chunk in chunks)) <= {"a", "b"}


def test_a_stop_is_not_said(asked: Asked) -> None:
    fields: dict[str, Any] = {
        "grammar": 'root ::= "one User:" "two"',
        "stop": ["User:", "Assistant:"],
        "max_tokens": 40,
    }
    assert asked.text(**fields)["choices"][0] == {
        "text": "one ", "index": 0, "logprobs": None, "finish_reason": "stop",
    }  # fmt: skip
    assert "".join(c["choices"][0]["text"] for c in asked.chunks("/completions", **fields)) == "one "


def test_other_seeds_are_other_answers(asked: Asked) -> None:
    """Under a grammar with 26^40 texts: what rounding does to a model's own words is no matter here."""
    letters = "root ::= [a-z]{40,40}"
    said = [
        asked.text(grammar=letters, seed=seed, temperature=2, max_tokens=80)["choices"][0]["text"] for seed in range(4)
    ]
    assert len(set(said)) == 4


def test_tokens_are_a_prompt_too(asked: Asked) -> None:
    tokens = asked.post("/tokenize", prompt="I believe").json()["tokens"]
    assert asked.text(prompt=tokens)["usage"]["prompt_tokens"] == len(tokens)
    assert [one["index"] for one in asked.text(prompt=[tokens, tokens])["choices"]] == [0, 1]
    for mixed in ([tokens, "I believe"], [1, 2, "x"], {"prompt_string": "x"}):
        assert refused(asked.post("/completions", prompt=mixed))["param"].startswith("prompt")


def test_six_at_once_are_all_answered(asked: Asked) -> None:
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda number: asked.text(prompt=f"Question {number}", grammar=ENDLESS), range(6)))
    assert [answer["usage"]["completion_tokens"] for answer in answers] == [8] * 6


def test_the_likeliest_tokens_come_with_a_text(asked: Asked) -> None:
    for choice in (
        asked.text(logprobs=5, temperature=0)["choices"][0],
        asked.chunks("/completions", logprobs=5, max_tokens=3)[0]["choices"][0],
    ):
        told = choice["logprobs"]
        assert len(told["tokens"]) == len(told["token_logprobs"]) == len(told["top_logprobs"]) >= 1
        assert all(value <= 0 for value in told["token_logprobs"])
        assert all(len(top) >= 5 for top in told["top_logprobs"])


def test_a_request_whose_client_has_gone_frees_its_place(asked: Asked) -> None:
    with pytest.raises(httpx.ReadTimeout):
        asked.client.post(
            "/completions", json={"model": NAME, "prompt": "x", "max_tokens": 2000, "grammar": ENDLESS}, timeout=0.2
        )
    for _ in range(100):
        if httpx.get(f"{asked.url}/healthz").json()["running"] == 0:
            return
        time.sleep(0.05)
    raise AssertionError("it is still decoded")


def test_an_answer_goes_on_if_its_end_is_biased_away(asked: Asked) -> None:
    end = asked.post("/tokenize", prompt="<|end|>").json()["tokens"]
    assert len(end) == 1
    answer = asked.text(logit_bias={str(end[0]): -100}, max_tokens=40)
    assert (answer["usage"]["completion_tokens"], answer["choices"][0]["finish_reason"]) == (40, "length")


def test_an_answer_ends_where_the_context_does(asked: Asked) -> None:
    length = asked.post("/tokenize", prompt="x").json()["max_model_len"]
    prompt = [5] * (length - 20)
    answer = asked.text(prompt=prompt, max_tokens=100, grammar=ENDLESS)
    assert (answer["choices"][0]["finish_reason"], answer["usage"]["total_tokens"]) == ("length", length)
    assert refused(asked.post("/completions", prompt=[5] * (length + 1)))["code"] == "context_length_exceeded"


# test_compat_oai_responses.py


def test_a_response_of_openais_library_has_the_ids_of_its_kind(asked: Asked) -> None:
    answer = asked.sdk.responses.create(model=NAME, input=BOOK, max_output_tokens=8, temperature=0.8)  # type: ignore[arg-type]
    assert answer.id.startswith("resp_")
    assert answer.output[0].id.startswith("msg_")  # type: ignore[union-attr]
    assert isinstance(answer.output_text, str)


def test_the_events_of_a_response_name_one_response_and_one_item(asked: Asked) -> None:
    response, items, heard, last = set(), set(), "", None
    for event in asked.sdk.responses.create(model=NAME, input=BOOK, max_output_tokens=8, stream=True):  # type: ignore[arg-type]
        if event.type in ("response.created", "response.in_progress", "response.completed", "response.incomplete"):
            response.add(event.response.id)
            last = event
        if event.type in ("response.output_item.added", "response.output_item.done"):
            items.add(event.item.id)
        if hasattr(event, "item_id"):
            items.add(event.item_id)
        if event.type == "response.output_text.delta":
            heard += event.delta
    assert len(response) == len(items) == 1
    assert last is not None
    assert last.response.output_text == heard


# test_tokenize.py


def test_tokens_of_a_text_and_back_with_their_names(asked: Asked) -> None:
    text = "This is a test string with unicode 媽 and emoji 🤗"
    told = asked.post("/tokenize", prompt=text, return_token_strs=True).json()
    assert told["count"] == len(told["tokens"]) == len(told["token_strs"]) > 5
    assert asked.post("/detokenize", tokens=told["tokens"]).json()["prompt"] == text


# test_embedding.py


def embedded(asked: Asked, given: Any, **fields: Any) -> Any:
    answer = asked.post("/embeddings", model="bert", input=given, **fields)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_embeddings_are_of_length_one_and_the_same_for_the_same_text(asked: Asked) -> None:
    answer = embedded(asked, ["weather", "paris", "weather", "weather paris"])
    vectors = [one["embedding"] for one in answer["data"]]
    for vector in vectors:
        assert sum(value * value for value in vector) == pytest.approx(1, abs=1e-3)
    assert vectors[0] == pytest.approx(vectors[2], abs=1e-3)
    assert vectors[0] != pytest.approx(vectors[1], abs=1e-3)
    assert answer["usage"]["prompt_tokens"] == answer["usage"]["total_tokens"]
    single = embedded(asked, "weather")["usage"]["prompt_tokens"]
    assert embedded(asked, ["weather", "weather"])["usage"]["prompt_tokens"] == 2 * single


def test_embeddings_through_openais_library_and_as_base64(asked: Asked) -> None:
    by_library = asked.sdk.embeddings.create(model="bert", input="weather").data[0].embedding
    written = embedded(asked, "weather", encoding_format="base64")["data"][0]["embedding"]
    read = struct.unpack(f"<{len(by_library)}f", base64.b64decode(written))
    assert by_library == pytest.approx(read)
    assert by_library == pytest.approx(embedded(asked, "weather", encoding_format="float")["data"][0]["embedding"])


@pytest.mark.parametrize("given", [[], "", {"content": "string"}, [5, "weather"], ["weather", [5]], "weather " * 512])
def test_what_cannot_be_embedded_is_refused(asked: Asked, given: Any) -> None:
    assert refused(asked.post("/embeddings", model="bert", input=given))["param"].startswith("input")


# test_template.py


def test_a_template_may_write_todays_date() -> None:
    before = datetime.now().astimezone()
    written = ChatTemplate("{{ strftime_now('%d %b %Y') }}").render([Message("user", "What is today?")])
    assert written in {day.strftime("%d %b %Y") for day in (before, datetime.now().astimezone())}


# test_lora.py


def test_an_adapter_is_chosen_by_each_request(asked: Asked) -> None:
    def ask(model: str) -> Any:
        return asked.text(model=model, temperature=0, max_tokens=12)["choices"][0]["text"]

    with ThreadPoolExecutor(4) as pool:
        plain, tuned, tuned_too, after = pool.map(ask, [NAME, "tuned", "tuned", NAME])
    assert plain == after
    assert tuned == tuned_too != plain


# test_metrics.py


def test_metrics_count_the_tokens_of_the_answers(asked: Asked) -> None:
    def made() -> float:
        page = asked.client.get(f"{asked.url}/metrics").text
        for name in set(re.findall(r"^(trammel_\w+?)(?:_bucket|_sum|_count)?[ {]", page, re.MULTILINE)):
            assert f"# HELP {name} " in page
            assert f"# TYPE {name} " in page
        drawn, back = (
            sum(map(float, re.findall(rf"^trammel_{name}_total (\S+)$", page, re.MULTILINE)))
            for name in ("(?:sampled|forced)_tokens", "taken_back")
        )
        return drawn - back

    before = made()
    usage = asked.chat(grammar=ENDLESS)["usage"]
    assert made() - before == usage["completion_tokens"] == 8
