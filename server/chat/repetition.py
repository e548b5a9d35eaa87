"""Ends an answer that makes the same call again: a small model in a loop would go on for as long as it may.

The same call is one of the same name with the same arguments, character by character: a grammar fixes blanks and the
order of keys. What may still become a repetition is held back, so that a stream never hands one out: a call's deltas
wait while its arguments are the beginning of an earlier call's.
"""

from server.chat.parser import CallDelta, CallEnd, CallStart, Delta


class RepetitionFilter:
    """Passes deltas on. Once `is_repeating`, what follows belongs to a repetition and nothing is passed on any more."""

    def __init__(self) -> None:
        self.is_repeating = False
        self._calls: list[tuple[str, str]] = []
        """Name and arguments of the calls that are whole."""
        self._held: list[Delta] = []
        self._name = ""
        self._arguments = ""

    @property
    def calls(self) -> int:
        """Whole calls that were passed on."""
        return len(self._calls)

    def feed(self, delta: Delta) -> list[Delta]:
        """What may be passed on now."""
        if self.is_repeating:
            return []
        match delta:
            case CallStart(_, name):
                self._name, self._arguments = name, ""
            case CallDelta(_, arguments):
                self._arguments += arguments
            case CallEnd():
                if (self._name, self._arguments) in self._calls:
                    self.is_repeating = True
                    return []
                self._calls.append((self._name, self._arguments))
            case _:
                return [delta]
        self._held.append(delta)
        if not isinstance(delta, CallEnd) and self._may_repeat():
            return []
        held, self._held = self._held, []
        return held

    def _may_repeat(self) -> bool:
        return any(name == self._name and told.startswith(self._arguments) for name, told in self._calls)
