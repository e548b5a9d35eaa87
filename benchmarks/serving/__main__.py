"""`make bench`: us and our peers on the same work, in one run, in alternation. Prints ratios and writes JSON."""

import argparse
import json
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.serving.curves import draw, measure_curves
from benchmarks.serving.peers import NotAvailableError, Peers, Settings
from benchmarks.serving.rows import ROWS, Bench, Row, measure


def main() -> None:
    """Run the rows asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description=__doc__)
    parser.add_argument("--only", nargs="*", metavar="ROW", choices=[row.name for row in ROWS], help="these rows")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each row (default 3)")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--curves", action="store_true", help="throughput and latency over streams, drawn into docs/")
    parser.add_argument("--results", type=Path, default=Path("benchmarks/results"))
    options = parser.parse_args()
    bench = Bench(Peers.find(), Settings(options.threads))
    try:
        if options.curves:
            curves = measure_curves(bench)
            _write(options.results, "curves", curves)
            draw(curves, Path("docs/benchmarks-serving.png"))
        else:
            wanted = [row for row in ROWS if not options.only or row.name in options.only]
            _write(options.results, "serving", _table(bench, wanted, options.rounds))
    finally:
        bench.stage.close()


def _table(bench: Bench, rows: list[Row], rounds: int) -> dict[str, Any]:
    print("| figure | median ratio (least – most) | must reach | |\n|---|---|---|---|")
    found: dict[str, Any] = {}
    for row in rows:
        try:
            ratios = list(measure(bench, row, rounds))
        except NotAvailableError as error:
            print(f"| {row.what} | not measured: {error} | {row.target} | |", flush=True)
            continue
        median = statistics.median(ratios)
        verdict = "met" if row.target.is_met(median) else "missed"
        print(
            f"| {row.what} | {median:.3g} ({min(ratios):.3g} – {max(ratios):.3g}) | {row.target} | {verdict} |",
            flush=True,
        )
        found[row.name] = {"ratios": ratios, "median": median, "target": str(row.target), "verdict": verdict}
    return found


def _write(folder: Path, kind: str, content: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{kind}-{time.strftime('%Y%m%d-%H%M%S')}.json"
    path.write_text(json.dumps(content, indent=1))
    print(f"written to {path}", file=sys.stderr)


if __name__ == "__main__":
    main()
