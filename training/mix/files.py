"""A mixture out of files and into files."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from training.corpus import general
from training.corpus.archives import find_corpus
from training.data.record import Json, Record, written
from training.data.validation import InvalidDataError, read_lines, require_valid
from training.mix.mixture import Item, MixReport, MixSettings, Pool, mix
from training.mix.words import conversation_key

PUBLIC = "public"
"""Stands for the corpus `chat`: small talk and quiz questions."""


def mix_files(
    sources: Sequence[Path],
    chat: Sequence[str],
    settings: MixSettings,
    output: Path,
    held_out: Path | None = None,
    excluded: Sequence[Path] = (),
    data: Path | None = None,
) -> MixReport:
    """Write `output`, and `held_out` where something is held back.

    `chat`: files, or `public`. Raises: InvalidDataError, DataMissingError, OSError.
    """
    report = MixReport()
    pool = Pool(report, frozenset(_keys(excluded)))
    for path in sources:
        require_valid(path)
        for number, line in read_lines(path):
            pool.add(Record.model_validate(line), {"source": f"{path.name}:{number}", **line}, path.name)
    for name in chat:
        for record, line in _chat(name, data):
            pool.add(record, line, name if name == PUBLIC else Path(name).name)
    train, kept = mix(pool.items, settings, report)
    _write(train, output)
    if held_out is not None:
        _write(kept, held_out)
    return report


def report_text(report: MixReport, settings: MixSettings) -> str:
    """The report as people read it."""
    lines = [f"{'category':<18}{'train':>9}{'share':>8}{'held out':>10}{'unused':>9}"]
    for category in sorted({*report.train, *report.held_out, *report.unused}, key=lambda c: -report.train[c]):
        share = report.train[category] / max(1, report.train.total())
        lines.append(
            f"{category:<18}{report.train[category]:>9}{share:>8.1%}"
            f"{report.held_out[category]:>10}{report.unused[category]:>9}"
        )
    lines.append("")
    for source, count in report.read.items():
        repeated = report.repeated[source]
        lines.append(f"{source}: {count} read, {repeated} repeated, {report.sources[source]} trained on")
    if report.excluded:
        lines.append(f"{report.excluded} excluded")
    if abs(report.chat_share - settings.chat_share) > 0.02:
        why = "there is no more" if report.chat_share else "give --chat FILE, or --chat public"
        lines.append(f"the share of chat is {report.chat_share:.1%}, not {settings.chat_share:.1%}: {why}")
    return "\n".join(lines)


def _chat(name: str, data: Path | None) -> Iterator[tuple[Record, Json]]:
    if name != PUBLIC:
        require_valid(Path(name))
        for number, line in read_lines(Path(name)):
            record = Record.model_validate(line)
            if record.tools:
                raise InvalidDataError(f"{name}, line {number} has tools, and is no general chat")
            yield record, {"source": f"{Path(name).name}:{number}", **line}
        return
    folder = find_corpus("chat", data)
    for conversation in (*general.read_persona_chats(folder), *general.read_trivia(folder)):
        messages = list(conversation.messages)
        while messages and messages[-1].role != "assistant":
            messages.pop()
        if messages:
            line = {
                "category": "chat",
                "source": conversation.source,
                "messages": [{"role": message.role, "content": message.content} for message in messages],
            }
            yield Record.model_validate(line), line


def _keys(paths: Sequence[Path]) -> Iterator[int]:
    for path in paths:
        for _, line in read_lines(path):
            yield conversation_key(Record.model_validate(line))


def _write(items: Sequence[Item], path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(written(item.line) + "\n" for item in items)


def write_report(report: MixReport, path: Path) -> None:
    """As JSON."""
    path.write_text(json.dumps(report.as_json(), indent=1), encoding="utf-8")
