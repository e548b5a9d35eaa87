"""Whether and how far to guess ahead: drafts are decoded along with the last token and kept while they are right.

A draft is a guess, nothing more. The model's logits after each of its tokens are masked by the grammar and drawn from
by the request's own sampler; while what is drawn is what was guessed, the next row of logits is good too. So every
token is drawn as it would have been without a draft, from the same distribution, with the same random numbers.
Guesses cost time, though: a wider batch takes longer, and by how much is measured (not modelled: llama.cpp's kernels
make 2 tokens cost 2.5 times one, and 16 only twice as much as those 2). Each sequence keeps its own hit rate, and takes
the width that promises the most tokens a second, or none. Guesses that are not made are still compared with what
comes, so a sequence learns for nothing when to begin again.
"""

from typing import Literal, Protocol

from server.engine.shared_prefix import common_prefix

SpeculationMode = Literal["off", "lookup", "draft"]

_WIDTHS = (1, 3, 7, 11, 15, 23, 31, 63)
"""One less than what the kernels like."""
_NARROW = 128
"""Tokens; wider batches are prefill and say nothing about the cost of a guess."""
GAIN = 1.05
"""Drafts must promise more than this to be worth their trouble."""
_FEW = 4
"""Rows; more than these always go together."""
_RETRY = 100
"""Groups after which another size is tried."""
_NEWEST = 0.2
"""Weight of the newest measurement."""
_FORGET = 0.8
"""Weight of a sequence's past drafts beside its newest."""


class Drafter(Protocol):
    """Where guesses come from."""

    def propose(self, tokens: list[int], count: int) -> list[int]: ...


class Guessing(Protocol):
    """The guesses for one sequence, as the worker sees them."""

    @property
    def draft(self) -> list[int]:
        """Guesses in the batch that is decoding."""

    def guess(self, tokens: list[int], cost: "BatchCost", *, room: int, batch: int, streams: int) -> list[int]:
        """Tokens to decode behind the known ones, at most `room`; kept as `draft`."""

    def settle(self, accepted: int, compared: int | None = None, saved: int | None = None) -> None:
        """Of the draft, so many tokens were `compared` with what was drawn (None: all) and `accepted`.

        `saved`: tokens that would have needed a step of their own; accepted ones that a grammar forces would not.
        """


class HitRate:
    """How often guesses are right, and how many steps they save; the newest count most."""

    def __init__(self, prior: float = 0.5, *, memory: float = _FORGET) -> None:
        """`memory`: weight of the past beside the newest draft."""
        self._hits, self._misses = 2 * prior, 2 * (1 - prior)
        self._accepted, self._saved = 1.0, 1.0
        self._memory = memory

    @property
    def share(self) -> float:
        """Guesses that are right where all before them were; below 1."""
        return min(0.99, self._hits / (self._hits + self._misses))

    @property
    def worth(self) -> float:
        """Steps saved by a right guess, up to 1."""
        return self._saved / self._accepted

    def hits(self, width: int) -> float:
        """Steps that a draft of so many tokens promises to save."""
        share = self.share
        return self.worth * share * (1 - share**width) / (1 - share)

    def learn(self, compared: int, accepted: int, saved: int | None = None) -> None:
        """`saved`: as in `Guessing.settle`; None says nothing about the worth."""
        if not compared:
            return
        self._hits = self._hits * self._memory + accepted
        self._misses = self._misses * self._memory + (accepted < compared)
        if accepted and saved is not None:
            self._accepted = self._accepted * self._memory + accepted
            self._saved = self._saved * self._memory + min(saved, accepted)


