"""A chat completion's stream, from the first role to `[DONE]`."""

from collections.abc import Iterable, Mapping

from server.api.chat_objects import ChunkWriter
from server.api.completion import ChoiceEvent, ChoiceFinished, Completion
from server.api.errors import translate
from server.api.stream import DONE, AnswerStream, data
from server.engine.types import Usage


def chat_stream(completion: Completion, headers: Mapping[str, str], *, include_usage: bool) -> AnswerStream:
    """The response that streams a completion."""
    return AnswerStream(completion, _ChatWriter(completion, include_usage=include_usage), headers)


class _ChatWriter:
    """Chunks as events."""

    def __init__(self, completion: Completion, *, include_usage: bool) -> None:
        self._chunks = ChunkWriter(completion, include_usage=include_usage)
        self._choices = range(completion.choices)
        self._usages: dict[int, Usage] = {}
        self._include_usage = include_usage

    def begin(self) -> Iterable[str]:
        return data(*map(self._chunks.role, self._choices))

    def event(self, choice: int, event: ChoiceEvent) -> Iterable[str]:
        if isinstance(event, ChoiceFinished):
            self._usages[choice] = event.usage
        chunk = self._chunks.event(choice, event)
        return () if chunk is None else data(chunk)

    def end(self) -> Iterable[str]:
        if self._include_usage:
            yield from data(self._chunks.usage([self._usages[choice] for choice in self._choices]))
        yield DONE

    def failure(self, error: Exception) -> Iterable[str]:
        return data(translate(error).body)
