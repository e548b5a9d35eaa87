"""The model as a run hears it: one chat completion for each turn, with the run's messages and tools in place.

All tools stay in the prompt, so that its beginning, and the KV of it, is the same turn after turn; the grammar admits
those that may be called now.
"""

import asyncio
import time
from dataclasses import dataclass, replace

from server.agent.events import Call, Spoke, Started
from server.agent.speaker import Hear, Piece, UnavailableError
from server.api.adapter_fields import chosen_adapter
from server.api.catalog import Catalog
from server.api.chat_request import read_chat_request
from server.api.completion import Answer, start_completion
from server.api.errors import translate
from server.api.run_choice import choice_of
from server.api.run_prompt import fit
from server.api.services import Services
from server.api.wire import ChatCompletionRequest
from server.chat.messages import Message, Tool
from server.chat.parser import CallDelta, CallEnd, CallStart, Delta
from server.chat.request import ChatRequest, ToolChoice
from server.engine.errors import EngineStoppedError, QueueFullError, ShuttingDownError


class SpeechError(Exception):
    """The model can't go on with this conversation; says why."""


@dataclass(frozen=True, slots=True)
class _Turn:
    """What makes a turn of a run out of the request that began it."""

    messages: tuple[Message, ...]
    first: int
    """Where the run's own messages begin."""
    tools: tuple[Tool, ...]
    choice: ToolChoice
    max_tokens: int

    def fill(self, chat: ChatRequest) -> ChatRequest:
        most = max(1, min(chat.max_tokens or self.max_tokens, self.max_tokens))
        return replace(chat, messages=self.messages, tools=self.tools, tool_choice=self.choice, max_tokens=most)


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
        hear: Hear,
    ) -> Spoke:
        """Raises: UnavailableError, SpeechError."""
        begin = time.monotonic()
        body = ChatCompletionRequest.model_validate(started.request)
        is_first = len(messages) == len(started.messages)
        try:
            choice = choice_of(body).of_turn(names, is_first=is_first)
            answer = await self._answer(body, _Turn(messages, len(started.messages), tools, choice, max_tokens), hear)
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
            answer.reasoning,
            usage.reasoning_tokens,
        )

    async def _answer(self, body: ChatCompletionRequest, turn: _Turn, hear: Hear) -> Answer:
        async with self._catalog.lend(body.model, Services) as services:
            plain = body.model_copy(update={"tools": None, "tool_choice": None})
            chat = turn.fill(read_chat_request(plain, services.engine.model.sampling_defaults))
            chat = await asyncio.to_thread(_fitting, services, chat, turn.first)
            completion = await start_completion(
                services, chat, 1, model=body.model, adapter=chosen_adapter(services, body.model, body.lora)
            )
        answer = Answer()
        try:
            async for event in completion.events(0):
                answer.add(event)
                if isinstance(event, Delta):
                    await hear(Piece(event, _call_of(event, answer)))
        finally:
            await completion.cancel()
        answer.calls = [call for call in answer.calls if call.is_whole]
        return answer


def _fitting(services: Services, chat: ChatRequest, first: int) -> ChatRequest:
    """With results shortened until there is room to answer: a quarter of the context, or what was asked for."""
    context = services.engine.context_length
    room = context - min(chat.max_tokens or context, context // 4)

    def count(messages: tuple[Message, ...]) -> int:
        prompt = services.conversations.prompt(replace(chat, messages=messages))
        return len(services.engine.tokenize(*prompt.pieces))

    return replace(chat, messages=fit(chat.messages, first, room, count))


def _call_of(delta: Delta, answer: Answer) -> str:
    return answer.calls[-1].id if isinstance(delta, CallStart | CallDelta | CallEnd) else ""


def check_request(services: Services, chat: ChatRequest, tools: tuple[Tool, ...]) -> None:
    """Refuse at once what no turn could be made of. Raises: as `Conversations.prepare`."""
    services.conversations.prepare(replace(chat, tools=tools, tool_choice=ToolChoice("auto" if tools else "none")))
