"""`POST /v1/completions`: text continued as it stands."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response

from server.api.adapter_fields import chosen_adapter
from server.api.catalog import Catalog, catalog_of
from server.api.departure import ClientGoneError, no_answer, while_connected
from server.api.services import Services
from server.api.stream import AnswerStream
from server.api.text_completion import TextCompletion
from server.api.text_objects import TextWriter, text_completion_object
from server.api.text_wire import TextCompletionRequest

router = APIRouter()


@router.post("/v1/completions")
async def create_completion(
    body: TextCompletionRequest, request: Request, catalog: Annotated[Catalog, Depends(catalog_of)]
) -> Response:
    """Continue prompts, without a chat template."""
    async with catalog.lend(body.model, Services) as services:
        completion = TextCompletion(services, body, chosen_adapter(services, body.model, body.lora))
        await completion.start()
    if body.stream:
        return AnswerStream(completion, TextWriter(completion, include_usage=body.includes_usage), {})
    try:
        texts, made = await while_connected(request, completion.texts())
        return JSONResponse(text_completion_object(completion, texts, made))
    except ClientGoneError:
        return no_answer()
    finally:
        await completion.cancel()
