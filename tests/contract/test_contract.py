"""Every response, chunk and error over a matrix of requests, judged by OpenAI's own OpenAPI document."""

import base64
import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.conftest import running_server
from tests.contract.document import DOCUMENT, Document, sample, whole_document
from tests.contract.matrix import CHAT, EMBED, RESPONSES, TEXT, Case, mistaken_cases, valid_cases
from tests.embedding_models import write_bert

WHOLE = {
    CHAT: "CreateChatCompletionResponse",
    TEXT: "CreateCompletionResponse",
    EMBED: "CreateEmbeddingResponse",
    RESPONSES: "Response",
}
CHUNK = {CHAT: "CreateChatCompletionStreamResponse", TEXT: "CreateCompletionResponse"}
REQUEST = {
    CHAT: "CreateChatCompletionRequest",
    TEXT: "CreateCompletionRequest",
    EMBED: "CreateEmbeddingRequest",
    RESPONSES: "CreateResponse",
}


_EVENT = {
    "response.created": "ResponseCreatedEvent",
    "response.in_progress": "ResponseInProgressEvent",
    "response.completed": "ResponseCompletedEvent",
    "response.incomplete": "ResponseIncompleteEvent",
    "response.output_item.added": "ResponseOutputItemAddedEvent",
    "response.output_item.done": "ResponseOutputItemDoneEvent",
    "response.content_part.added": "ResponseContentPartAddedEvent",
    "response.content_part.done": "ResponseContentPartDoneEvent",
    "response.output_text.delta": "ResponseTextDeltaEvent",
    "response.output_text.done": "ResponseTextDoneEvent",
    "response.function_call_arguments.delta": "ResponseFunctionCallArgumentsDeltaEvent",
    "response.function_call_arguments.done": "ResponseFunctionCallArgumentsDoneEvent",
    "response.custom_tool_call_input.delta": "ResponseCustomToolCallInputDeltaEvent",
    "response.custom_tool_call_input.done": "ResponseCustomToolCallInputDoneEvent",
}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    bert = write_bert(tmp_path_factory.mktemp("bert") / "bert.gguf")
    with running_server("--model", f"bert={bert}") as server:
        yield server.url


@pytest.fixture(scope="module")
def document() -> Document:
    return whole_document() or sample()


def test_the_whole_document_judges() -> None:
    if whole_document() is None:
        pytest.skip(f"{DOCUMENT.name} is not in $TRAMMEL_DATA nor ../shared/data: only the sample of it judges")


def test_the_matrix_asks_what_openai_allows() -> None:
    """A matrix of requests that OpenAI itself would refuse would prove nothing."""
    found = whole_document()
    if found is None:
        pytest.skip(f"{DOCUMENT.name} is absent, and the sample has no request schemas")
    cases = list(valid_cases())
    assert len(cases) + len(list(mistaken_cases())) >= 300
    faults = [(str(case), found.fault(REQUEST[case.path], case.body)) for case in cases]
    assert [fault for fault in faults if fault[1]] == []


def test_every_answer_is_as_openai_describes_it(url: str, document: Document) -> None:
    faults = judged(url, list(valid_cases()), document)
    assert faults == []


def test_every_mistake_is_answered_by_an_error_that_names_it(url: str, document: Document) -> None:
    faults = judged(url, list(mistaken_cases()), document)
    assert faults == []
    assert httpx.get(f"{url}/healthz").status_code == 200


def test_the_lists_of_models_are_as_openai_describes_them(url: str, document: Document) -> None:
    listed = httpx.get(f"{url}/v1/models").json()
    assert document.fault("ListModelsResponse", listed) is None
    for model in listed["data"]:
        assert document.fault("Model", httpx.get(f"{url}/v1/models/{model['id']}").json()) is None
    missing = httpx.get(f"{url}/v1/models/none")
    assert (missing.status_code, document.fault("ErrorResponse", missing.json())) == (404, None)


def test_stored_responses_and_their_items_are_as_openai_describes_them(url: str, document: Document) -> None:
    if "ResponseItemList" not in document.names:
        pytest.skip(f"{DOCUMENT.name} is absent, and the sample has no responses")
    case = next(c for c in valid_cases() if c.path == RESPONSES and isinstance(c.body["input"], list))
    made = httpx.post(url + RESPONSES, json=case.body, timeout=60).json()
    place = f"{url}{RESPONSES}/{made['id']}"
    assert document.fault("Response", httpx.get(place).json()) is None
    assert document.fault("ResponseItemList", httpx.get(f"{place}/input_items").json()) is None
    for item in httpx.get(f"{place}/input_items").json()["data"]:
        assert document.fault("ItemResource", item) is None
    assert httpx.delete(place).status_code == 200
    for gone in (
        httpx.get(place),
        httpx.delete(place),
        httpx.get(f"{place}/input_items"),
        httpx.post(f"{place}/cancel"),
    ):
        assert (gone.status_code, document.fault("ErrorResponse", gone.json())) == (404, None)


