"""What went through the gateways of this process."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field


@dataclass(slots=True)
class GatewayTally:
    """Counters that only grow, by source."""

    requests: Counter[tuple[str, str]] = field(default_factory=Counter)
    """And by what came of them: the class of the status (2xx), refused (not sent), failed (no answer)."""
    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    received: Counter[str] = field(default_factory=Counter)
    """Bytes of answers, unpacked."""
    retries: Counter[str] = field(default_factory=Counter)
    open_breakers: set[str] = field(default_factory=set)
    """Sources that are left alone just now."""

    def note(self, source: str, outcome: str, seconds: float, received: int) -> None:
        self.requests[source, outcome] += 1
        self.seconds[source] += seconds
        self.received[source] += received
