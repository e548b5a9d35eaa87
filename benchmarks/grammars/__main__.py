"""`python -m benchmarks.grammars`: judges compilers on public schemas and prints one table."""

import argparse
import gc
import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

import grammars
from benchmarks.grammars.corpus import maskbench, suite
from benchmarks.grammars.engines import ENGINES, by_specification, load_tokenizer
from benchmarks.grammars.judge import Judge, Verdict
from training.corpus.archives import find_corpus


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vocabulary", required=True, help="ggml-vocab-qwen2.gguf of llama.cpp's models folder")
    parser.add_argument("--data", type=Path, help="folder of the data sets (default: TRAMMEL_DATA or ../shared/data)")
    parser.add_argument("--sample", type=int, default=1, metavar="N", help="every N-th schema")
    parser.add_argument("--engines", default="trammel,llguidance,llama.cpp converter")
    parser.add_argument("--failures", type=int, default=0, metavar="N", help="list N failures by cause")
    parser.add_argument("--results", type=Path, default=Path("benchmarks/results"))
    parser.add_argument("--suite", action="store_true", help="JSON Schema's test suite in place of MaskBench")
    options = parser.parse_args()
    judge = Judge(load_tokenizer(options.vocabulary))
    names = options.engines.split(",")
    if options.suite:
        folder = find_corpus("json-schema-test-suite", options.data)
    else:
        folder = find_corpus("maskbench", options.data, or_else="maskbench-half")
    cases = list(suite(folder) if options.suite else maskbench(folder, options.sample))
    gc.collect()
    gc.freeze()  # the corpus in memory is no compiler's garbage
    verdicts: dict[str, list[Verdict]] = {name: [] for name in names}
    engines = {**ENGINES, "trammel": by_specification} if options.suite else ENGINES
    for number, case in enumerate(cases):
        # alternate who goes first, so that neither has the warmer caches
        for name in names if number % 2 else names[::-1]:
            verdicts[name].append(judge.judge(engines[name], case))
    rows = {name: summary(found) for name, found in verdicts.items()}
    print(table(rows))
    print(f"\ntrammel, a schema seen before: {from_cache([case.schema for case in cases]):.1f} µs (median)")
    for name in names[: 1 if options.failures else 0]:
        print_failures(name, verdicts[name], options.failures)
    options.results.mkdir(parents=True, exist_ok=True)
    path = (
        options.results / f"grammars-{'suite' if options.suite else 'maskbench'}-{time.strftime('%Y%m%d-%H%M%S')}.json"
    )
    failed = {n: [[v.name, v.error, v.refused, v.admitted] for v in vs if not v.passes] for n, vs in verdicts.items()}
    path.write_text(json.dumps({"summary": rows, "failed": failed}, indent=1, ensure_ascii=False))
    print(f"written to {path}")


def from_cache(schemas: list[Any]) -> float:
    """Median microseconds that `grammars.compile` takes for a schema it has compiled before."""
    times = []
    for schema in schemas[:500]:
        try:
            grammars.compile(schema)
        except grammars.GrammarError:
            continue
        started = time.perf_counter_ns()
        grammars.compile(schema)
        times.append((time.perf_counter_ns() - started) / 1000)
    return float(np.median(times))


def summary(verdicts: list[Verdict]) -> dict[str, Any]:
    masks = np.array([us for v in verdicts for us in v.masks_us] or [0.0])
    compiles = np.array([v.compile_us for v in verdicts if not v.error] or [0.0])
    return {
        "schemas": len(verdicts),
        "passing": sum(v.passes for v in verdicts),
        "passing %": round(100 * sum(v.passes for v in verdicts) / len(verdicts), 2),
        "compile errors": sum(bool(v.error) for v in verdicts),
        "invalid admitted": sum(bool(v.admitted) for v in verdicts),
        "valid refused": sum(bool(v.refused) for v in verdicts),
        "instances reordered": sum(v.reordered for v in verdicts),
        "compile p50 ms": round(float(np.percentile(compiles, 50)) / 1000, 3),
        "compile p99 ms": round(float(np.percentile(compiles, 99)) / 1000, 2),
        "compile max ms": round(float(compiles.max()) / 1000, 1),
        "mask mean µs": round(float(masks.mean()), 1),
        "mask p99.9 µs": round(float(np.percentile(masks, 99.9)), 0),
        "masks": len(masks),
    }


def table(rows: dict[str, dict[str, Any]]) -> str:
    lines = ["| figure | " + " | ".join(rows) + " |", "|---" * (len(rows) + 1) + "|"]
    figures = next(iter(rows.values()))
    lines += [f"| {f} | " + " | ".join(str(row[f]) for row in rows.values()) + " |" for f in figures]
    return "\n".join(lines)


def print_failures(name: str, verdicts: list[Verdict], most: int) -> None:
    causes: Counter[str] = Counter()
    examples: dict[str, list[str]] = {}
    for verdict in verdicts:
        if verdict.passes:
            continue
        cause = verdict.error.split(" (at ")[0][:110] or ("invalid admitted" if verdict.admitted else "valid refused")
        causes[cause] += 1
        examples.setdefault(cause, []).append(verdict.name)
    print(f"\n{name}: failures by cause")
    for cause, count in causes.most_common(most):
        print(f"{count:5} {cause}   e.g. {', '.join(examples[cause][:3])}")


if __name__ == "__main__":
    main()
