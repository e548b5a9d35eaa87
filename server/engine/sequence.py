"""One generation from its prompt to its last token: what was said, what comes next, when it ends."""

import time
from collections.abc import Callable
from collections.abc import Sequence as Rows
from dataclasses import dataclass, field
from functools import partial

from server.engine.adapter import Adapter
from server.engine.alignment import Alignment, is_narrow
from server.engine.ending import Ending
from server.engine.errors import AnswerTooLongError, DeadlineExceededError
from server.engine.guide import Guide, Move
from server.engine.kv_cache import Slot
from server.engine.prompt_judge import STEP, PromptJudge
from server.engine.sampler import Floats, Sampler, logprob
from server.engine.shared_prefix import Activated, common_prefix
from server.engine.speculation import Guessing
from server.engine.text_stream import TextStream
from server.engine.token_set import TokenSet
from server.engine.types import (
    Finished,
    FinishReason,
    GenerationRequest,
    PromptLogprobs,
    TextDelta,
    TokenLogprob,
    Usage,
)
from server.engine.vocabulary import Vocabulary

Event = TextDelta | TokenLogprob | PromptLogprobs | Finished
_MOST_FORCED = 64
"""Tokens forced at once, beyond which they are no name."""


@dataclass(slots=True)
class _Moment:
    """A generation before a word that may be taken back."""

    length: int
    forced: int
    guide: Guide
    text: TextStream
    events: list[Event] = field(default_factory=list)
    """What happened since: nobody has been told yet."""


