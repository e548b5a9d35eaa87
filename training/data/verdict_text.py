"""A verdict as people read it on a terminal or in the log of a CI run."""

from collections.abc import Iterator
from textwrap import shorten

from training.data.coverage import Coverage
from training.data.fault import Fault
from training.data.validation import Verdict

_GAPS_SHOWN = 10


def verdict_text(verdict: Verdict, name: str, most_faults: int = 20) -> str:
    """Faults, then what the file covers, then the sum of it."""
    lines = [*_fault_lines(verdict.errors, most_faults), *_fault_lines(verdict.warnings, most_faults)]
    lines += coverage_lines(verdict.coverage)
    state = "valid" if not verdict.errors else "INVALID"
    lines.append(
        f"{name}: {state}; {verdict.coverage.records} records, "
        f"{len(verdict.errors)} errors, {len(verdict.warnings)} warnings"
    )
    return "\n".join(lines)


def coverage_lines(coverage: Coverage) -> Iterator[str]:
    """Tables of categories and tools, and the gaps."""
    if not coverage.records:
        return
    yield f"\n{'category':<18}{'records':>9}{'share':>8}"
    for category, count in coverage.categories.most_common():
        yield f"{category:<18}{count:>9}{count / coverage.records:>8.1%}"
    if coverage.tools:
        width = min(40, max(len("tool / parameter"), *(len(name) + 2 for name in coverage.tools)))
        yield f"\n{'tool / parameter':<{width}}{'offered':>9}{'called':>8}{'values':>8}"
        called = [(name, tool) for name, tool in coverage.tools.items() if tool.called]
        tools = sorted(called, key=lambda item: -item[1].called)
        for name, tool in tools[:30]:
            yield f"{name:<{width}}{tool.offered:>9}{tool.called:>8}"
            for parameter in tool.parameters:
                values = len(tool.values.get(parameter, ()))
                yield f"{'  ' + parameter:<{width}}{'':>9}{tool.used[parameter]:>8}{values:>8}"
        if len(tools) > 30:
            yield f"… and {len(tools) - 30} tools more (--json has all)"
    gaps = coverage.gaps()
    yield ""
    yield from (shorten(f"gap: {gap}", 240, placeholder=" …") for gap in gaps[:_GAPS_SHOWN])
    if len(gaps) > _GAPS_SHOWN:
        yield f"… and {len(gaps) - _GAPS_SHOWN} gaps more (--json has all)"


def _fault_lines(faults: list[Fault], most: int) -> Iterator[str]:
    yield from map(str, faults[:most])
    if len(faults) > most:
        yield f"… and {len(faults) - most} more (--faults shows more)"
