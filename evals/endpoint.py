"""An OpenAI-compatible endpoint: how it is named on the command line, and one request with its retries."""

import asyncio
import math
import os
import time
from dataclasses import dataclass, field
from typing import Any

import httpx

from evals.case import Json

_RETRIED = {408, 409, 425, 429, 500, 502, 503, 504}
_LONGEST_WAIT = 30.0


class EndpointError(Exception):
    """An endpoint can't be used; the text says which and why."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to ask, and for what."""

    name: str
    url: str
    """Up to and with /v1."""
    model: str = ""
    """Empty: the first that the endpoint lists."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back for one request."""

    message: Json
    finish_reason: str = ""
    latency: float = 0.0
    """Seconds from sending to the whole answer, of the try that succeeded."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    error: str = ""


def parse_endpoint(text: str) -> Endpoint:
    """NAME=URL[#MODEL]; /v1 is added to a bare host. Raises: ValueError."""
    name, sign, rest = text.partition("=")
    url, _, model = rest.partition("#")
    if not name or not sign or not url.startswith(("http://", "https://")):
        raise ValueError(f"{text!r} is not NAME=URL or NAME=URL#MODEL")
    url = url.rstrip("/")
    if url.count("/") == 2:
        url += "/v1"
    return Endpoint(name, url, model)


@dataclass(slots=True)
class Client:
    """Asks one endpoint. Its key is $NAME_API_KEY, NAME being the endpoint's in capitals."""

    endpoint: Endpoint
    retries: int = 3
    timeout: float = 120.0
    """Seconds for one try."""
    pause: float = 0.5
    """Seconds before the first retry; doubled each time, unless the endpoint says how long."""
    _http: httpx.AsyncClient = field(init=False)

    def __post_init__(self) -> None:
        key = os.environ.get(f"{self.endpoint.name.upper().replace('-', '_')}_API_KEY", "none")
        limits = httpx.Limits(max_connections=None)  # how many at once is the runner's business
        headers = {"authorization": f"Bearer {key}"}
        self._http = httpx.AsyncClient(timeout=self.timeout, limits=limits, headers=headers)

    async def models(self) -> dict[str, str]:
        """What `GET /models` lists, with whom it says owns it. Raises: EndpointError."""
        try:
            answer = await self._http.get(f"{self.endpoint.url}/models")
            answer.raise_for_status()
            return {str(model["id"]): str(model.get("owned_by")) for model in answer.json()["data"]}
        except (httpx.HTTPError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise EndpointError(f"{self.endpoint.name} at {self.endpoint.url} lists no models: {error}") from error

    async def ask(self, body: Json) -> Answer:
        """One answer, or the `bits` that a text (`prompt`) takes; what can't be had is an answer with `error`."""
        place, read = ("completions", _read_bits) if "prompt" in body else ("chat/completions", _read)
        error = ""
        for attempt in range(self.retries + 1):
            wait = min(self.pause * 2**attempt, _LONGEST_WAIT)
            began = time.monotonic()
            try:
                response = await self._http.post(f"{self.endpoint.url}/{place}", json=body)
            except httpx.TransportError as failure:
                error = f"{type(failure).__name__}: {failure}"
            else:
                if response.status_code == 200:
                    return read(response, time.monotonic() - began)
                error = f"{response.status_code}: {response.text[:500]}"
                if response.status_code not in _RETRIED:
                    break
                wait = _retry_after(response, wait)
            if attempt < self.retries:
                await asyncio.sleep(wait)
        return Answer({}, error=error)

    async def close(self) -> None:
        await self._http.aclose()


def _read(response: httpx.Response, latency: float) -> Answer:
    try:
        body: Any = response.json()
        choice, usage = body["choices"][0], body.get("usage") or {}
        return Answer(
            dict(choice["message"]),
            choice.get("finish_reason") or "",
            latency,
            int(usage.get("prompt_tokens") or 0),
            int(usage.get("completion_tokens") or 0),
        )
    except (ValueError, KeyError, IndexError, TypeError) as error:
        return Answer({}, latency=latency, error=f"not a chat completion: {type(error).__name__}: {error}")


def _read_bits(response: httpx.Response, latency: float) -> Answer:
    """The first token has no probability, because nothing stands before it."""
    try:
        body: Any = response.json()
        judged = body["choices"][0]["logprobs"]["token_logprobs"]
        bits = -sum(logprob for logprob in judged if logprob is not None) / math.log(2)
        return Answer({"bits": bits}, "", latency, int((body.get("usage") or {}).get("prompt_tokens") or 0))
    except (ValueError, KeyError, IndexError, TypeError) as error:
        return Answer({}, latency=latency, error=f"no logprobs of the prompt: {type(error).__name__}: {error}")


def _retry_after(response: httpx.Response, default: float) -> float:
    try:
        return min(float(response.headers["retry-after"]), _LONGEST_WAIT)
    except (KeyError, ValueError):
        return default
