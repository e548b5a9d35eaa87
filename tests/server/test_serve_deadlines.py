"""Deadlines and priorities over HTTP."""

import httpx

BODY = {"model": "trammel-tiny", "messages": [{"role": "user", "content": "Hello"}]}


def post(url: str, headers: dict[str, str] | None = None, **fields: object) -> httpx.Response:
    return httpx.post(f"{url}/v1/chat/completions", json={**BODY, **fields}, headers=headers, timeout=60)


def test_a_request_without_time_gets_408(server_url: str) -> None:
    for response in (post(server_url, timeout=1e-6), post(server_url, {"x-request-timeout": "0.000001"})):
        assert response.status_code == 408
        assert response.json()["error"]["code"] == "request_timeout"


def test_an_answer_cut_by_its_deadline_says_length(server_url: str) -> None:
    endless = {str(token): -100 for token in range(8)}
    response = post(server_url, timeout=0.25, logit_bias=endless, n=2)
    assert response.status_code == 200
    assert {choice["finish_reason"] for choice in response.json()["choices"]} == {"length"}


def test_tiers_and_priorities_are_taken(server_url: str) -> None:
    for fields in ({"service_tier": "flex"}, {"service_tier": "priority"}, {"priority": 3}, {"speculate": True}):
        assert post(server_url, max_tokens=4, **fields).status_code == 200


def test_what_is_no_time_or_priority_is_refused_by_name(server_url: str) -> None:
    assert post(server_url, timeout=0).json()["error"]["param"] == "timeout"
    assert post(server_url, priority=1000).json()["error"]["param"] == "priority"
    assert post(server_url, service_tier="best").json()["error"]["param"] == "service_tier"