class Sequence:
    """The state of a generation. It owns no KV: `slot` is lent by the scheduler and may be taken back (parking)."""

    def __init__(
        self,
        request: GenerationRequest,
        guide: Guide,
        vocabulary: Vocabulary,
        limit: int,
        adapter: Adapter | None = None,
        activation: int = 0,
        speculation: Guessing | None = None,
        *,
        aligns: bool = False,
    ) -> None:
        """`limit`: tokens the sequence may have in all, prompt included; `activation`: the adapter's first token;
        `aligns`: choices that the grammar makes bad are taken back.

        Raises: AnswerTooLongError, if the guide knows of no end that is near enough.
        """
        self.adapter = adapter
        self.activation = activation
        self.speculation = speculation
        self.prompt_length = len(request.prompt)
        self.tokens = list(request.prompt)
        self.unchanged = 0
        """Tokens at the beginning that `advance` has left as they were."""
        self.slot: Slot | None = None
        self.is_suspect = False
        """A step that it was part of failed: until it has been sampled again it is decoded alone."""
        self.cached_tokens: int | None = None
        self.served = 0
        """Number of the step that decoded it last."""
        self.arrived = time.monotonic()
        self.deadline = None if request.timeout is None else self.arrived + request.timeout
        self.common_tokens = request.common_tokens
        self.priority = request.priority
        self.client = request.client
        room = limit - self.prompt_length
        self._budget = room if request.max_tokens is None else min(room, request.max_tokens)
        self._guide = guide
        self._vocabulary = vocabulary
        self._sampler = Sampler(request.sampling, request.prompt)
        self._text = TextStream(request.stop)
        self._forced = 0
        self._top_logprobs = request.top_logprobs
        self.judge = PromptJudge(request.prompt, request.top_logprobs or 0) if request.judges_prompt else None
        """Of the prompt's tokens, until it is done."""
        self.has_begun = False
        """It has had a place in the batch."""
        self.sampled_at: float | None = None
        """When it got its last tokens; by `time.monotonic`."""
        self._held: list[Event] | None = None if request.streams else []
        self._aligns = aligns and guide.has_grammar
        self._alignment: Alignment[_Moment] = Alignment(vocabulary.pieces)
        self.unseen = range(0)
        """Places of forced tokens whose own logits the next `advance` should get too."""
        self.drawn = 0
        """Tokens drawn from logits, those that were taken back too."""
        self.taken_back = 0
        """Of those, how many were taken back for another word."""
        self._closing: list[int] = []
        """What is left of the end that is being said, if its tokens are to be judged one by one."""
        if guide.ending is not None and not guide.ending.fits(self._budget):
            raise AnswerTooLongError(len(guide.ending.tokens()), self._budget)

    @property
    def pending(self) -> int:
        """Tokens that still have to be decoded before the next one can be sampled."""
        return len(self.tokens) - (self.slot.length if self.slot else 0)

    @property
    def active_adapter(self) -> Adapter | None:
        """What the next pending token is to be decoded with."""
        return self.adapter if self.slot and self.slot.length >= self.activation else None

    @property
    def namespace(self) -> object:
        """What computes its KV."""
        is_late = self.adapter is not None and self.activation
        return Activated(self.adapter, self.activation) if is_late else self.adapter

    @property
    def ready(self) -> int:
        """Pending tokens that one step can take: all, but for those beyond the place where an adapter sets in."""
        done = self.slot.length if self.slot else 0
        ready = self.activation - done if done < self.activation else self.pending
        return ready if self.judge is None else min(ready, STEP)

    @property
    def is_prefilling(self) -> bool:
        """Nothing has been sampled since its KV was last built."""
        return self.slot is None or self.slot.length < self.prompt_length

    @property
    def room(self) -> int:
        """Tokens it may still append."""
        return self._budget - (len(self.tokens) - self.prompt_length)

    @property
    def output(self) -> list[int]:
        return self.tokens[self.prompt_length :]

    @property
    def forced_tokens(self) -> int:
        return self._forced

    def begin(self) -> list[Event]:
        """Append what the grammar forces before anything is sampled: it is decoded along with the prompt."""
        if self.has_begun:
            return []
        self.has_begun = True
        if self.judge is not None and self._budget <= 0:
            return []  # it ends when the prompt is judged
        ending = self._guide.ending
        forced = self._guide.begin()
        if ending is not None and not self._fits(self.room - len(forced)):
            return self._close(ending)
        return self._append(forced, len(forced))

    def judge_prompt(self, place: int, logits: Callable[[int], Floats], count: int) -> list[Event]:
        """Look at the logits of `count` tokens from `place` on, if they are the prompt's and were not seen before.

        Returns what is to be told once the prompt is judged; the last is Finished if no more was wanted.
        Raises: NotFiniteError.
        """
        if self.judge is None:
            return []
        while not self.judge.is_done and 0 <= self.judge.place - place < count:
            self.judge.see(logits(self.judge.place - place))
        if not self.judge.is_done:
            return []
        result: Event = self.judge.result
        self.judge = None
        return [result, *self._end("length", "")] if self._budget <= 0 else [result]

    def advance(self, logits: Floats, unseen: Rows[Floats] = ()) -> list[Event]:
        """Sample a token and append it, with all that it entails.

        `logits`: shape (vocabulary,); `unseen`: the same for each of the tokens `unseen`, or for none of them. Returns
        the events for the client; the last is Finished if it is over.
        Raises: GenerationError, if this sequence can't go on; NotFiniteError, which leaves the output as it was.
        """
        self.unchanged = len(self.tokens)
        if self._closing:
            return self._judged(logits, self._closing.pop(0))
        is_whole = self._is_whole
        allowed = None if is_whole else self._guide.allowed()
        drawn = self._thought_over(logits, unseen, allowed)
        if drawn is not None:
            return self._say_word(drawn, logits)
        if is_whole:
            return self._end("stop", self._text.finish())
        token = self._sampler.draw(logits, allowed)
        self.drawn += 1
        settled = self._settle()
        if allowed is not None and token not in self._vocabulary.end_tokens:
            self._note(token, logits, allowed)
        return [*settled, *self._say(token, logits)]

    def _say(self, token: int, logits: Floats) -> list[Event]:
        """Append a token that was drawn from these logits."""
        if token in self._vocabulary.end_tokens:
            return self._end("stop", self._text.finish())
        ending = self._guide.ending
        move = self._guide.follow(token)
        if not self._fits(self.room + move.rollback - len(move.tokens)):
            return [*self._settle(), *self._close(ending, logits)]
        self.unchanged -= move.rollback
        spelled = self._take_back(move.rollback)
        self._sampler.observe(move.tokens)
        self.unseen = self._to_be_seen(move)
        judged: list[Event] = []
        if self._top_logprobs is not None and move.tokens[:1] == [token]:
            judged.append(logprob(logits, token, self._top_logprobs))
        if self._moment is None:
            return [*judged, *self._append(move.tokens, move.forced, spelled)]
        self._moment.events += judged
        moment, events = self._moment, self._append(move.tokens, move.forced, spelled)
        if is_over(events):
            return events
        moment.events += events
        return []

    def _to_be_seen(self, move: Move) -> range:
        """Which of the tokens that a move forces decide about the word."""
        if self._moment is None or move.forced > _MOST_FORCED:
            return range(0)
        first = len(self.tokens) + 1
        return range(
            first, first + self._alignment.forced_of(self._word + self._spell(move.tokens[:1]), move.tokens[1:])
        )

    @property
    def _is_whole(self) -> bool:
        """The grammar has come to its end, and only its last word is still to be thought over."""
        return bool(self.unseen) and self._guide.is_complete

    @property
    def _moment(self) -> _Moment | None:
        """Before the word that may still be taken back."""
        return self._alignment.state

    @property
    def _word(self) -> bytes:
        """What has been said of that."""
        return self._spell(self.tokens[self._moment.length :]) if self._moment is not None else b""

    def _note(self, token: int, logits: Floats, allowed: TokenSet) -> None:
        """Remember where a word begins, if it may have to be taken back."""
        if self._aligns and is_narrow(allowed):
            adjusted = self._sampler.adjusted(logits)
            if self._alignment.is_fork(token, adjusted, allowed):
                moment = _Moment(len(self.tokens), self._forced, self._guide.copy(), self._text.copy())
                self._alignment.begin(token, adjusted, allowed, moment, partial(self._judging, logits))

    def _judging(self, logits: Floats) -> Floats | None:
        """What has to be kept of logits that may be drawn from again."""
        return None if self._top_logprobs is None else logits.copy()

    def _thought_over(self, logits: Floats, unseen: Rows[Floats], allowed: TokenSet | None) -> list[int] | None:
        """What should be drawn from the beginning of the word on; None if it is over. Raises: NotFiniteError."""
        if self._moment is None:
            return None
        if unseen:
            self._alignment.pass_forced([self.tokens[place] for place in self.unseen], unseen)
        row = partial(self._judging, logits)
        return self._alignment.think_over(self._word, logits, allowed, self._sampler, row=row)

    def _say_word(self, drawn: list[int], logits: Floats) -> list[Event]:
        """Say the last of these tokens, or the whole word anew."""
        moment, dropped = self._moment, len(self._alignment.drawn)
        if self._alignment.say(drawn) or moment is None:
            self.drawn += 1
            return self._say(drawn[-1], logits)
        self.taken_back += dropped
        said = self.tokens[moment.length :]
        self._take_back(len(said))
        self._guide, self._text, self._forced = moment.guide.copy(), moment.text.copy(), moment.forced
        moment.events.clear()
        events: list[Event] = []
        for token, row in zip(drawn, self._alignment.rows(), strict=True):
            self.drawn += 1
            events = self._say(token, logits if row is None else row)
            if is_over(events) or self._closing:
                break
        self.unchanged = moment.length + common_prefix(said, self.tokens[moment.length :])
        return events

    def _settle(self) -> list[Event]:
        """Nothing of the word will change any more. Returns what happened in it."""
        moment = self._alignment.end()
        return [] if moment is None else moment.events

    def _fits(self, room: int) -> bool:
        """Whether the text, as the guide has it, can be ended in so many tokens, if it has to be."""
        return self._guide.ending is None or self._guide.ending.fits(room)

    def _close(self, ending: Ending | None, logits: Floats | None = None) -> list[Event]:
        """Say the end that was in reach; where the text was free it just ends."""
        if ending is None:
            return self._end("length", self._text.finish())
        tokens = ending.tokens()
        if self._top_logprobs is not None and logits is not None and tokens:
            self._closing = tokens
            return self._judged(logits, self._closing.pop(0))
        self.tokens += tokens
        self._forced += len(tokens)
        return self._end_here(self._text.push(self._spell(tokens)))

    def _judged(self, logits: Floats, token: int) -> list[Event]:
        """Append a token of the end, with its probability."""
        self.tokens.append(token)
        self._forced += 1
        text = self._text.push(self._spell([token]))
        judged: Event = logprob(logits, token, self._top_logprobs or 0)
        if self._closing and not self._text.is_stopped:
            return [judged, TextDelta(text)] if text else [judged]
        return [judged, *self._end_here(text)]

    def _end_here(self, text: str) -> list[Event]:
        return self._end("stop" if self._text.is_stopped else "fitted", text + self._text.finish())

    def expire(self) -> list[Event]:
        """Its time is over: what was said stands. Raises: DeadlineExceededError, if that is nothing."""
        if not self.output:
            raise DeadlineExceededError
        return self._end("stop" if self._is_whole else "timeout", self._text.finish())

    def cancel(self) -> list[Event]:
        return self._end("cancelled", "")

    def release(self, events: list[Event]) -> list[Event]:
        """Of what has happened, what the client is told now: without streaming nothing before the end."""
        if self._held is None:
            return events
        self._held += events
        if not is_over(events):
            return []
        text = "".join([event.text for event in self._held if isinstance(event, TextDelta)])
        others: list[Event] = [event for event in self._held if not isinstance(event, TextDelta)]
        return [TextDelta(text), *others] if text else others

    def _append(self, tokens: list[int], forced: int, spelled: int = 0) -> list[Event]:
        """Append to the output; its first `spelled` bytes have been given to the text stream before."""
        room = self.room
        is_cut = len(tokens) > room
        kept = tokens[:room]
        self.tokens += kept
        self._forced += min(forced, room)
        text = self._text.push(self._spell(kept)[spelled:])
        if self._text.is_stopped:
            return self._end("stop", text)
        if self._guide.is_complete and not is_cut:
            if not self.unseen or self.room < _MOST_FORCED:  # another word may be longer
                self.unseen = range(0)
                return self._end("stop", text + self._text.finish())
        elif len(self.tokens) - self.prompt_length >= self._budget:
            is_whole = self._guide.ending is not None and self._guide.ending.is_here
            return self._end("fitted" if is_whole else "length", text + self._text.finish())
        return [TextDelta(text)] if text else []

    def _take_back(self, count: int) -> int:
        """Drop the last tokens. Returns how many bytes they had spelled: what replaces them begins with those."""
        if not count:
            return 0
        dropped = self.tokens[-count:]
        self._sampler.forget(dropped)
        del self.tokens[-count:]
        return len(self._spell(dropped))

    def _spell(self, tokens: list[int]) -> bytes:
        pieces = self._vocabulary.pieces
        return b"".join(pieces[token] for token in tokens)

    def _end(self, reason: FinishReason, text: str) -> list[Event]:
        usage = Usage(
            prompt_tokens=self.prompt_length,
            completion_tokens=len(self.tokens) - self.prompt_length,
            cached_tokens=self.cached_tokens or 0,
            forced_tokens=self._forced,
        )
        events = self._settle()
        if text:
            events.append(TextDelta(text))
        return [*events, Finished(reason, usage)]


def is_over(events: list[Event]) -> bool:
    return bool(events) and isinstance(events[-1], Finished)
