"""`POST /v1/embeddings`: https://platform.openai.com/docs/api-reference/embeddings/create."""

import asyncio
import base64
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field

from server.api.catalog import Catalog, catalog_of
from server.api.errors import invalid
from server.api.services import EmbeddingServices
from server.engine.embedder import Embedder, Vector
from server.engine.errors import ContextLengthExceededError
from server.tools.retrieval import Embed

_MOST_INPUTS = 2048
"""OpenAI's bound."""

router = APIRouter()


class EmbeddingRequest(BaseModel):
    """Inputs to be embedded: a text, texts, a token array, or token arrays."""

    model_config = ConfigDict(extra="ignore", strict=True)

    model: str
    input: str | list[str] | list[int] | list[list[int]]
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: int | None = Field(default=None, ge=1)
    user: str | None = None


@router.post("/v1/embeddings")
async def create_embeddings(body: EmbeddingRequest, catalog: Annotated[Catalog, Depends(catalog_of)]) -> dict[str, Any]:
    """Vectors of texts, by an embedding model."""
    texts = _inputs(body)
    async with catalog.lend(body.model, EmbeddingServices) as services:
        embedder = services.embedder
        if body.dimensions not in (None, embedder.dimensions):
            raise invalid(
                f"The model `{body.model}` gives {embedder.dimensions} dimensions and can't be cut to others.",
                "dimensions",
            )
        inputs = await asyncio.to_thread(_tokenize, embedder, texts)
        try:
            vectors = await embedder.embed(inputs)
        except ContextLengthExceededError as error:
            message = f"An input has {error.prompt_tokens} tokens; this model takes at most {error.context_length}."
            raise invalid(message, "input", "context_length_exceeded") from error
    count = sum(map(len, inputs))
    return {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": _written(vector, body.encoding_format)}
            for index, vector in enumerate(vectors)
        ],
        "model": body.model,
        "usage": {"prompt_tokens": count, "total_tokens": count},
    }


def embed_with(catalog: Catalog, model: str) -> Embed:
    """Vectors by a served embedding model, as the search for tools takes them; texts that are too long are cut."""

    async def embed(texts: Sequence[str]) -> Vector:
        async with catalog.lend(model, EmbeddingServices) as services:
            embedder = services.embedder
            inputs = await asyncio.to_thread(_tokenize, embedder, list(texts))
            return await embedder.embed([tokens[: embedder.context_length] for tokens in inputs])

    return embed


def _inputs(body: EmbeddingRequest) -> list[str | list[int]]:
    """The inputs one by one. Raises: ApiError."""
    match body.input:
        case str() | [int(), *_]:
            inputs: list[Any] = [body.input]
        case _:
            inputs = list(body.input)
    if not inputs or not all(inputs):
        raise invalid("An input can't be empty, nor can there be none.", "input")
    if len(inputs) > _MOST_INPUTS:
        raise invalid(f"There are {len(inputs)} inputs; at most {_MOST_INPUTS} are allowed in a request.", "input")
    return inputs


def _tokenize(embedder: Embedder, inputs: list[str | list[int]]) -> list[tuple[int, ...]]:
    return [embedder.tokenize(one) if isinstance(one, str) else tuple(one) for one in inputs]


def _written(vector: Vector, encoding: str | None) -> list[float] | str:
    """base64 is of little-endian 32-bit floats, as OpenAI's clients read it."""
    if encoding == "base64":
        return base64.b64encode(vector.astype("<f4").tobytes()).decode("ascii")
    return [float(number) for number in vector]