def test_a_violation_would_be_seen(document: Document) -> None:
    assert document.fault("ErrorResponse", {"error": {"message": "m", "type": "t", "param": None}})
    assert document.fault("CreateCompletionResponse", {"id": "x"})


def judged(url: str, cases: list[Case], document: Document) -> list[str]:
    """What is wrong with the answers, eight asked at a time."""
    cases = [case for case in cases if case.status != 200 or WHOLE[case.path] in document.names]
    with httpx.Client(base_url=url, timeout=120) as client, ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda case: _send(client, case), cases))
    faults: list[str] = []
    for case, answer in zip(cases, answers, strict=True):
        faults += [f"{case}: {fault}" for fault in _faults(case, answer, document)]
    return faults


def _send(client: httpx.Client, case: Case) -> httpx.Response:
    content = case.body if isinstance(case.body, bytes) else json.dumps(case.body).encode()
    return client.post(case.path, content=content, headers={"content-type": "application/json", **case.headers})


def _faults(case: Case, answer: httpx.Response, document: Document) -> Iterator[str]:
    if answer.status_code != case.status:
        yield f"status {answer.status_code}, not {case.status}: {answer.text[:300]}"
        return
    if case.status != 200:
        error = answer.json()
        yield from _told(document.fault("ErrorResponse", error))
        if case.param and not str(error["error"]["param"]).startswith(case.param):
            yield f"names {error['error']['param']}, not {case.param}"
    elif case.is_streamed:
        faults = _event_faults if case.path == RESPONSES else _stream_faults
        yield from faults(case, answer.text, document)
    else:
        yield from _told(document.fault(WHOLE[case.path], _with_floats(answer.json())))


def _stream_faults(case: Case, text: str, document: Document) -> Iterator[str]:
    *lines, done, rest = text.split("\n\n")
    if (done, rest) != ("data: [DONE]", ""):
        yield f"ends with {done!r}"
    chunks = [json.loads(line.removeprefix("data: ")) for line in lines if not line.startswith(":")]
    for chunk in chunks:
        yield from _told(document.fault(CHUNK[case.path], _as_described(case, chunk)))
    if len({(chunk["id"], chunk["created"], chunk["model"]) for chunk in chunks}) != 1:
        yield "chunks of different answers"
    finished = Counter(c["index"] for chunk in chunks for c in chunk["choices"] if c["finish_reason"])
    if len(finished) != len({c["index"] for chunk in chunks for c in chunk["choices"]}) or set(finished.values()) != {
        1
    }:
        yield f"choices finish {finished}"
    wants_usage = bool((case.body.get("stream_options") or {}).get("include_usage"))
    if (chunks[-1]["choices"] == []) != wants_usage or bool(chunks[-1].get("usage")) != wants_usage:
        yield "usage does not come last, or unasked"
    yield from _call_faults(chunks)


def _event_faults(_: Case, text: str, document: Document) -> Iterator[str]:
    """The Responses API's streams."""
    blocks = [block for block in text.split("\n\n")[:-1] if not block.startswith(":")]
    events = [json.loads(block.split("\n")[1].removeprefix("data: ")) for block in blocks]
    for event in events:
        yield from _told(document.fault("ResponseStreamEvent", event))
        yield from _told(document.fault(_EVENT[event["type"]], event))
    if [event["sequence_number"] for event in events] != list(range(len(events))):
        yield "events are not numbered one by one"


def _call_faults(chunks: list[Any]) -> Iterator[str]:
    """The SDKs' letter: calls are numbered from 0, begun once with id, type and name, then only arguments."""
    begun: Counter[int] = Counter()
    for chunk in chunks:
        for choice in chunk["choices"]:
            for call in choice.get("delta", {}).get("tool_calls") or ():
                number = begun[choice["index"]]
                if call["index"] == number and {"id", "type", "function"} <= set(call) and call["function"]["name"]:
                    begun[choice["index"]] += 1
                elif call["index"] != number - 1 or set(call) != {"index", "function"}:
                    yield f"call {call} after {number}"


def _as_described(case: Case, chunk: Any) -> Any:
    """The document describes no chunks of text completions: until the last, OpenAI's have `finish_reason: null`."""
    if case.path != TEXT:
        return chunk
    choices = [{**choice, "finish_reason": choice["finish_reason"] or "stop"} for choice in chunk["choices"]]
    return _with_floats({**chunk, "choices": choices})


def _with_floats(answer: Any) -> Any:
    """The document describes embeddings as floats only, though `encoding_format` may ask for base64.

    Nor that an echoed prompt's first token has no probability, which OpenAI's servers tell as null.
    """
    for choice in answer.get("choices", ()):
        told = choice.get("logprobs") if "text" in choice else None
        if told and told["token_logprobs"][:1] == [None]:
            told["token_logprobs"][0], told["top_logprobs"][0] = 0.0, {}
    for one in answer.get("data", ()):
        if isinstance(one["embedding"], str):
            one["embedding"] = [float(len(base64.b64decode(one["embedding"])))]
    return answer


def _told(fault: str | None) -> list[str]:
    return [fault] if fault else []
