"""The model as a run hears it: one chat completion for each turn, with the run's messages and tools in place.

All tools stay in the prompt, so that its beginning, and the KV of it, is the same turn after turn; the grammar admits
those that may be called now.
"""

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from server.agent.events import Call, Spoke, Started
from server.agent.speaker import UnavailableError
from server.api.catalog import Catalog
from server.api.chat_request import read_chat_request
from server.api.completion import Answer, start_completion
from server.api.errors import translate
from server.api.services import Services
from server.api.wire import ChatCompletionRequest
from server.chat.messages import Message, Tool
from server.chat.request import ChatRequest, ToolChoice
from server.engine.errors import EngineStoppedError, QueueFullError, ShuttingDownError


class SpeechError(Exception):
    """The model can't go on with this conversation; says why."""


class EngineSpeaker:
    """Speaks with the models of a catalog."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    async def speak(
        self,
        started: Started,
        messages: tuple[Message, ...],
        tools: tuple[Tool, ...],
        names: tuple[str, ...],
        max_tokens: int,
    ) -> Spoke:
        """Raises: UnavailableError, SpeechError."""
        begin = time.monotonic()
        body = ChatCompletionRequest.model_validate(started.request)
        is_first = len(messages) == len(started.messages)
        try:
            answer = await self._answer(body, messages, tools, names, is_first=is_first, max_tokens=max_tokens)
        except (QueueFullError, EngineStoppedError, ShuttingDownError) as error:
            raise UnavailableError(str(error)) from error
        except Exception as error:
            raise SpeechError(translate(error).body["error"]["message"]) from error
        usage = answer.usage
        return Spoke(
            answer.content,
            tuple(Call(call.id, call.name, call.arguments) for call in answer.calls),
            time.monotonic() - begin,
            usage.prompt_tokens,
            usage.cached_tokens,
            usage.completion_tokens,
            answer.reason == "length",
        )

    async def _answer(
        self,
        body: ChatCompletionRequest,
        messages: tuple[Message, ...],
        tools: tuple[Tool, ...],
        names: tuple[str, ...],
        *,
        is_first: bool,
        max_tokens: int,
    ) -> Answer:
        async with self._catalog.lend(body.model, Services) as services:
            chat = read_chat_request(
                body.model_copy(update={"tools": None, "tool_choice": None}), services.engine.model.sampling_defaults
            )
            chat = replace(
                chat,
                messages=messages,
                tools=tools,
                tool_choice=_choice(started_choice(body), names, is_first=is_first),
                max_tokens=max(1, min(chat.max_tokens or max_tokens, max_tokens)),
            )
            completion = await start_completion(
                services, chat, 1, model=body.model, adapter=services.adapter_of(body.model), streams=False
            )
        try:
            return await completion.answer(0)
        finally:
            await completion.cancel()


def check_request(services: Services, chat: ChatRequest, tools: tuple[Tool, ...]) -> None:
    """Refuse at once what no turn could be made of. Raises: as `Conversations.prepare`."""
    services.conversations.prepare(replace(chat, tools=tools, tool_choice=ToolChoice("auto" if tools else "none")))


def started_choice(body: ChatCompletionRequest) -> ToolChoice:
    """What the request says about calling; which tools there are is the run's matter."""
    match body.tool_choice:
        case None | "auto":
            return ToolChoice("auto")
        case "none" | "required" as word:
            return ToolChoice(word)
        case choice:
            written: Mapping[str, Any] = choice.model_dump()
    if written["type"] == "allowed_tools":
        allowed = written["allowed_tools"]
        return ToolChoice(allowed["mode"], tuple(tool["function"]["name"] for tool in allowed["tools"]))
    return ToolChoice("required", (written["function"]["name"],))


def _choice(wanted: ToolChoice, names: tuple[str, ...], *, is_first: bool) -> ToolChoice:
    """`required` holds for the first turn only: a model that must always call never answers."""
    left = tuple(name for name in names if wanted.names is None or name in wanted.names)
    if not is_first and wanted.mode == "required":
        return ToolChoice("auto" if names else "none", names)
    if not left or wanted.mode == "none":
        return ToolChoice("none")
    return ToolChoice(wanted.mode, left)
