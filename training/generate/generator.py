"""The template generator: for given tools, as many different examples as wanted, the same ones for the same seed.

A file half written is gone on with: examples are made anew from the first on, which costs little, and must be what
stands there already.
"""

import contextlib
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from training.data.category import Category, category_of
from training.data.checks import Checks
from training.data.record import Record, plain_json, written
from training.generate.categories import PLAYS
from training.generate.plan import DEFAULT_SHARES, Plan
from training.generate.scenario_file import Scenario, ScenarioError, ScenarioFile
from training.generate.scenario_play import play_scenario
from training.generate.scene import Scene
from training.generate.slots import DrawError
from training.generate.variation import choose_tools, finished
from training.tools.definition import Json, Tool

_ATTEMPTS = 50
"""For one example, until it is one that was not there before."""

Rewrite = Callable[[Record], Record]
"""Says a record in other words; what can't be rewritten comes back as it is."""


class GenerateError(ValueError):
    """Examples can't be made; the text says why."""


@dataclass(frozen=True, slots=True)
class GenerateSettings:
    """What decides the examples."""

    tools: Sequence[Tool]
    count: int = 50
    seed: int = 42
    shares: Mapping[Category, float] = field(default_factory=lambda: DEFAULT_SHARES)
    others: Sequence[Tool] = ()
    """Distractors are drawn from these, and wishes that no tool can fulfil."""
    distractors: int = 2
    """At most so many beside the user's own tools."""
    renamed: float = 0.2
    """Share of examples whose tools have other names."""
    scenarios: ScenarioFile | None = None
    """Examples are played from these, in turn, instead of by category."""


@dataclass(slots=True)
class Generated:
    """What came of a run."""

    count: int = 0
    found: int = 0
    """Of these, what an earlier run had written."""
    categories: Counter[str] = field(default_factory=Counter)
    repeats: int = 0
    """Examples made and dropped, because there was one like it."""
    skipped: Counter[str] = field(default_factory=Counter)
    """Categories that these tools don't allow, and how often another took their place."""
    exhausted: list[str] = field(default_factory=list)
    """Scenarios that allow no more different examples."""


def generate(
    settings: GenerateSettings, stats: Generated | None = None, rewrite: Rewrite | None = None
) -> Iterator[Json]:
    """Lines, each different and valid. Raises: GenerateError."""
    stats = stats or Generated()
    seen: set[str] = set()
    draw = _by_category if settings.scenarios is None else _by_scenario
    for number, (record, category, source) in enumerate(draw(settings, seen, stats)):
        if rewrite is not None:
            record = _rewritten(record, rewrite, seen)
        stats.count += 1
        stats.categories[category] += 1
        identity = {"id": f"generated/{settings.seed}/{number}", "category": category, "group": category}
        yield {**identity, **({"source": source} if source else {}), **as_line(record)}


def write_generated(
    settings: GenerateSettings,
    output: Path,
    *,
    fresh: bool = False,
    plain: bool = False,
    rewrite: Rewrite | None = None,
) -> Iterator[Generated]:
    """Write the examples that `output` lacks, and tell after each how far it is.

    Raises: GenerateError, if the file holds something else; OSError.
    """
    stats = Generated()
    there, unfinished = ([], b"") if fresh else _lines_of(output)
    stats.found = min(len(there), settings.count)
    if len(there) + bool(unfinished) > settings.count:
        raise GenerateError(f"{output} has {len(there)} examples already, more than {settings.count}")
    with contextlib.ExitStack() as opened:
        file: BinaryIO | None = None
        for number, example in enumerate(generate(settings, stats, rewrite)):
            line = written(plain_json(example) if plain else example).encode() + b"\n"
            expected = there[number] if number < len(there) else unfinished if file is None else b""
            if not line.startswith(expected):
                raise GenerateError(
                    f"{output}, line {number + 1} was made with other settings; choose another file, or begin it anew "
                    "(--fresh of `trammel data generate`)"
                )
            if number >= len(there):
                # all that was there is ours: only now it is written to
                file = file or opened.enter_context(_opened_behind(output, sum(map(len, there))))
                file.write(line)
                file.flush()
            yield stats


