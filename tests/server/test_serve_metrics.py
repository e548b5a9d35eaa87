"""What Prometheus reads: histograms add up to the requests that were made."""

from collections.abc import Callable

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.conftest import MODEL, ServerProcess

BODY = {"messages": [{"role": "user", "content": "Hello"}], "logit_bias": {"1": -100}, "max_tokens": 20}


def ask(url: str, model: str, **fields: object) -> int:
    return httpx.post(f"{url}/v1/chat/completions", json={**BODY, "model": model, **fields}, timeout=60).status_code


def samples(url: str) -> dict[tuple[str, ...], float]:
    """Name and label values, in the order of the labels' names but with a bucket's bound last, to value."""
    found = {}
    for family in text_string_to_metric_families(httpx.get(f"{url}/metrics").text):
        for sample in family.samples:
            labels = dict(sample.labels)
            bound = labels.pop("le", None)
            values = [labels[name] for name in sorted(labels)]
            found[(sample.name, *values, *([bound] if bound else []))] = sample.value
    return found


def test_every_answer_is_counted_by_model_and_endpoint(start_server: Callable[..., ServerProcess]) -> None:
    url = start_server("--model", str(MODEL), "--model", f"other={MODEL}", "--parallel", "1").url
    for fields in ({}, {"stream": True}, {"n": 2}):
        assert ask(url, "trammel-tiny", **fields) == 200
    assert ask(url, "other") == 200
    assert ask(url, "trammel-tiny", temperature=9) == 400
    assert ask(url, "nobody-serves-this") == 404
    assert httpx.get(f"{url}/no/such/path/{'x' * 50}").status_code == 404
    found = samples(url)

    for name in ("trammel_time_to_first_token_seconds", "trammel_queue_wait_seconds"):
        assert found[(f"{name}_count", "trammel-tiny")] == 4  # n=2 are two generations
        assert found[(f"{name}_count", "other")] == 1
        assert 0 < found[(f"{name}_sum", "trammel-tiny")] < 60
        assert found[(f"{name}_bucket", "trammel-tiny", "+Inf")] == 4
    assert found[("trammel_inter_token_seconds_count", "trammel-tiny")] == 4 * 19
    assert found[("trammel_inter_token_seconds_count", "other")] == 19
    waits = [found[("trammel_queue_wait_seconds_sum", "trammel-tiny")], found[("trammel_step_seconds_total",)]]
    assert waits[0] > 0.1 * waits[1] / 4  # the second of n=2 waited for the first: there is one place

    chat = "/v1/chat/completions"
    assert found[("trammel_request_duration_seconds_count", "200", chat, "trammel-tiny")] == 3
    assert found[("trammel_request_duration_seconds_count", "200", chat, "other")] == 1
    assert found[("trammel_request_duration_seconds_count", "400", chat, "")] == 1
    assert found[("trammel_request_duration_seconds_count", "404", chat, "")] == 1
    assert found[("trammel_request_duration_seconds_count", "404", "other", "")] == 1
    first, whole = "trammel_time_to_first_token_seconds_sum", "trammel_request_duration_seconds_sum"
    assert found[(first, "other")] < found[(whole, "200", chat, "other")]
    buckets = [
        value for key, value in found.items()
        if key[:4] == ("trammel_request_duration_seconds_bucket", "200", chat, "trammel-tiny")
    ]  # fmt: skip
    assert buckets == sorted(buckets)
    assert buckets[-1] == 3
