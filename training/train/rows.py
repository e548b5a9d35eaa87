"""Conversations as rows of tokens, with the tokens that are learnt: rendered and cut by the code that serves.

Each answer is found by rendering the conversation up to it as the server does (with the generation prompt) and up to
its end: what the second text has more is what the model is to write. Prompt and answer are tokenized apart, as they
are when serving. Where a template shows earlier turns otherwise once later ones follow (thinking that is dropped),
every answer becomes a row of its own; where it begins answers otherwise than it invites them (thinking that is opened),
the answer is written as the server reads it. Weight 0 keeps an answer as context.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from server.chat.conversation import CHATML, Conversations
from server.chat.messages import Message, Tool
from server.chat.prompt import Prompt, SpecialNames
from server.chat.request import ChatRequest
from server.chat.template import ChatTemplate, TemplateError
from server.chat.thinking import thinks_at
from training.data.category import category_of
from training.data.record import Record


@dataclass(frozen=True, slots=True)
class Row:
    """A sequence to train on."""

    ids: tuple[int, ...]
    answers: tuple[tuple[int, int], ...]
    """Where what is learnt begins and ends."""
    category: str
    line: int
    lost_tokens: int = 0
    """Cut off its end."""
    lost_answers: int = 0
    """Of those that were to be learnt."""

    @property
    def supervised(self) -> int:
        return sum(end - start for start, end in self.answers)

    def labels(self) -> list[int]:
        """The ids that are learnt, elsewhere -100."""
        labels = [-100] * len(self.ids)
        for start, end in self.answers:
            labels[start:end] = self.ids[start:end]
        return labels


@dataclass(frozen=True, slots=True)
class _Text:
    """A rendered conversation and where in it answers are, in characters."""

    prompt: Prompt
    answers: tuple[tuple[int, int], ...]


class Renderer:
    """Renders for one tokenizer."""

    def __init__(self, tokenizer: Any) -> None:
        """`tokenizer`: transformers'. Its chat template is the model's own; without one it is ChatML."""
        template = tokenizer.chat_template
        source = template.get("default", "") if isinstance(template, dict) else template
        added = tokenizer.added_tokens_decoder.values()
        control = frozenset(token.content for token in added if token.special)
        names = SpecialNames(control, frozenset(t.content for t in added if not t.special and _is_mark(t.content)))
        compiled = ChatTemplate(
            source or CHATML, bos_token=tokenizer.bos_token or "", eos_token=tokenizer.eos_token or ""
        )
        self.conversations = Conversations(compiled, names)
        self.tokenizer = tokenizer
        self._control = re.compile("|".join(map(re.escape, sorted(control, key=len, reverse=True))) or r"(?!)")
        started = tokenizer.encode("", add_special_tokens=True)[:1]
        self._begin = started if tokenizer.bos_token_id in started else []

    @property
    def stop_tokens(self) -> frozenset[int]:
        """What ends an answer: the end of text, and what the template puts behind an answer."""
        shown = self._shown((Message("user", "a"), Message("assistant", "b")), (), is_open=False).text
        found = self._control.search(shown, shown.rfind("b"))
        spoken = {self.tokenizer.convert_tokens_to_ids(found[0])} if found else set()
        return frozenset(spoken | {self.tokenizer.eos_token_id})

    def rows(self, record: Record, line: int, longest: int) -> list[Row]:
        """Usually one. Empty, if nothing of it is learnt or fits. Raises: TemplateError."""
        made = [self._row(text, category_of(record), line, longest) for text in self._texts(record)]
        rows = [row for row in made if row.answers]
        lost = [row for row in made if not row.answers]
        if (
            rows and lost
        ):  # answers that are rows of their own, further in than that: told of with the last one that fits
            tokens, answers = sum(row.lost_tokens for row in lost), sum(row.lost_answers for row in lost)
            last = rows[-1]
            rows[-1] = replace(last, lost_tokens=last.lost_tokens + tokens, lost_answers=last.lost_answers + answers)
        return rows

    def prompt(self, messages: Sequence[Message], tools: Sequence[Tool]) -> list[int]:
        """Tokens before the next answer, as the server has them. Raises: TemplateError."""
        prompt = self._shown(tuple(messages), tuple(tools), is_open=True)
        ids, _ = self._tokens(_Text(prompt, ()))
        return ids

    def exchange(
        self, before: Sequence[Message], answer: Message, tools: Sequence[Tool]
    ) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Tokens of the prompt and of the answer with its end. Raises: TemplateError."""
        ids, answers = self._tokens(self._turn(tuple(before), answer, tuple(tools)))
        start, end = answers[0]
        return tuple(ids[:start]), tuple(ids[start:end])

    def parts(self, row: Row) -> tuple[tuple[str, bool], ...]:
        """The text of a row, and which parts of it are learnt."""
        places = [0, *(place for answer in row.answers for place in answer), len(row.ids)]
        texts = (self.tokenizer.decode(list(row.ids[a:b]), skip_special_tokens=False) for a, b in pairwise(places))
        return tuple((text, bool(number % 2)) for number, text in enumerate(texts) if text)

    def _texts(self, record: Record) -> list[_Text]:
        conversation = record.conversation()
        messages, tools = conversation.messages, conversation.tools
        learnt = [i for i, m in enumerate(record.messages) if m.role == "assistant" and m.weight != 0]
        turns = [self._turn(messages[:place], messages[place], tools) for place in learnt]
        if not turns:
            return []
        last = turns[-1].prompt.text
        if all(last.startswith(turn.prompt.text[: turn.answers[0][1]]) for turn in turns):
            return [_Text(turns[-1].prompt, tuple(turn.answers[0] for turn in turns))]
        return turns

    def _turn(self, before: tuple[Message, ...], answer: Message, tools: tuple[Tool, ...]) -> _Text:
        opened = self._shown(before, tools, is_open=True)
        prompt = self._shown((*before, answer), tools, is_open=False)
        if prompt.text.startswith(opened.text):
            start = len(opened.text)
            return _Text(prompt, ((start, self._end(prompt.text, start, self._written(answer, tools))),))
        return self._composed(opened, answer, tools)

    def _composed(self, opened: Prompt, answer: Message, tools: tuple[Tool, ...]) -> _Text:
        """Where the template begins answers otherwise than its generation prompt does: what the server would read."""
        written = self._written(answer, tools)
        if written is None or self._control.search((answer.content or "") + "".join(map(str, answer.tool_calls))):
            raise TemplateError("the chat template begins this answer otherwise than its generation prompt does")
        reasoning = self.conversations.dialect.reasoning
        thinks = thinks_at(reasoning, opened.pieces[-1])
        thought = f"{reasoning.end}\n\n" if reasoning is not None and thinks == "open" else ""
        learnt = thought + written + (self.tokenizer.eos_token or "")
        start = len(opened.text)
        return _Text(Prompt((*opened.pieces, learnt)), ((start, start + len(learnt)),))

    def _written(self, answer: Message, tools: tuple[Tool, ...]) -> str | None:
        """The answer as this model writes it; None for calls whose arguments are no JSON."""
        dialect = self.conversations.dialect
        content = (answer.content or "") if answer.tool_calls else dialect.text_begin + (answer.content or "")
        schemas = {tool.name: tool.parameters for tool in tools}
        try:
            return content.strip() + dialect.write(answer.tool_calls, schemas)
        except ValueError:
            return None

    def _end(self, text: str, start: int, written: str | None) -> int:
        """Where an answer ends: with the first control token after what is written, for there the server stops."""
        ends = list(self._control.finditer(text, start))
        place = text.rfind(written, start) if written else -1
        if written and place >= 0:
            done = place + len(written)
            after = [match.end() for match in ends if match.end() >= done]
            return next((match.end() for match in ends if match.start() >= done), after[-1] if after else done)
        return ends[-1].end() if ends else len(text)

    def _shown(self, messages: tuple[Message, ...], tools: tuple[Tool, ...], *, is_open: bool) -> Prompt:
        variables = {} if is_open else {"add_generation_prompt": False}
        return self.conversations.prompt(ChatRequest(messages, tools, template_variables=variables))

    def _row(self, text: _Text, category: str, line: int, longest: int) -> Row:
        """Without answers, if none fits."""
        ids, answers = self._tokens(text)
        kept = [answer for answer in answers if answer[1] <= longest]
        length = len(ids) if len(ids) <= longest else kept[-1][1] if kept else 0
        lost = len(answers) - len(kept)
        return Row(tuple(ids[:length]), tuple(kept), category, line, len(ids) - length, lost)

    def _tokens(self, text: _Text) -> tuple[list[int], list[tuple[int, int]]]:
        """Of the prompt's pieces, cut further where answers begin and end; and where these are."""
        cuts, position = {0}, 0
        for piece in text.prompt.pieces:
            position += len(piece)
            cuts.add(position)
        cuts.update(place for answer in text.answers for place in answer)
        whole, ids = text.prompt.text, list[int]()
        places = {}
        for start, end in pairwise(sorted(cuts)):
            places[start] = len(ids)
            ids += self.tokenizer.encode(whole[start:end], add_special_tokens=False)
        places[position] = len(ids)
        begin = [] if ids[:1] == self._begin else self._begin
        answers = [(places[start] + len(begin), places[end] + len(begin)) for start, end in text.answers]
        return begin + ids, answers


def _is_mark(name: str) -> bool:
    """As the server's vocabulary tells marks from words, numbers and white space."""
    return any(map(str.isalpha, name)) and not name.replace(" ", "").isalnum()
