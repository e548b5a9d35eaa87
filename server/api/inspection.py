"""What the server would make of a text or a request: its tokens, and the grammar it would be decoded under.

`/v1/tokenize` and `/v1/detokenize` have vLLM's field names (https://docs.vllm.ai), since OpenAI has no such endpoints.
"""

import asyncio
import dataclasses
from typing import Annotated, Any, Self

from fastapi import APIRouter, Depends
from pydantic import ConfigDict, Field, model_validator

import grammars
from grammars import GrammarError, Report
from server.api.catalog import Catalog, catalog_of
from server.api.chat_request import read_chat_request
from server.api.errors import invalid
from server.api.sampling_fields import Wire
from server.api.services import Services
from server.api.wire import ChatCompletionRequest, MessageIn, ResponseFormatIn, ToolChoiceIn, ToolIn
from server.chat.request import ChatRequest

Json = dict[str, Any]

router = APIRouter()
TheCatalog = Annotated[Catalog, Depends(catalog_of)]


class TokenizeRequest(Wire):
    """A text, or a conversation as the model's template writes it."""

    model: str
    prompt: str | None = None
    messages: list[MessageIn] | None = Field(default=None, min_length=1)
    tools: list[ToolIn] | None = None
    chat_template_kwargs: dict[str, Any] | None = None
    add_special_tokens: bool = True
    """Whether a BOS goes before a text, if the model wants one."""
    return_token_strs: bool | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.prompt is None) == (self.messages is None):
            raise ValueError("'prompt' or 'messages' is needed, and only one of them")
        return self


class DetokenizeRequest(Wire):
    model: str
    tokens: list[int]


class GrammarRequest(Wire):
    """Tools or a response format, as in a chat completion; or a schema by itself."""

    model_config = ConfigDict(extra="ignore", strict=True, populate_by_name=True)

    model: str | None = None
    """Whose form of calls the grammar is for; needed with tools and response formats."""
    tools: list[ToolIn] | None = None
    tool_choice: ToolChoiceIn | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormatIn | None = None
    schema_: dict[str, Any] | bool | None = Field(default=None, alias="schema")
    strict: bool = True
    """Of a schema by itself: whether to refuse what the grammar can't hold, or to widen it."""

    @model_validator(mode="after")
    def _something_to_compile(self) -> Self:
        if self.schema_ is None and not self.tools and self.response_format is None:
            raise ValueError("'tools', 'response_format' or 'schema' is needed")
        if self.schema_ is None and self.model is None:
            raise ValueError("'model' is needed: models write calls each in a form of their own")
        return self


@router.post("/v1/tokenize")
async def tokenize(body: TokenizeRequest, catalog: TheCatalog) -> Json:
    """Token ids of a text or a conversation."""
    async with catalog.lend(body.model, Services) as services:
        tokens = await asyncio.to_thread(_tokens, services, body)
        vocabulary = services.engine.model.vocabulary
        names = [vocabulary.name(token) for token in tokens] if body.return_token_strs else None
        limit = services.engine.context_length
    return {"count": len(tokens), "max_model_len": limit, "tokens": list(tokens), "token_strs": names}


@router.post("/v1/detokenize")
async def detokenize(body: DetokenizeRequest, catalog: TheCatalog) -> Json:
    """The text of token ids, special ones by their names."""
    async with catalog.lend(body.model, Services) as services:
        vocabulary = services.engine.model.vocabulary
        for index, token in enumerate(body.tokens):
            if not 0 <= token < vocabulary.size:
                raise invalid(f"This model has no token {token} (0…{vocabulary.size - 1}).", f"tokens[{index}]")
        spelled = b"".join(vocabulary.pieces[token] or vocabulary.name(token).encode() for token in body.tokens)
    return {"prompt": spelled.decode("utf-8", errors="replace")}


@router.post("/v1/grammar")
async def grammar(body: GrammarRequest, catalog: TheCatalog) -> Json:
    """The GBNF an answer would be held to, and keyword by keyword what became of the schemas."""
    if body.schema_ is not None:
        return await asyncio.to_thread(_schema_grammar, body.schema_, body.strict)
    async with catalog.lend(body.model or "", Services) as services:
        return await asyncio.to_thread(_answer_grammar, services, body)


def _tokens(services: Services, body: TokenizeRequest) -> tuple[int, ...]:
    if body.prompt is not None:
        if body.add_special_tokens:
            return services.engine.tokenize(body.prompt)
        return services.engine.model.vocabulary.tokenize(body.prompt)
    fields = body.model_dump(include={"model", "messages", "tools", "chat_template_kwargs"})
    chat = _read(services, ChatCompletionRequest.model_validate(fields))
    return services.engine.tokenize(*services.conversations.prompt(chat).pieces)


def _read(services: Services, body: ChatCompletionRequest) -> ChatRequest:
    return read_chat_request(body, services.engine.model.sampling_defaults)


def _schema_grammar(schema: Any, strict: bool) -> Json:
    try:
        compiled = grammars.compile(schema, strict=strict, closed=True, openapi=True)
        gbnf = compiled.gbnf
    except GrammarError as error:
        raise invalid(f"Invalid schema: {error}.", "schema", "invalid_schema") from error
    return {"object": "grammar", "gbnf": gbnf, "trigger": None, "reports": {"schema": _told(compiled.report)}}


def _answer_grammar(services: Services, body: GrammarRequest) -> Json:
    """As for a chat completion with the same fields. Raises: ApiError, SchemaError."""
    fields = body.model_dump(by_alias=True, exclude={"schema_", "strict"})
    question = [{"role": "user", "content": ""}]
    chat = _read(services, ChatCompletionRequest.model_validate({**fields, "messages": question}))
    constraint = services.conversations.prepare(chat).grammar.constraint
    reports = {tool.name: _report({"type": "object", **tool.parameters}) for tool in chat.callable_tools}
    if chat.response_format.kind == "json_schema":
        reports["response_format"] = _report(chat.response_format.schema)
    return {
        "object": "grammar",
        "gbnf": constraint.gbnf if constraint else None,
        "trigger": constraint.trigger if constraint else None,
        "reports": reports,
    }


def _report(schema: Any) -> Json:
    return _told(grammars.compile_schema(schema, strict=False, closed=True, openapi=True).report)


def _told(report: Report) -> Json:
    return dataclasses.asdict(report)
