"""What became of each keyword of a schema: enforced by the grammar, or left to validation after decoding."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Entry:
    """One keyword at one place."""

    keyword: str
    pointer: str
    """JSON pointer to the schema that holds the keyword."""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """Nothing is ignored silently: every keyword met is in one of these."""

    enforced: tuple[Entry, ...] = ()
    widened: tuple[Entry, ...] = ()
    """Not enforced, because strict was off: the grammar admits more than the schema."""
    narrowed: tuple[Entry, ...] = ()
    """The grammar admits less than the schema does, on purpose."""
    annotations: tuple[Entry, ...] = ()

    @property
    def is_exact(self) -> bool:
        """Every text of the grammar satisfies the schema."""
        return not self.widened


EMPTY_REPORT = Report()


@dataclass(slots=True)
class ReportBuilder:
    """Collects entries during compilation; a place compiled twice counts once."""

    enforced: dict[Entry, None] = field(default_factory=dict)
    widened: dict[Entry, None] = field(default_factory=dict)
    narrowed: dict[Entry, None] = field(default_factory=dict)
    annotations: dict[Entry, None] = field(default_factory=dict)

    def build(self) -> Report:
        given_up = {(entry.keyword, entry.pointer) for entry in self.widened}
        enforced = tuple(entry for entry in self.enforced if (entry.keyword, entry.pointer) not in given_up)
        return Report(enforced, tuple(self.widened), tuple(self.narrowed), tuple(self.annotations))


def merge(*reports: Report) -> Report:
    """One report over several schemas."""
    return Report(
        tuple(entry for report in reports for entry in report.enforced),
        tuple(entry for report in reports for entry in report.widened),
        tuple(entry for report in reports for entry in report.narrowed),
        tuple(entry for report in reports for entry in report.annotations),
    )
