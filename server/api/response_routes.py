"""`/v1/responses`: https://platform.openai.com/docs/api-reference/responses."""

import asyncio
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse, Response

from server.api.catalog import Catalog, catalog_of
from server.api.chat_request import read_chat_request
from server.api.departure import ClientGoneError, no_answer, while_connected
from server.api.errors import ApiError, invalid
from server.api.listing import TheOwner
from server.api.response_agent import answer_with_server_tools, concerns_a_run
from server.api.response_request import as_chat_completion, as_response_error
from server.api.response_run import ResponseRun, ResponseWriter, gather_items, page_of
from server.api.response_wire import ResponseRequest
from server.api.routes import widened_header
from server.api.run_routes import runs_of
from server.api.services import Services
from server.api.stream import AnswerStream
from server.store.responses import ResponseStore, StoredResponse

router = APIRouter()


def store_of(request: Request) -> ResponseStore:
    """The store of the app a request came to."""
    store: ResponseStore = request.app.state.store
    return store


TheCatalog = Annotated[Catalog, Depends(catalog_of)]
TheStore = Annotated[ResponseStore, Depends(store_of)]


@router.post("/v1/responses")
async def create_response(
    body: ResponseRequest, request: Request, catalog: TheCatalog, store: TheStore, owner: TheOwner
) -> Response:
    """Answer a conversation's items: with a message, or with calls of the given functions."""
    runs = runs_of(request)
    if await concerns_a_run(body, runs, store, owner):
        return await answer_with_server_tools(body, runs, catalog, store, owner, request)
    async with catalog.lend(body.model, Services) as services:
        run = await ResponseRun.start(services, body, store, owner)
    headers = widened_header(run.widened)
    if body.stream:
        return AnswerStream(run, ResponseWriter(run), headers)
    try:
        return JSONResponse(await while_connected(request, run.whole()), headers=headers)
    except ClientGoneError:
        return no_answer()
    finally:
        await run.cancel()


@router.post("/v1/responses/input_tokens")
async def count_input_tokens(
    body: ResponseRequest, catalog: TheCatalog, store: TheStore, owner: TheOwner
) -> dict[str, Any]:
    """How many tokens the input of a response would have."""
    async with catalog.lend(body.model, Services) as services:
        count = await asyncio.to_thread(_count_tokens, services, body, store, owner)
    return {"object": "response.input_tokens", "input_tokens": count}


@router.get("/v1/responses/{response_id}")
async def retrieve_response(response_id: str, store: TheStore, owner: TheOwner, stream: bool = False) -> dict[str, Any]:
    """A stored response."""
    if stream:
        raise invalid("Only responses made in the background can be streamed again, and there are none here.", "stream")
    return (await _found(store, response_id, owner)).body


@router.delete("/v1/responses/{response_id}")
async def delete_response(response_id: str, store: TheStore, owner: TheOwner) -> dict[str, Any]:
    """Forget a response."""
    if not await asyncio.to_thread(store.delete, response_id, owner):
        raise _not_found(response_id)
    return {"id": response_id, "object": "response", "deleted": True}


@router.post("/v1/responses/{response_id}/cancel")
async def cancel_response(response_id: str, store: TheStore, owner: TheOwner) -> None:
    """Only background responses can be cancelled; to cancel another, close its connection."""
    await _found(store, response_id, owner)
    raise invalid("Only responses made with 'background' can be cancelled.", None)


@router.get("/v1/responses/{response_id}/input_items")
async def list_input_items(
    response_id: str,
    store: TheStore,
    owner: TheOwner,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    order: Literal["asc", "desc"] = "desc",
    after: str | None = None,
) -> dict[str, Any]:
    """The items a response was made from, those of earlier responses too."""
    found = await _found(store, response_id, owner)
    earlier = await asyncio.to_thread(store.context, found.previous, owner) if found.previous else []
    items = [*(earlier or []), *found.input]
    return page_of(items if order == "asc" else items[::-1], after=after, limit=limit)


async def _found(store: ResponseStore, response_id: str, owner: str) -> StoredResponse:
    found = await asyncio.to_thread(store.get, response_id, owner)
    if found is None:
        raise _not_found(response_id)
    return found


def _not_found(response_id: str) -> ApiError:
    return ApiError(404, f"Response with id '{response_id}' not found.", param="response_id", code="response_not_found")


def _count_tokens(services: Services, body: ResponseRequest, store: ResponseStore, owner: str) -> int:
    earlier, new = gather_items(body, store, owner)
    try:
        chat = read_chat_request(as_chat_completion(body, [*earlier, *new]), services.engine.model.sampling_defaults)
        prompt = services.conversations.prompt(chat)
    except Exception as error:
        raise as_response_error(error) from error
    return len(services.engine.tokenize(*prompt.pieces))