def as_line(record: Record) -> Json:
    """What a record says, without what it leaves out."""
    return record.model_dump(exclude_none=True)


def _rewritten(record: Record, rewrite: Rewrite, seen: set[str]) -> Record:
    """In other words, unless they were there before."""
    other = rewrite(record)
    key = written(as_line(other))
    if other is record or key in seen:
        return record
    seen.add(key)
    return other


def _by_category(settings: GenerateSettings, seen: set[str], stats: Generated) -> Iterator[tuple[Record, str, str]]:
    plan = Plan(settings.shares, [tool.name for tool in settings.tools])
    for number in range(settings.count):
        category, name = plan.next()
        yield *_new_example(settings, category, name, number, seen, stats), ""


def _by_scenario(settings: GenerateSettings, seen: set[str], stats: Generated) -> Iterator[tuple[Record, str, str]]:
    """The scenarios in turn, until there are enough or none has anything new. Raises: GenerateError."""
    assert settings.scenarios is not None
    left = list(settings.scenarios.scenarios)
    for scenario in left:
        _played(settings, scenario, random.Random(0))  # all faults come out before anything is written
    made = 0
    while made < settings.count and left:
        scenario = left.pop(0)
        for attempt in range(_ATTEMPTS):
            record = _played(settings, scenario, random.Random(f"{settings.seed}/{made}/{attempt}"))
            key = written(as_line(record))
            if key not in seen:
                break
            stats.repeats += 1
        else:
            stats.exhausted.append(scenario.id)
            continue
        seen.add(key)
        left.append(scenario)
        made += 1
        yield record, scenario.category or category_of(record), f"scenario/{scenario.id}"


def _played(settings: GenerateSettings, scenario: Scenario, rng: random.Random) -> Record:
    scene = Scene(rng)
    assert settings.scenarios is not None
    try:
        play_scenario(scene, scenario, settings.scenarios, settings.tools)
        return _completed(scene, settings)
    except DrawError as error:
        raise GenerateError(f"scenario {scenario.id!r}: {error}") from error
    except ScenarioError as error:
        raise GenerateError(str(error)) from error


def _new_example(
    settings: GenerateSettings, category: Category, name: str, number: int, seen: set[str], stats: Generated
) -> tuple[Record, Category]:
    """One unlike all in `seen`. A category that the tool doesn't allow gives way to a single call."""
    tool = next(tool for tool in settings.tools if tool.name == name)
    fault = ""
    for attempt in range(_ATTEMPTS):
        rng = random.Random(f"{settings.seed}/{number}/{attempt}")
        if attempt == _ATTEMPTS // 2 and fault and category != "single_call":
            stats.skipped[category] += 1
            category = "single_call"
        try:
            record = _example(settings, category, tool, rng)
        except DrawError as error:
            fault = str(error)
            continue
        key = written(as_line(record))
        if key not in seen:
            seen.add(key)
            return record, category
        stats.repeats += 1
    reason = fault or "there are no more different ones; tools with more parameters or phrases would help"
    raise GenerateError(f"example {number + 1} ({category}, {name}) can't be made: {reason}")


def _example(settings: GenerateSettings, category: Category, tool: Tool, rng: random.Random) -> Record:
    scene = Scene(rng)
    PLAYS[category](scene, tool, settings.tools, settings.others)
    return _completed(scene, settings)


def _completed(scene: Scene, settings: GenerateSettings) -> Record:
    """With tools in reach. Raises: DrawError, if the record is not valid."""
    tools = choose_tools(scene, settings.tools, settings.others, settings.distractors)
    record = finished(scene, tools, settings.renamed)
    faults = [fault for fault in Checks(checks_grammars=False).check(record, 0) if fault.is_error]
    if faults:
        raise DrawError(str(faults[0]))
    return record


def _lines_of(path: Path) -> tuple[list[bytes], bytes]:
    """The whole lines of a file, and what stands behind them."""
    *whole, rest = path.read_bytes().split(b"\n") if path.exists() else [b""]
    return [line + b"\n" for line in whole], rest


def _opened_behind(path: Path, length: int) -> BinaryIO:
    """To write behind the first `length` bytes."""
    file = path.open("r+b" if path.exists() else "wb")
    file.truncate(length)
    file.seek(length)
    return file
