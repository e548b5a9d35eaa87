"""Bytes of tokens to text for the client: whole characters only, and nothing that may turn out to be a stop string."""

import codecs


class TextStream:
    """Decodes UTF-8 across token borders and cuts at the first stop string."""

    def __init__(self, stop: tuple[str, ...] = ()) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._stop = tuple(text for text in stop if text)
        self._held = ""
        self.is_stopped = False
        """A stop string has appeared; nothing more will come."""

    def copy(self) -> "TextStream":
        """Another that has read the same."""
        other = TextStream(self._stop)
        other._decoder.setstate(self._decoder.getstate())
        other._held, other.is_stopped = self._held, self.is_stopped
        return other

    def push(self, data: bytes) -> str:
        """Text that is certain now."""
        return self._release(self._decoder.decode(data))

    def finish(self) -> str:
        """The rest, once no more bytes will come; a broken last character becomes U+FFFD."""
        text = self._release(self._decoder.decode(b"", final=True))
        rest, self._held = self._held, ""
        return text if self.is_stopped else text + rest

    def _release(self, new: str) -> str:
        if self.is_stopped:
            return ""
        text = self._held + new
        if not self._stop:
            return text
        ends = [position for position in (text.find(stop) for stop in self._stop) if position >= 0]
        if ends:
            self.is_stopped = True
            self._held = ""
            return text[: min(ends)]
        held = max((_overlap(text, stop) for stop in self._stop), default=0)
        self._held = text[len(text) - held :]
        return text[: len(text) - held]


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of `text` that begins `stop`."""
    for length in range(min(len(text), len(stop) - 1), 0, -1):
        if text.endswith(stop[:length]):
            return length
    return 0
