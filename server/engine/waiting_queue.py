"""Who is next: earlier comes first, a priority is a head start, and one client's many requests don't hold up another's.

Each request gets a place in time when it arrives: its arrival, moved by its priority and by how many of its client's
requests wait already. The order never has to be worked out anew, and nobody starves: later places wait for all before.
"""

import bisect
from collections import Counter, deque
from collections.abc import Iterable, Iterator

from server.engine.sequence import Sequence

SECONDS_A_LEVEL = 10.0
"""Head start of a level of priority."""
SECONDS_A_TURN = 1.0
"""How much later a client's next waiting request counts as arrived."""


class WaitingQueue:
    """Sequences that have no place in the batch yet, in the order in which they will get one."""

    def __init__(self) -> None:
        self._parked: deque[Sequence] = deque()
        """They had a place and gave it up: they come first."""
        self._order: list[tuple[float, int, Sequence]] = []
        self._of_client: Counter[str] = Counter()
        self._number = 0

    def extend(self, sequences: Iterable[Sequence]) -> None:
        """New arrivals."""
        for sequence in sequences:
            place = sequence.arrived + SECONDS_A_LEVEL * sequence.priority
            if sequence.client is not None:
                place += SECONDS_A_TURN * self._of_client[sequence.client]
                self._of_client[sequence.client] += 1
            self._number += 1
            bisect.insort(self._order, (place, self._number, sequence))

    def appendleft(self, sequence: Sequence) -> None:
        """Put one that was running in front."""
        self._parked.appendleft(sequence)

    def popleft(self) -> Sequence:
        if self._parked:
            return self._parked.popleft()
        return self._left(self._order.pop(0)[2])

    def remove(self, sequence: Sequence) -> None:
        if sequence in self._parked:
            self._parked.remove(sequence)
            return
        self._order = [entry for entry in self._order if entry[2] is not sequence]
        self._left(sequence)

    def clear(self) -> None:
        self._parked.clear()
        self._order.clear()
        self._of_client.clear()

    def __getitem__(self, place: int) -> Sequence:
        parked = len(self._parked)
        return self._parked[place] if place < parked else self._order[place - parked][2]

    def __iter__(self) -> Iterator[Sequence]:
        yield from self._parked
        yield from (sequence for _, _, sequence in self._order)

    def __len__(self) -> int:
        return len(self._parked) + len(self._order)

    def _left(self, sequence: Sequence) -> Sequence:
        if sequence.client is not None:
            self._of_client[sequence.client] -= 1
            if not self._of_client[sequence.client]:
                del self._of_client[sequence.client]
        return sequence
