"""A streaming client of OpenAI's chat completions that keeps the time of every piece it gets.

Tokens are counted by the server's own `usage`: a piece of a stream may carry several tokens or none.
"""

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """One request's answer. Times in seconds of `time.perf_counter`."""

    sent: float
    ended: float
    pieces: tuple[float, ...] = ()
    """When each piece with text or a part of a call arrived."""
    tokens: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    text: str = ""
    reason: str = ""

    @property
    def latency(self) -> float:
        return self.ended - self.sent

    @property
    def first(self) -> float:
        """Time to the first token."""
        return (self.pieces[0] if self.pieces else self.ended) - self.sent

    @property
    def gaps(self) -> list[float]:
        """Pauses between pieces."""
        return [late - early for early, late in zip(self.pieces, self.pieces[1:], strict=False)]

    @property
    def speed(self) -> float:
        """Tokens a second after the first piece: decoding alone, without the prompt."""
        return (self.tokens - 1) / (self.pieces[-1] - self.pieces[0])


@dataclass(slots=True)
class _Reading:
    """What a stream has brought so far."""

    pieces: list[float] = field(default_factory=list)
    text: list[str] = field(default_factory=list)
    reason: str = ""
    usage: dict[str, Any] = field(default_factory=dict)

    def take(self, chunk: dict[str, Any], now: float) -> None:
        if "error" in chunk:
            raise RuntimeError(f"the server broke off: {chunk['error']}")
        self.usage = chunk.get("usage") or self.usage
        for choice in chunk.get("choices") or ():
            delta = choice.get("delta") or {}
            said = (delta.get("content") or "") + _arguments(delta)
            if said:
                self.pieces.append(now)
                self.text.append(said)
            self.reason = choice.get("finish_reason") or self.reason

    def answer(self, sent: float, ended: float) -> Answer:
        details = self.usage.get("prompt_tokens_details") or {}
        return Answer(
            sent=sent,
            ended=ended,
            pieces=tuple(self.pieces),
            tokens=self.usage.get("completion_tokens", 0),
            prompt_tokens=self.usage.get("prompt_tokens", 0),
            cached_tokens=details.get("cached_tokens") or 0,
            text="".join(self.text),
            reason=self.reason,
        )


def _arguments(delta: dict[str, Any]) -> str:
    calls = delta.get("tool_calls") or ()
    return "".join((call.get("function") or {}).get("arguments") or "" for call in calls)


async def stream(client: httpx.AsyncClient, body: Body) -> Answer:
    """One streamed answer. Raises: httpx.HTTPStatusError, with the server's words."""
    body = {**body, "stream": True, "stream_options": {"include_usage": True}}
    reading = _Reading()
    sent = time.perf_counter()
    async with client.stream("POST", "/v1/chat/completions", json=body) as response:
        if response.is_error:
            raise httpx.HTTPStatusError(
                f"{response.status_code}: {(await response.aread()).decode()[:500]}",
                request=response.request,
                response=response,
            )
        async for line in response.aiter_lines():
            data = line.removeprefix("data:").strip()
            if line.startswith("data:") and data != "[DONE]":
                reading.take(json.loads(data), time.perf_counter())
    return reading.answer(sent, time.perf_counter())


async def whole(client: httpx.AsyncClient, body: Body) -> Answer:
    """One answer that comes at once."""
    sent = time.perf_counter()
    response = await client.post("/v1/chat/completions", json=body)
    ended = time.perf_counter()
    if response.is_error:
        raise httpx.HTTPStatusError(
            f"{response.status_code}: {response.text[:500]}", request=response.request, response=response
        )
    result = response.json()
    choice = result["choices"][0]
    chunk = {"usage": result["usage"], "choices": [{**choice, "delta": choice["message"]}]}
    reading = _Reading()
    reading.take(chunk, ended)
    return reading.answer(sent, ended)


async def run_streams(url: str, streams: Sequence[Sequence[Body]], *, streaming: bool = True) -> list[Answer]:
    """Answers to all bodies: the streams side by side, each stream's bodies one after the other."""
    ask = stream if streaming else whole
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)  # llama-server drops idle ones
    async with httpx.AsyncClient(base_url=url, timeout=600, limits=limits) as client:

        async def run(bodies: Sequence[Body]) -> list[Answer]:
            return [await ask(client, body) for body in bodies]

        return [answer for answers in await asyncio.gather(*map(run, streams)) for answer in answers]


async def run_beside(url: str, lasting: Sequence[Body], arriving: Sequence[Body]) -> list[float]:
    """Hold `lasting` streams open while one of `arriving` is sent every second; then leave all of them.

    Returns when the lasting streams' pieces came, in seconds from the moment the first of `arriving` was sent.
    """
    async with httpx.AsyncClient(base_url=url, timeout=600, limits=httpx.Limits(max_connections=None)) as client:
        moments: list[list[float]] = [[] for _ in lasting]
        tasks: list[asyncio.Task[Any]] = [
            asyncio.create_task(_watch(client, body, kept)) for body, kept in zip(lasting, moments, strict=True)
        ]
        while not all(moments):
            await asyncio.sleep(0.01)
            for task in tasks:
                if task.done():
                    task.result()
        started = time.perf_counter()
        for body in arriving:
            tasks.append(asyncio.create_task(whole(client, body)))
            await asyncio.sleep(1)
        ended = time.perf_counter()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return sorted(moment - started for kept in moments for moment in kept if started < moment <= ended)


async def _watch(client: httpx.AsyncClient, body: Body, moments: list[float]) -> None:
    """Note when each piece comes. A stream that is left never tells its usage, so pieces stand for tokens here."""
    async with client.stream("POST", "/v1/chat/completions", json={**body, "stream": True}) as response:
        async for line in response.aiter_lines():
            data = line.removeprefix("data:").strip()
            if line.startswith("data:") and data != "[DONE]":
                reading = _Reading()
                reading.take(json.loads(data), time.perf_counter())
                moments.extend(reading.pieces)
