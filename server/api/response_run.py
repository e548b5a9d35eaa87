"""One response under way: a chat completion of one choice, told as items, and kept in the store when it is whole."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from typing import Any, Protocol

from server.api.chat_request import read_chat_request
from server.api.completion import Completion, start_completion
from server.api.errors import ApiError
from server.api.listing import listed
from server.api.response_events import ResponseEvents, new_response_id
from server.api.response_items import Json, read_input, references, resolve
from server.api.response_objects import logprob_object, response_object
from server.api.response_request import as_chat_completion, as_response_error
from server.api.response_wire import ResponseRequest
from server.api.services import Services
from server.api.stream import data
from server.engine.errors import ContextLengthExceededError
from server.engine.types import TokenLogprob
from server.store.responses import ResponseStore, StoredResponse


class ResponseRun:
    """A started response."""

    choices = 1

    def __init__(
        self, services: Services, request: ResponseRequest, completion: Completion, store: ResponseStore, owner: str
    ) -> None:
        self.services = services
        self._request = request
        self._completion = completion
        self._store = store
        self._owner = owner
        self._new_items: tuple[Json, ...] = ()
        model = services.engine.model
        body = response_object(request, new_response_id(), int(time.time()), model.sampling_defaults)
        describe = self._describe if request.wants_logprobs else None
        self.progress = ResponseEvents(body, describe, completion.custom_tools)

    @property
    def widened(self) -> dict[str, str]:
        return self._completion.widened

    async def events(self, _: int) -> AsyncIterator[Json]:
        """The response's events; it is stored before the last. Raises: GenerationError, EngineStoppedError."""
        for told in self.progress.begin():
            yield told
        async for event in self._completion.events(0):
            for told in self.progress.feed(event):
                yield told
        await self._keep()
        for told in self.progress.end():
            yield told

    async def whole(self) -> Json:
        """The response, when it is whole. Raises: as `events`."""
        async for _ in self.events(0):
            pass
        return self.progress.response

    async def cancel(self) -> None:
        await self._completion.cancel()

    async def _keep(self) -> None:
        if self._request.is_stored:
            stored = StoredResponse(self.progress.response, self._new_items, self._request.previous_response_id)
            await asyncio.to_thread(self._store.put, stored, self._owner)

    def _describe(self, token: TokenLogprob) -> Json:
        return logprob_object(self.services.engine.model.vocabulary, token)

    @staticmethod
    async def start(
        services: Services, request: ResponseRequest, store: ResponseStore, owner: str = ""
    ) -> "ResponseRun":
        """Read, prepare and submit. Raises: ApiError."""
        earlier, new = await asyncio.to_thread(gather_items, request, store, owner)
        items = [*earlier, *new]
        while True:
            try:
                completion = await _start_completion(services, request, items)
                break
            except ContextLengthExceededError as error:
                items = _without_oldest(items)
                if request.truncation != "auto" or not items:
                    raise as_response_error(error) from error
            except Exception as error:
                raise as_response_error(error) from error
        run = ResponseRun(services, request, completion, store, owner)
        run._new_items = tuple(new)
        return run


class Telling(Protocol):
    """What tells a response's events."""

    progress: ResponseEvents


class ResponseWriter:
    """The events of a streamed response; there is no `[DONE]`."""

    def __init__(self, run: Telling) -> None:
        self._run = run

    def begin(self) -> Iterable[str]:
        return ()

    def event(self, _: int, event: Json) -> Iterable[str]:
        return (f"event: {event['type']}\n", *data(event))

    def end(self) -> Iterable[str]:
        return ()

    def failure(self, error: Exception) -> Iterable[str]:
        message = as_response_error(error).body["error"]["message"] or ""
        return [text for event in self._run.progress.fail("server_error", message) for text in self.event(0, event)]


def gather_items(request: ResponseRequest, store: ResponseStore, owner: str) -> tuple[list[Json], list[Json]]:
    """The items of earlier responses, and those of this request. Raises: ApiError."""
    earlier: list[Json] = []
    if request.previous_response_id is not None:
        found = store.context(request.previous_response_id, owner)
        if found is None:
            message = f"Previous response with id '{request.previous_response_id}' not found."
            raise ApiError(404, message, param="previous_response_id", code="previous_response_not_found")
        earlier = found
    new = read_input(request.input)
    return earlier, resolve(new, store.items(references(new), owner))


async def _start_completion(services: Services, request: ResponseRequest, items: list[Json]) -> Completion:
    chat_body = await asyncio.to_thread(as_chat_completion, request, items)
    chat = await asyncio.to_thread(read_chat_request, chat_body, services.engine.model.sampling_defaults)
    adapter = services.adapter_of(request.model)
    return await start_completion(services, chat, 1, model=request.model, adapter=adapter, streams=bool(request.stream))


def _without_oldest(items: list[Json]) -> list[Json]:
    """`truncation: auto`: without the oldest turn; system and developer messages stay. Empty: nothing can go."""
    kept = [item for item in items if item.get("role") in ("system", "developer")]
    rest = [item for item in items if item.get("role") not in ("system", "developer")]
    following = next((n for n, item in enumerate(rest) if n and item.get("role") == "user"), None)
    return [*kept, *rest[following:]] if following else []


def page_of(items: list[Any], *, after: str | None, limit: int) -> Json:
    """A page of items as OpenAI's list object. Raises: ApiError, if `after` is none of them."""
    start = 0
    if after is not None:
        start = next((n + 1 for n, item in enumerate(items) if item["id"] == after), -1)
        if start < 0:
            raise ApiError(400, f"There is no item '{after}' in this list.", param="after", code="invalid_value")
    return listed(items[start : start + limit + 1], limit)
