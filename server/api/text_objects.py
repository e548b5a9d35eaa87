"""Text completions as OpenAI's objects; whole answers and stream chunks have the same shape.

Shape: https://platform.openai.com/docs/api-reference/completions/object.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from server.api.chat_objects import usage_object
from server.api.errors import translate
from server.api.stream import DONE, data
from server.api.text_completion import Text, TextCompletion, TextEvent, TokenPlaces, wire_reason
from server.engine.types import Finished, PromptLogprobs, TextDelta, TokenLogprob, Usage

Json = dict[str, Any]


def text_completion_object(completion: TextCompletion, texts: list[Text], made: list[Usage]) -> Json:
    """`made`: the usage of every generation, those that `best_of` dropped too."""
    wanted = completion.request.n or 1
    choices = []
    for index, text in enumerate(texts):
        echoed = completion.echoed(index // wanted * completion.request.candidates)
        told = _Logprobs(completion, index // wanted * completion.request.candidates)
        logprobs = told.tell(text.logprobs, text.prompt_logprobs)
        choices.append(_choice(index, echoed + text.text, logprobs, text.reason))
    return {**_frame(completion), "choices": choices, "usage": usage_object([completion.usage(made)])}


class TextWriter:
    """The events of a streamed completion."""

    def __init__(self, completion: TextCompletion, *, include_usage: bool) -> None:
        self._completion = completion
        self._choices = range(completion.choices)
        self._usages: dict[int, Usage] = {}
        self._include_usage = include_usage
        self._untold: defaultdict[int, list[TokenLogprob]] = defaultdict(list)
        """Log probabilities that no chunk has told yet, by choice."""
        self._logprobs = [_Logprobs(completion, choice) for choice in self._choices]

    def begin(self) -> Iterable[str]:
        """The prompts, where the client wants them back; those that are judged come when they are."""
        if self._completion.request.judges_prompt:
            return ()
        echoed = [(choice, self._completion.echoed(choice)) for choice in self._choices]
        return data(*(self._chunk(choice, text, None) for choice, text in echoed if text))

    def event(self, choice: int, event: TextEvent) -> Iterable[str]:
        match event:
            case TextDelta(text):
                return data(self._chunk(choice, text, None))
            case PromptLogprobs():
                logprobs = self._logprobs[choice].tell([], event)
                frame = _frame(self._completion)
                echoed = self._completion.echoed(choice)
                return data({**frame, "choices": [_choice(choice, echoed, logprobs, None)]})
            case TokenLogprob():
                self._untold[choice].append(event)
                return ()
            case Finished():
                self._usages[choice] = event.usage
                return data(self._chunk(choice, "", wire_reason(event)))

    def end(self) -> Iterable[str]:
        if self._include_usage:
            total = self._completion.usage([self._usages[choice] for choice in self._choices])
            yield from data({**_frame(self._completion), "choices": [], "usage": usage_object([total])})
        yield DONE

    def failure(self, error: Exception) -> Iterable[str]:
        return data(translate(error).body)

    def _chunk(self, choice: int, text: str, reason: str | None) -> Json:
        tokens = self._untold.pop(choice, [])
        logprobs = self._logprobs[choice].tell(tokens) if tokens else None
        return {**_frame(self._completion), "choices": [_choice(choice, text, logprobs, reason)]}


class _Logprobs:
    """OpenAI's old form of log probabilities: parallel lists."""

    def __init__(self, completion: TextCompletion, choice: int) -> None:
        self._vocabulary = completion.services.engine.model.vocabulary
        self._is_wanted = completion.request.logprobs is not None
        self._prompt = completion.prompt_of(choice) if completion.request.judges_prompt else ()
        spelled = b"".join(map(self._spelled, self._prompt)).decode(errors="replace")
        self._places = TokenPlaces(len(completion.echoed(choice)) - len(spelled))

    def tell(self, tokens: list[TokenLogprob], prompt: PromptLogprobs | None = None) -> Json | None:
        """The next tokens of a choice, behind those of its prompt; None if the client did not ask."""
        if not self._is_wanted:
            return None
        first = self._prompt[:1] if prompt is not None else ()
        told = [*(prompt.tokens if prompt is not None else ()), *tokens]
        spelled = [*map(self._spelled, self._prompt if prompt is not None else ())]
        spelled += [self._vocabulary.pieces[one.token] for one in tokens]
        nothing: list[None] = [None] * len(first)
        return {
            "tokens": [self._name(token) for token in (*first, *(one.token for one in told))],
            "token_logprobs": [*nothing, *(one.logprob for one in told)],
            "top_logprobs": [*nothing, *map(self._top, told)],
            "text_offset": [*map(self._places.place, spelled)],
        }

    def _top(self, judged: TokenLogprob) -> dict[str, float]:
        return {self._name(token): logprob for token, logprob in (*judged.top, (judged.token, judged.logprob))}

    def _spelled(self, token: int) -> bytes:
        return self._vocabulary.pieces[token] or self._vocabulary.name(token).encode()

    def _name(self, token: int) -> str:
        """Bytes that are no text by themselves are spelled `bytes:\\xe2\\x82`, as OpenAI spells them."""
        piece = self._vocabulary.pieces[token]
        try:
            return piece.decode() or self._vocabulary.name(token)
        except UnicodeDecodeError:
            return "bytes:" + "".join(f"\\x{byte:02x}" for byte in piece)


def _choice(index: int, text: str, logprobs: Json | None, reason: str | None) -> Json:
    return {"index": index, "text": text, "logprobs": logprobs, "finish_reason": reason}


def _frame(completion: TextCompletion) -> Json:
    return {
        "id": completion.id,
        "object": "text_completion",
        "created": completion.created,
        "model": completion.model,
        "system_fingerprint": completion.services.fingerprint,
    }
