"""Reports: the same figures in the terminal, in Markdown and as a page that a browser shows without help."""

import os
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from evals.folder import FolderError, RunFolder
from evals.record import Record
from evals.report.content import answer_text, difference_text, sections, share_text
from evals.report.markdown import markdown
from evals.report.page import latency_plot, page, share_plot
from evals.report.terminal import print_changes, print_sections

NASTY = "<script>alert(1)</script> a|b [bold]c[/bold] [/red]"


def record(endpoint: str, case: str, hit: int, group: str = "easy", **fields: Any) -> Record:
    message = {"content": None, "tool_calls": [{"function": {"name": "f", "arguments": '{"a":[1]}'}}]}
    return Record(
        endpoint, "on", "demo", group, case, 0, {"exact match": (hit, 1), "syntax errors": (0, 1)},
        {"my_tool": (hit, 1)}, [0.5], 10, 5, 1, [message], asked=NASTY, **fields,
    )  # fmt: skip


RECORDS = [record("a", str(number), 0, "easy" if number % 2 else "hard") for number in range(12)] + [
    record("b", str(number), 1, "easy" if number % 2 else "hard") for number in range(12)
]
SETTINGS = [("suites", "demo"), ("note", NASTY)]


def html() -> str:
    return page(sections(RECORDS), "Tool use: demo", SETTINGS)


def test_a_section_has_figures_groups_tools_and_comparisons() -> None:
    (section,) = sections(RECORDS)
    rows = {row.title: row.cells for row in section.figures}
    assert rows["exact match"] == ("0.0 % [0.0, 24.2]", "100.0 % [75.8, 100.0]")
    assert rows["cases"] == ("12", "12")
    assert rows["latency p50 / p95, s"] == ("0.50 / 0.50", "0.50 / 0.50")
    assert [row.title for row in section.groups] == ["hard: exact match", "easy: exact match"]
    assert [row.title for row in section.tools] == ["my_tool"]
    (comparison,) = section.comparisons
    assert (comparison.count("better"), comparison.count("worse")) == (12, 0)


def test_what_a_column_does_not_speak_of_is_a_dash() -> None:
    assert share_text(None) == "–"
    lone = [*RECORDS, Record("c", "on", "demo", "new", "1", 0)]
    (section,) = sections(lone)
    assert {row.title: row.cells for row in section.figures}["exact match"][2] == "–"


def test_groups_within_groups_are_shown_at_every_level() -> None:
    records = [record("a", "1", 1, "live/sgd"), record("a", "2", 0, "live/other"), record("a", "3", 1, "plain")]
    (section,) = sections(records)
    cells = {row.title: row.cells[0].split(" [")[0] for row in section.groups}
    assert cells == {
        "live: exact match": "50.0 %", "live/sgd: exact match": "100.0 %", "live/other: exact match": "0.0 %",
        "plain: exact match": "100.0 %",
    }  # fmt: skip


def test_bits_per_byte_are_no_percentage() -> None:
    def judged(endpoint: str, extra: float) -> list[Record]:
        scores = [{"bits per byte": (bits + extra, 100.0)} for bits in (150.0, 170.0, 190.0, 210.0)]
        return [Record(endpoint, "on", "chat", "talk", str(at), 0, one) for at, one in enumerate(scores)]

    told = sections([*judged("a", 0.0), *judged("b", 20.0)])
    assert told[0].figures[0].cells[0].startswith("1.800 [")
    (comparison,) = told[0].comparisons
    assert difference_text(comparison.differences[0]) == "+0.200"
    assert "+0.200" in markdown(told, "T")
    assert "1.800 [" in page(told, "T", [])


def test_one_group_is_not_shown_apart() -> None:
    assert sections([record("a", "1", 1)])[0].groups == ()


def test_the_terminal_shows_every_figure_and_takes_nothing_for_markup(capsys: pytest.CaptureFixture[str]) -> None:
    told = sections(RECORDS)
    console = Console(width=200)
    print_sections(told, console)
    print_changes(told[0].comparisons[0], 1, console)
    out = capsys.readouterr().out
    assert "100.0 % [75.8, 100.0]" in out
    assert "12 cases: 12 better, 0 worse" in out
    assert "better exact match +100.0 points" in out
    assert NASTY in out
    assert out.count("first   f(") == 1


def test_markdown_tables_are_whole_whatever_stands_in_them() -> None:
    text = markdown(sections([record("a|<b>", "1", 1)]), "T")
    tables = [line for line in text.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in tables} == {3}
    assert "a\\|&lt;b>" in text


class _Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.outside: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)
        self.outside += [value for name, value in attrs if name in ("src", "href", "srcset", "data")]


def test_the_page_needs_nothing_beside_it_and_runs_nothing() -> None:
    parsed = _Page(html())
    assert parsed.outside == []
    assert "script" not in parsed.tags
    assert "@import" not in html()
    assert "url(" not in html()
    assert parsed.tags.count("svg") == 2


def test_dots_stand_where_their_shares_are() -> None:
    (section,) = sections(RECORDS)
    plot = share_plot(section)
    assert [lane.name for lane in plot.lanes] == ["exact match", "syntax errors"]
    first, second = plot.lanes[0].dots
    assert (first.x, second.x) == (plot.left, plot.right)
    assert plot.left < first.high < second.low < plot.right
    assert all(0 < dot.y < plot.height for lane in plot.lanes for dot in lane.dots)
    slowest = latency_plot(section).lanes[0].dots[0]
    assert (slowest.x, slowest.high) == (plot.right, plot.right)


def test_an_answer_is_told_in_one_text() -> None:
    assert answer_text(RECORDS[0]) == 'f({"a":[1]})'
    assert answer_text(Record("a", "on", "s", "g", "1", 0, error="down")) == "down"
    assert answer_text(Record("a", "on", "s", "g", "1", 0, answers=[{"content": None}])) == "(nothing)"


def test_a_folder_gives_back_what_was_written(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.write(RECORDS, SETTINGS)
    assert folder.records() == RECORDS
    assert {path.name for path in tmp_path.iterdir()} == {
        "results.jsonl", "summary.json", "report.md", "report.html",
    }  # fmt: skip


@pytest.mark.parametrize("text", [None, "", "{oops", '{"my": "data"}'])
def test_a_folder_without_a_run_is_said_to_be_none(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "results.jsonl").write_text(text)
    with pytest.raises(FolderError, match=r"results\.jsonl"):
        RunFolder(tmp_path).records()


BROWSER = os.environ.get("CHROME") or next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None
)


@pytest.mark.skipif(BROWSER is None, reason="NOT RUN: no Chrome or Chromium on the PATH or in $CHROME")
def test_a_real_browser_shows_tables_and_plots(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(html(), encoding="utf-8")
    command = [str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    dom = subprocess.run(
        [*command, "--dump-dom", path.as_uri()], capture_output=True, text=True, timeout=60, check=True
    ).stdout
    assert dom.count("<circle") == 6
    assert "100.0 % [75.8, 100.0]" in dom
    assert "<script>" not in dom
