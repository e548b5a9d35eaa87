"""Asks an OpenAI-compatible endpoint for chat completions, again where an error may pass."""

import os
import time
from dataclasses import dataclass
from typing import Any

import httpx

from training.data.record import Json

_PASSING = (408, 409, 425, 429, 500, 502, 503, 504)


class EndpointError(RuntimeError):
    """The endpoint can't be asked; the text says why."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Its key is the first of `keys` that is set in the environment."""

    url: str
    """Up to and with /v1."""
    keys: tuple[str, ...] = ("OPENAI_API_KEY",)
    retries: int = 4
    """After errors that may pass."""
    timeout: float = 120.0
    """Seconds."""

    def complete(self, body: Json) -> Json:
        """The message of the first choice. A `response_format` that is refused is left out. Raises: EndpointError."""
        key = next((os.environ[name] for name in self.keys if os.environ.get(name)), "none")
        error = ""
        for attempt in range(self.retries + 1):
            if attempt:
                time.sleep(min(0.5 * 2**attempt, 30.0))
            try:
                response = httpx.post(
                    f"{self.url}/chat/completions",
                    json=body,
                    headers={"authorization": f"Bearer {key}"},
                    timeout=self.timeout,
                )
            except httpx.TransportError as failure:
                error = f"{type(failure).__name__}: {failure}"
                continue
            if response.status_code == 200:
                message: Any = response.json()["choices"][0]["message"]
                return dict(message)
            error = f"{response.status_code}: {response.text[:300]}"
            if response.status_code == 400 and "response_format" in body and "response_format" in response.text:
                body = {key: value for key, value in body.items() if key != "response_format"}
            elif response.status_code not in _PASSING:
                break
        raise EndpointError(f"{self.url} does not answer: {error}")


def base_url(url: str) -> str:
    """An endpoint's URL with /v1, unless it has a path already."""
    url = url.rstrip("/")
    return url if url.count("/") > 2 else f"{url}/v1"