class BatchCost:
    """Seconds of a decode by its tokens, as measured."""

    def __init__(self) -> None:
        self._seconds: dict[int, float] = {}
        self._seen: dict[int, int] = {}
        self._grouped = 0

    def observe(self, tokens: int, seconds: float) -> None:
        if not 0 < tokens <= _NARROW:
            return
        key = _bucket(tokens)
        old = self._seconds.get(key, seconds)
        seen = self._seen[key] = self._seen.get(key, 0) + 1
        # The first run of a shape also allocates, and a machine stalls now and then.
        self._seconds[key] = min(old, seconds) if seen <= 3 else old + _NEWEST * (min(seconds, 3 * old) - old)

    def seconds(self, tokens: int) -> float:
        """What was measured; else as little as for the next smaller batch, so that it is tried. 0: nothing is known.

        Batches too wide to be measured take as long for a token as the widest that was.
        """
        key = _bucket(tokens)
        known = [width for width in self._seconds if width <= key]
        if not known:
            return 0.0
        widest = max(known)
        return self._seconds[widest] * (tokens / widest if tokens > _NARROW else 1)

    def best_group(self, rows: int) -> int:
        """Of `rows` that each want a token, how many to decode at once so that the most come out in a second.

        Mostly all. But llama.cpp's kernels may take longer for two rows than twice for one. Widths that were never
        measured are tried, and now and then the others too: costs change.
        """
        if not 1 < rows <= _FEW:
            return rows
        self._grouped += 1
        if self._grouped % _RETRY == 0:
            return 1 + self._grouped // _RETRY % rows
        for width in range(1, rows + 1):
            if width not in self._seconds:
                return width
        best = min(range(1, rows), key=lambda width: self._seconds[width] / width)
        is_faster = GAIN * self._seconds[best] / best < self._seconds[rows] / rows
        return best if is_faster else rows

    def best_width(self, rate: HitRate, *, longest: int, tokens: int, streams: int) -> int:
        """Guesses that promise the most tokens a second; 0 if none are worth it.

        `tokens`: what the batch carries anyway; `streams`: sequences that get a token from it.
        """
        now = self.seconds(tokens)
        if not now:
            return 0
        best, best_speed = 0, GAIN * streams / now
        for width in (*(w for w in _WIDTHS if w < longest), longest):
            speed = (streams + rate.hits(width)) / self.seconds(tokens + width)
            if speed > best_speed:
                best, best_speed = width, speed
        return best


class Speculation:
    """The guessing of one sequence."""

    def __init__(self, drafter: Drafter, longest: int) -> None:
        self._drafter = drafter
        self._longest = longest
        self._rate = HitRate()
        self._untried: tuple[int, list[int]] | None = None
        """Where a guess that was not made would have stood, and the guess."""
        self.draft: list[int] = []
        """Guesses in the batch that is decoding."""

    def guess(self, tokens: list[int], cost: BatchCost, *, room: int, batch: int, streams: int) -> list[int]:
        """Tokens to decode behind the known ones, at most `room`; kept as `draft`."""
        self._look_back(tokens)
        proposal = self._drafter.propose(tokens, self._longest) if room > 0 else []
        width = cost.best_width(self._rate, longest=self._longest, tokens=batch, streams=streams) if proposal else 0
        self.draft = proposal[: min(width, room)]
        if proposal and not self.draft and self._untried is None:
            self._untried = len(tokens), proposal
        return self.draft

    def settle(self, accepted: int, compared: int | None = None, saved: int | None = None) -> None:
        """The draft has been compared with what was drawn; see Guessing."""
        if self.draft:
            compared = len(self.draft) if compared is None else compared
            self._rate.learn(compared, accepted, saved)
        self.draft = []

    def _look_back(self, tokens: list[int]) -> None:
        """Judge a guess that was not made, once enough is known."""
        if self._untried is None:
            return
        start, proposal = self._untried
        came = tokens[start : start + len(proposal)]
        hits = common_prefix(came, proposal)
        if hits < len(came) or hits == len(proposal):
            self._rate.learn(len(proposal), hits)
            self._untried = None


def _bucket(tokens: int) -> int:
    return tokens if tokens <= 8 else -(-tokens // 4) * 4
