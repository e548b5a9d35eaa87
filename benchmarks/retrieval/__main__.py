"""`python -m benchmarks.retrieval`: how many of the right tools are found, in what time, and what that saves."""

import argparse
import asyncio
import json
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.retrieval.seal_tools import Query, draw, read_queries, read_tools, synthetic
from server.engine.embedder import Embedder, EmbedderSettings
from server.engine.model import Model
from server.tools.definition import ToolDefinition
from server.tools.retrieval import Embed, ToolIndex
from training.corpus.archives import find_corpus

ROOT = Path(__file__).parents[2]
_CONSTANT = 60
"""Of reciprocal rank fusion (Cormack et al. 2009)."""
Search = Callable[[str], Awaitable[list[str]]]
Row = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder of the data sets (default: TRAMMEL_DATA or ../shared/data)")
    parser.add_argument("--embeddings", type=Path, help="GGUF of an embedding model; without it words alone")
    parser.add_argument("--many", type=int, default=50_000, help="synthetic tools to be searched for the time")
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks" / "results")
    rows = asyncio.run(measure(parser.parse_args()))
    print(table(rows))


async def measure(options: argparse.Namespace) -> list[Row]:
    folder = find_corpus("seal-tools", options.data)
    tools, queries = read_tools(folder), read_queries(folder)
    embed = None
    if options.embeddings:
        embedder = Embedder(Model(options.embeddings), EmbedderSettings(threads=1))
        embed = remembering(embedder)
    rows = []
    for label, (some, asked) in {
        **{f"500, draw {seed + 1}": draw(tools, queries, 500, seed) for seed in range(3)},
        "4,076": (tools, queries),
    }.items():
        for name, search in (await searches(some, embed)).items():
            rows.append({"tools": label, "by": name, **await judge(search, asked)})
            print(rows[-1])
    rows.append(await timed(f"{options.many:,} synthetic", synthetic(tools, options.many), queries[:200], embed))
    rows.append(tokens(tools, [next(iter(query.tools)) for query in queries[:100]]))
    options.results.mkdir(parents=True, exist_ok=True)
    path = options.results / f"retrieval-{time.strftime('%Y%m%d-%H%M%S')}.json"
    path.write_text(json.dumps(rows, indent=1))
    return rows


def remembering(embedder: Embedder) -> Embed:
    """Vectors of texts that were seen before come from memory: the same tools are in every draw."""
    known: dict[str, np.ndarray[Any, Any]] = {}

    async def embed(texts: Sequence[str]) -> np.ndarray[Any, Any]:
        new = [text for text in dict.fromkeys(texts) if text not in known]
        for start in range(0, len(new), 512):
            some = new[start : start + 512]
            known.update(zip(some, await embedder.embed([embedder.tokenize(text) for text in some]), strict=True))
        return np.stack([known[text] for text in texts])

    return embed


async def searches(tools: Mapping[str, ToolDefinition], embed: Embed | None) -> dict[str, Search]:
    """Ways to find five."""
    words = ToolIndex()
    await words.sync(tools)
    found = {"words": finding(words)}
    if embed is not None:
        both, vectors = ToolIndex(embed), ToolIndex(embed, meaning=1.0)
        await both.sync(tools)
        await vectors.sync(tools)
        await both.settle()
        await vectors.settle()
        found |= {"vectors": finding(vectors), "both, by score": finding(both), "both, by rank": fusing(words, vectors)}
    return found


def finding(index: ToolIndex, limit: int = 5) -> Search:
    async def search(text: str) -> list[str]:
        return [hit.name for hit in await index.search(text, limit)]

    return search


def fusing(*indexes: ToolIndex) -> Search:
    """Reciprocal rank fusion of the first fifty of each."""

    async def search(text: str) -> list[str]:
        scores: dict[str, float] = {}
        for index in indexes:
            for place, name in enumerate(await finding(index, 50)(text), 1):
                scores[name] = scores.get(name, 0.0) + 1 / (_CONSTANT + place)
        return sorted(scores, key=lambda name: -scores[name])[:5]

    return search


async def judge(search: Search, queries: list[Query]) -> Row:
    complete, recalled, first, alone, seconds = [], [], [], [], []
    for query in queries:
        await search(query.text)  # the vectors of the query are no part of the time
        start = time.perf_counter()
        names = await search(query.text)
        seconds.append(time.perf_counter() - start)
        hits = len(query.tools.intersection(names))
        complete.append(hits == len(query.tools))
        recalled.append(hits / len(query.tools))
        first.append(names[0] in query.tools)
        if len(query.tools) == 1:
            alone.append(hits)
    return {
        "queries": len(queries),
        "recall@1": statistics.fmean(first),
        "recall@5": statistics.fmean(recalled),
        "one tool, recall@5": statistics.fmean(alone),
        "complete@5": statistics.fmean(complete),
        **times(seconds),
    }


def times(seconds: list[float]) -> Row:
    p50, p99 = np.percentile(np.array(seconds) * 1000, [50, 99])
    return {"p50 ms": float(p50), "p99 ms": float(p99)}


async def timed(label: str, tools: Mapping[str, ToolDefinition], queries: list[Query], embed: Embed | None) -> Row:
    """Without recall: nobody knows which of these tools is right. The vectors are random."""
    random = np.random.default_rng(0)

    async def anything(texts: Sequence[str]) -> np.ndarray[Any, Any]:
        vectors = random.standard_normal((len(texts), 384)).astype(np.float32)
        unit: np.ndarray[Any, Any] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return unit

    index = ToolIndex(anything if embed else None)
    start = time.perf_counter()
    await index.sync(tools)
    await index.settle()
    built = time.perf_counter() - start
    search = finding(index)
    seconds = []
    for query in queries:
        start = time.perf_counter()
        await search(query.text)
        seconds.append(time.perf_counter() - start)
    return {"tools": label, "by": "both" if embed else "words", "built s": built, **times(seconds)}


def tokens(tools: Mapping[str, ToolDefinition], names: list[str]) -> Row:
    """What tools cost in a prompt, by our model's vocabulary: all of 500, and five."""
    vocabulary = Model(ROOT / "models" / "trammel-tiny.gguf").vocabulary
    sizes = {name: len(vocabulary.tokenize(json.dumps(_shown(tools[name])))) for name in names}
    return {
        "tools": "prompt",
        "by": "tokens of schemas",
        "five": 5 * statistics.fmean(sizes.values()),
        "500": 500 * statistics.fmean(sizes.values()),
    }


def _shown(tool: ToolDefinition) -> Row:
    return {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)}


def table(rows: list[Row]) -> str:
    columns = ["tools", "by", "queries", "recall@1", "recall@5", "one tool, recall@5", "complete@5", "p50 ms", "p99 ms"]
    lines = [" | ".join(columns)]
    for row in rows:
        cells = [row.get(column, "") for column in columns]
        rest = "; ".join(f"{key} {value:.1f}" for key, value in row.items() if key not in columns)
        lines.append(
            " | ".join([*(f"{cell:.3f}" if isinstance(cell, float) else str(cell) for cell in cells), rest]).strip(" |")
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
