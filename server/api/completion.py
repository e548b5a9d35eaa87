"""One chat completion under way: `n` generations in the engine's batch, read as deltas.

Everything that can be refused is refused before the first token, so that it gets a proper status code.
"""

import asyncio
import json
import logging
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Literal

from server.api.custom_tools import CustomCalls
from server.api.errors import invalid
from server.api.services import Services
from server.chat.conversation import Prepared
from server.chat.parser import CallDelta, CallEnd, CallStart, ContentDelta, Delta, ReasoningDelta
from server.chat.repetition import RepetitionFilter
from server.chat.request import ChatRequest
from server.chat.validation import Schema, find_faults
from server.engine.engine import Generation
from server.engine.errors import AnswerTooLongError, InvalidGrammarError
from server.engine.types import (
    Finished,
    FinishReason,
    GenerationRequest,
    PromptLogprobs,
    TokenLogprob,
    Usage,
)

logger = logging.getLogger("trammel.api")

WireReason = Literal["stop", "length", "tool_calls"]
NO_USAGE = Usage(0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class ChoiceFinished:
    """A choice's last event."""

    reason: WireReason
    usage: Usage
    is_fitted: bool = False
    """The tokens ran out, and the answer was brought to a legal end."""


ChoiceEvent = Delta | TokenLogprob | ChoiceFinished


@dataclass(slots=True)
class Call:
    """A tool call of an answer."""

    id: str
    name: str
    arguments: str = ""
    """Of a custom tool: its input."""
    is_whole: bool = False


@dataclass(slots=True)
class Answer:
    """A finished choice."""

    content: str = ""
    reasoning: str = ""
    calls: list[Call] = field(default_factory=list)
    reason: WireReason = "stop"
    usage: Usage = NO_USAGE
    is_fitted: bool = False
    logprobs: list[TokenLogprob] = field(default_factory=list)

    def add(self, event: ChoiceEvent) -> None:
        match event:
            case ContentDelta(text):
                self.content += text
            case ReasoningDelta(text):
                self.reasoning += text
            case CallStart(_, name):
                self.calls.append(Call(new_id("call"), name))
            case CallDelta(index, arguments):
                self.calls[index].arguments += arguments
            case CallEnd(index):
                self.calls[index].is_whole = True
            case TokenLogprob():
                self.logprobs.append(event)
            case ChoiceFinished(reason, usage, is_fitted):
                self.reason, self.usage, self.is_fitted = reason, usage, is_fitted


class Completion:
    """A started completion."""

    def __init__(
        self,
        services: Services,
        request: ChatRequest,
        prepared: Prepared,
        model: str,
        adapter: str | None,
        *,
        streams: bool = True,
    ) -> None:
        """`model`: the name the request used; `streams`: somebody reads along."""
        self.id = new_id("chatcmpl")
        self.created = int(time.time())
        self.services = services
        self.request = request
        self.model = model
        self._adapter = adapter
        self._streams = streams
        self._prepared = prepared
        self._generations: list[Generation] = []

    @property
    def choices(self) -> int:
        return len(self._generations)

    @property
    def widened(self) -> dict[str, str]:
        """Tool name (or `response_format`) to the keywords its grammar does not hold."""
        return {
            name: ",".join(sorted({entry.keyword for entry in report.widened}))
            for name, report in self._prepared.grammar.widened
        }

    @property
    def custom_tools(self) -> frozenset[str]:
        """Names of the tools whose calls carry a text, not JSON."""
        return frozenset(tool.name for tool in self.request.tools if tool.is_custom)

    async def events(self, choice: int) -> AsyncIterator[ChoiceEvent]:
        """What one choice says. Raises: GenerationError, EngineStoppedError, if it breaks off."""
        parser = self.services.conversations.parser(self._prepared)
        repetitions = RepetitionFilter()
        custom_calls = CustomCalls(self.custom_tools)
        answer = Answer()
        async for event in self._generations[choice]:
            if isinstance(event, PromptLogprobs):
                continue  # a chat's prompt is the template's, and nobody asks
            if isinstance(event, TokenLogprob):
                if not repetitions.is_repeating:
                    yield event
                continue
            found = parser.finish() if isinstance(event, Finished) else parser.feed(event.text)
            for delta in (passed for one in found for passed in repetitions.feed(one)):
                answer.add(delta)
                if (told := custom_calls.feed(delta)) is not None:
                    yield told
            if isinstance(event, Finished):
                await self._validate(answer)
                reason = "stop" if repetitions.is_repeating else event.reason
                usage = self._with_reasoning(event.usage, choice, parser.thought_length)
                yield self._finished(reason, repetitions.calls, usage)
            elif repetitions.is_repeating:
                await self._generations[choice].cancel()

    async def answer(self, choice: int) -> Answer:
        """One choice, whole. A call that was cut short is not handed out as a call."""
        answer = Answer()
        async for event in self.events(choice):
            answer.add(event)
        answer.calls = [call for call in answer.calls if call.is_whole]
        return answer

    async def answers(self) -> list[Answer]:
        """All choices, whole."""
        return list(await asyncio.gather(*(self.answer(choice) for choice in range(self.choices))))

    async def cancel(self) -> None:
        """The client has gone: free the engine's places within one step."""
        for generation in self._generations:
            await generation.cancel()

    async def start(self, tokens: tuple[int, ...], count: int, opening: int = 0) -> None:
        """Submit `count` generations; none stays behind if one is refused. `opening`: see `Openings`."""
        base = GenerationRequest(
            tokens,
            self.request.sampling,
            self._prepared.grammar.constraint,
            self._prepared.grammar.barred,
            self.request.stop,
            self.request.max_tokens,
            self.request.top_logprobs,
            self._adapter,
            self.request.priority,
            self.request.client,
            self.request.timeout,
            self.request.speculates,
            self._streams,
            opening,
        )
        seed = base.sampling.seed
        try:
            for number in range(count):
                varied = base if seed is None else replace(base, sampling=replace(base.sampling, seed=seed + number))
                self._generations.append(await self.services.engine.submit(varied))
        except BaseException:
            await self.cancel()
            raise

    def _with_reasoning(self, usage: Usage, choice: int, length: int) -> Usage:
        """`length`: characters of the answer that were thought."""
        if not length:
            return usage
        vocabulary = self.services.engine.model.vocabulary
        return replace(usage, reasoning_tokens=vocabulary.count_within(self._generations[choice].output, length))

    def _finished(self, reason: FinishReason, calls: int, usage: Usage) -> ChoiceFinished:
        """A text without a format that was cut is no whole one, wherever its grammar would let it end."""
        is_fitted = reason == "fitted" and (calls > 0 or self.request.response_format.kind != "text")
        is_cut = reason in ("length", "timeout") or (reason == "fitted" and not is_fitted)
        return ChoiceFinished("length" if is_cut else "tool_calls" if calls else "stop", usage, is_fitted)

    async def _validate(self, answer: Answer) -> None:
        """What the grammar did not hold is looked at again, and said in the log."""
        if not self.widened:
            return
        schemas: dict[str, Schema] = {tool.name: tool.parameters for tool in self.request.tools}
        for call in answer.calls:
            if call.is_whole and call.name in self.widened:
                arguments = json.loads(call.arguments)
                for fault in await asyncio.to_thread(find_faults, schemas[call.name], arguments):
                    logger.warning("%s: arguments of %s: %s", self.id, call.name, fault)


async def start_completion(
    services: Services, request: ChatRequest, count: int, *, model: str, adapter: str | None, streams: bool = True
) -> Completion:
    """Prepare and submit. Raises: SchemaError, TemplateError and all that `Engine.submit` raises."""
    prepared, tokens, opening = await asyncio.to_thread(_prepare, services, request)
    completion = Completion(services, request, prepared, model, adapter, streams=streams)
    try:
        await completion.start(tokens, count, opening)
    except AnswerTooLongError as error:
        raise invalid(str(error).replace("max_tokens", request.limit_field), request.limit_field) from error
    except InvalidGrammarError as error:
        if request.response_format.kind == "gbnf":  # all others are our own
            raise invalid(str(error), "grammar", "invalid_grammar") from error
        raise
    return completion


def new_id(kind: str) -> str:
    return f"{kind}{'_' if kind == 'call' else '-'}{uuid.uuid4().hex[:24]}"


def _prepare(services: Services, request: ChatRequest) -> tuple[Prepared, tuple[int, ...], int]:
    """What is rendered, its tokens, and how many of them are the opening, if somebody wants to know."""
    prepared = services.conversations.prepare(request)
    tokens = services.engine.tokenize(*prepared.prompt.pieces)
    if not services.engine.keeps_prefixes:
        return prepared, tokens, 0

    def render(other: ChatRequest) -> tuple[int, ...]:
        return services.engine.tokenize(*services.conversations.prompt(other).pieces)

    return prepared, tokens, services.openings.length(request, tokens, render)
