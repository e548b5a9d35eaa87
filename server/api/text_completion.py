"""One text completion under way: every prompt `n` times in the engine's batch, without template, tools or grammar."""

import asyncio
import codecs
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace

from server.api.completion import NO_USAGE, new_id
from server.api.errors import invalid
from server.api.services import Services
from server.api.text_wire import TextCompletionRequest
from server.engine.engine import Generation
from server.engine.errors import ContextLengthExceededError, InvalidGrammarError
from server.engine.types import Finished, GenerationRequest, PromptLogprobs, TextDelta, TokenLogprob, Usage

TextEvent = TextDelta | TokenLogprob | PromptLogprobs | Finished


@dataclass(slots=True)
class Text:
    """A finished choice, without the prompt."""

    text: str = ""
    reason: str = "stop"
    usage: Usage = NO_USAGE
    logprobs: list[TokenLogprob] = field(default_factory=list)
    prompt_logprobs: PromptLogprobs | None = None

    def add(self, event: TextEvent) -> None:
        match event:
            case PromptLogprobs():
                self.prompt_logprobs = event
            case TextDelta(text):
                self.text += text
            case TokenLogprob():
                self.logprobs.append(event)
            case Finished():
                self.reason, self.usage = wire_reason(event), event.usage

    @property
    def likelihood(self) -> float:
        """The mean log probability of its tokens, which OpenAI's `best_of` goes by."""
        return sum(one.logprob for one in self.logprobs) / max(len(self.logprobs), 1)


class TextCompletion:
    """A started completion. Its choices are numbered prompt by prompt."""

    def __init__(self, services: Services, request: TextCompletionRequest, adapter: str | None) -> None:
        self.id = new_id("cmpl")
        self.created = int(time.time())
        self.services = services
        self.request = request
        self.model = request.model
        self.prompts: list[tuple[int, ...]] = []
        """Token ids."""
        self._adapter = adapter
        self._generations: list[Generation] = []

    @property
    def choices(self) -> int:
        return len(self._generations)

    def echoed(self, choice: int) -> str:
        """The prompt of a choice as text, if the client wants it back."""
        if not self.request.echo:
            return ""
        number = choice // self.request.candidates
        given = self.request.prompts[number]
        return given if isinstance(given, str) else self._spell(self.prompts[number])

    async def events(self, choice: int) -> AsyncIterator[TextEvent]:
        """What one choice says. Raises: GenerationError, EngineStoppedError, if it breaks off."""
        async for event in self._generations[choice]:
            yield event

    async def texts(self) -> tuple[list[Text], list[Usage]]:
        """All choices whole: of `best_of` candidates for each prompt, the `n` likeliest. And what every one used."""
        texts = await asyncio.gather(*(self._text(choice) for choice in range(self.choices)))
        wanted, made = self.request.n or 1, self.request.candidates
        groups = [texts[start : start + made] for start in range(0, len(texts), made)]
        if made > wanted:
            groups = [sorted(group, key=lambda text: -text.likelihood)[:wanted] for group in groups]
        return [text for group in groups for text in group], [text.usage for text in texts]

    def usage(self, usages: Sequence[Usage]) -> Usage:
        """Of all choices together; each prompt is counted once. `usages`: those of all that were made."""
        prompts = usages[:: self.request.candidates]
        return Usage(
            sum(usage.prompt_tokens for usage in prompts),
            sum(usage.completion_tokens for usage in usages),
            sum(usage.cached_tokens for usage in prompts),
            sum(usage.forced_tokens for usage in usages),
        )

    async def cancel(self) -> None:
        """The client has gone: free the engine's places within one step."""
        for generation in self._generations:
            await generation.cancel()

    async def start(self) -> None:
        """Tokenize and submit; nothing stays behind if one generation is refused. Raises: as `Engine.submit`."""
        self.prompts = await asyncio.to_thread(lambda: [self._tokens(prompt) for prompt in self.request.prompts])
        request = self.request
        seed = request.seed
        constraint = await asyncio.to_thread(request.constraint)
        try:
            for tokens in self.prompts:
                base = replace(self._generation_request(tokens), constraint=constraint)
                for number in range(request.candidates):
                    sampling = base.sampling if seed is None else replace(base.sampling, seed=(seed + number) % 2**64)
                    self._generations.append(await self.services.engine.submit(replace(base, sampling=sampling)))
        except ContextLengthExceededError as error:
            await self.cancel()
            raise invalid(str(error), "prompt", "context_length_exceeded") from error
        except InvalidGrammarError as error:
            await self.cancel()
            raise invalid(str(error), "grammar", "invalid_grammar") from error
        except BaseException:
            await self.cancel()
            raise

    def _generation_request(self, tokens: tuple[int, ...]) -> GenerationRequest:
        request = self.request
        ranks = request.candidates > (request.n or 1)
        return GenerationRequest(
            tokens,
            request.sampling(self.services.engine.model.sampling_defaults),
            stop=request.stops,
            max_tokens=request.max_tokens,
            top_logprobs=0 if request.logprobs is None and ranks else request.logprobs,
            adapter=self._adapter,
            priority=request.level,
            client=request.user,
            timeout=request.timeout,
            speculates=request.speculate,
            streams=bool(request.stream),
            judges_prompt=request.judges_prompt,
        )

    def _tokens(self, prompt: str | list[int]) -> tuple[int, ...]:
        """An empty prompt is the start of a new text, as at OpenAI."""
        tokens = self.services.engine.tokenize(prompt) if isinstance(prompt, str) else tuple(prompt)
        vocabulary = self.services.engine.model.vocabulary
        return tokens or (vocabulary.bos if vocabulary.bos >= 0 else vocabulary.eos,)

    def prompt_of(self, choice: int) -> tuple[int, ...]:
        """The tokens that a choice goes on from."""
        return self.prompts[choice // self.request.candidates]

    def _spell(self, tokens: Sequence[int]) -> str:
        vocabulary = self.services.engine.model.vocabulary
        return b"".join(vocabulary.pieces[t] or vocabulary.name(t).encode() for t in tokens).decode(errors="replace")

    async def _text(self, choice: int) -> Text:
        text = Text()
        async for event in self.events(choice):
            text.add(event)
        return text


def wire_reason(finished: Finished) -> str:
    return "length" if finished.reason in ("length", "timeout") else "stop"


class TokenPlaces:
    """Where each token of a choice begins in its text, in characters."""

    def __init__(self, start: int) -> None:
        """`start`: the place of the first token; negative where the first ones spell what is no part of the text."""
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._length = start

    def place(self, piece: bytes) -> int:
        """The place of the next token, given its bytes."""
        place = self._length
        self._length += len(self._decoder.decode(piece))
        return max(place, 0)
