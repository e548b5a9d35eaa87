"""What is compared: one function a row, each giving one ratio a round."""

import asyncio
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from benchmarks.serving.client import Answer, Body, run_beside, run_streams
from benchmarks.serving.peers import TRAINED, NotAvailableError, Peers, Settings, require_flag
from benchmarks.serving.processes import Setup, Stage
from benchmarks.serving.prompt_lookup import copying_gain

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "maxLength": 16},
        "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
        "days": {"type": "integer", "minimum": 1, "maximum": 14},
        "hourly": {"type": "boolean"},
    },
    "required": ["city", "unit", "days", "hourly"],
    "additionalProperties": False,
}
FORM = {"type": "json_schema", "json_schema": {"name": "forecast", "schema": SCHEMA, "strict": True}}


@dataclass(frozen=True, slots=True)
class Target:
    """What a ratio must reach: at least, or at most."""

    bound: float
    is_least: bool = True

    def is_met(self, value: float) -> bool:
        return value >= self.bound if self.is_least else value <= self.bound

    def __str__(self) -> str:
        return f"{'≥' if self.is_least else '≤'} {self.bound}"


@dataclass(slots=True)
class Bench:
    """The servers and sizes of a run."""

    peers: Peers
    settings: Settings
    stage: Stage = field(default_factory=Stage)
    tokens: int = 48
    """Of a free answer."""
    round: int = 0
    """Prompts are new in each."""

    def us(self, model: Path, *flags: str) -> Setup:
        return self.peers.trammel(model, self.settings, *flags)

    def llama_server(self, model: Path) -> Setup:
        return self.peers.llama_server(model, self.settings)

    def ratio(self, ours: Callable[[], float], theirs: Callable[[], float]) -> float:
        """Of two measurements, the second of which is made first in every other round."""
        if self.round % 2:
            return ours() / theirs()
        right = theirs()
        return ours() / right

    def run(self, setup: Setup, streams: list[list[Body]], *, streaming: bool = True) -> list[Answer]:
        with self.stage.only(setup) as process:
            try:
                return asyncio.run(run_streams(process.url, streams, streaming=streaming))
            except httpx.HTTPError as error:
                log = process.log()
                self.stage.dismiss(setup)
                raise NotAvailableError(f"{setup.name} failed ({error}): {log[-300:]!r}") from error


def ask(bench: Bench, number: int, *, tokens: int, **fields: Any) -> Body:
    """A question of a few words, another for each number and in each round: servers remember what they were asked."""
    message = {"role": "user", "content": f"Question {number} of {bench.round}: what will the weather be like?"}
    return {"model": "model", "messages": [message], "max_tokens": tokens, "temperature": 1.0, "seed": number, **fields}


def free(bench: Bench, streams: int) -> list[list[Body]]:
    return [[ask(bench, number, tokens=bench.tokens)] for number in range(streams)]


def formed(bench: Bench, streams: int, each: int = 1) -> list[list[Body]]:
    return [
        [ask(bench, stream * each + turn, tokens=160, response_format=FORM) for turn in range(each)]
        for stream in range(streams)
    ]


def throughput(answers: list[Answer]) -> float:
    """Tokens a second over all streams, prompts included."""
    return sum(answer.tokens for answer in answers) / _span(answers)


def answers_a_second(answers: list[Answer]) -> float:
    return len(answers) / _span(answers)


def decode_speed(answers: list[Answer]) -> float:
    """Tokens a second of one stream after its first piece."""
    return statistics.fmean(answer.speed for answer in answers)


def median_latency(answers: list[Answer]) -> float:
    return statistics.median(answer.latency for answer in answers)


def _span(answers: list[Answer]) -> float:
    return max(answer.ended for answer in answers) - min(answer.sent for answer in answers)


def free_1(bench: Bench) -> float:
    model = bench.peers.random_model
    return bench.ratio(
        lambda: decode_speed(bench.run(bench.us(model), free(bench, 1))),
        lambda: bench.peers.bench_speed(model, bench.settings, bench.tokens),
    )


def free_8(bench: Bench) -> float:
    model = bench.peers.random_model
    return bench.ratio(
        lambda: throughput(bench.run(bench.us(model), free(bench, 8))),
        lambda: throughput(bench.run(bench.llama_server(model), free(bench, 8))),
    )


def free_8_bindings(bench: Bench) -> float:
    model = bench.peers.random_model
    theirs = bench.peers.bindings_server(model, bench.settings)
    return bench.ratio(
        lambda: throughput(bench.run(bench.us(model), free(bench, 8))),
        lambda: throughput(bench.run(theirs, free(bench, 8), streaming=False)),
    )


def constrained_8(bench: Bench) -> float:
    model = bench.peers.random_model
    return bench.ratio(
        lambda: answers_a_second(bench.run(bench.us(model), formed(bench, 8))),
        lambda: answers_a_second(bench.run(bench.llama_server(model), formed(bench, 8))),
    )


def latency(streams: int) -> Callable[[Bench], float]:
    def row(bench: Bench) -> float:
        def of(setup: Setup) -> float:
            return median_latency(bench.run(setup, formed(bench, streams, 6), streaming=False))

        return bench.ratio(lambda: of(bench.us(TRAINED)), lambda: of(bench.llama_server(TRAINED)))

    return row


def constrained_over_free(model_of: Callable[[Bench], Path], streams: int) -> Callable[[Bench], float]:
    def row(bench: Bench) -> float:
        model = model_of(bench)
        return bench.ratio(
            lambda: throughput(bench.run(bench.us(model), formed(bench, streams, 2))),
            lambda: throughput(bench.run(bench.us(model), free(bench, streams))),
        )

    return row


def time_to_first_token(bench: Bench) -> float:
    """Warm: the same 2k tokens of tools with another question."""
    model = bench.peers.random_model
    return bench.ratio(lambda: _first(bench, bench.us(model)), lambda: _first(bench, bench.llama_server(model)))


def _first(bench: Bench, setup: Setup) -> float:
    tools = [_tool(number) for number in range(22)]
    warm = [ask(bench, number, tokens=4, tools=tools, tool_choice="none") for number in range(4)]
    return statistics.median(answer.first for answer in bench.run(setup, [warm])[1:])


def _tool(number: int) -> dict[str, Any]:
    parameters = {**SCHEMA, "properties": {f"{name}_{number}": part for name, part in SCHEMA["properties"].items()}}
    parameters["required"] = list(parameters["properties"])
    words = f"Tool number {number} of a long list, which tells the weather of a place for so many days."
    return {
        "type": "function",
        "function": {"name": f"forecast_{number}", "description": words, "parameters": parameters},
    }


def conversations(bench: Bench) -> float:
    """Twelve that are held by turns, so that eleven others lie idle whenever one is answered."""
    return bench.ratio(
        lambda: _by_turns(bench, bench.us(TRAINED)), lambda: _by_turns(bench, bench.llama_server(TRAINED))
    )


def idle_kv(bench: Bench) -> float:
    """The same with the KV of the idle ones outside of the cache and in it."""
    inside = bench.us(TRAINED, "--idle-kv-mib", "0")
    return bench.ratio(lambda: _by_turns(bench, bench.us(TRAINED)), lambda: _by_turns(bench, inside))


def _by_turns(bench: Bench, setup: Setup) -> float:
    """Seconds for three turns of each; about 1,000 tokens of the twelve are nobody else's."""
    asked = []
    for turn in range(3):
        for number in range(12):
            said = " ".join(f"word{bench.round}{number}{part}" for part in range(90 + 60 * turn))
            asked.append({**ask(bench, number, tokens=24), "messages": [{"role": "user", "content": said}]})
    bench.run(setup, [[ask(bench, -1, tokens=4)]])  # a server's first answer is slower
    return _span(bench.run(setup, [asked]))


def engine_share(bench: Bench) -> float:
    """Time of the engine's steps outside llama_decode, constrained, as a share of the whole."""
    setup = bench.us(bench.peers.random_model)
    with bench.stage.only(setup) as process:
        before = _engine_seconds(process.url)
        asyncio.run(run_streams(process.url, formed(bench, 8, 2)))
        after = _engine_seconds(process.url)
    decode, step = (late - early for early, late in zip(before, after, strict=True))
    return 1 - decode / step


def _engine_seconds(url: str) -> tuple[float, float]:
    lines = dict(
        line.split(" ", 1) for line in httpx.get(f"{url}/metrics").text.splitlines() if not line.startswith("#")
    )
    return float(lines["trammel_decode_seconds_total"]), float(lines["trammel_step_seconds_total"])


def prompt_lookup(bench: Bench) -> float:
    """The random model is led to copy records: tokens a second with and without drafts from the prompt."""
    bench.stage.close()
    return asyncio.run(copying_gain(bench.peers.random_model, bench.settings.threads))


def adapters(bench: Bench) -> float:
    """Four adapters with two streams each, against one with eight."""
    require_flag("--adapter")
    model = bench.peers.random_model
    flags = [part for i, path in enumerate(bench.peers.adapters) for part in ("--adapter", f"a{i}={path}")]
    setup = bench.us(model, *flags)
    bodies = [ask(bench, number, tokens=bench.tokens) for number in range(8)]
    many = [[{**body, "model": f"a{number % 4}"}] for number, body in enumerate(bodies)]
    one = [[{**body, "model": "a0"}] for body in bodies]
    return bench.ratio(lambda: throughput(bench.run(setup, many)), lambda: throughput(bench.run(setup, one)))


def peak_memory(bench: Bench) -> float:
    """Most memory resident after the same work. Mapped weights count for both."""
    model = bench.peers.random_model
    peaks = []
    for setup in (bench.us(model), bench.llama_server(model)):
        with bench.stage.only(setup) as process:
            asyncio.run(run_streams(process.url, [*free(bench, 4), *formed(bench, 4)]))
            peaks.append(process.peak_memory)
    return peaks[0] / peaks[1]


def beside_long_prompts(bench: Bench) -> float:
    """Pieces a second of 15 streams while a prompt of 4k tokens arrives every second."""
    model = bench.peers.random_model
    lasting = [ask(bench, number, tokens=4000) for number in range(15)]
    words = " ".join(f"word{number}" for number in range(1300))
    arriving = [
        {**ask(bench, number, tokens=1), "messages": [{"role": "user", "content": f"{bench.round} {number} {words}"}]}
        for number in range(8)
    ]
    speeds = []
    for setup in (bench.us(model), bench.llama_server(model)):
        with bench.stage.only(setup) as process:
            moments = asyncio.run(run_beside(process.url, lasting, arriving))
        bench.stage.dismiss(setup)  # some of what was left may still be under way
        speeds.append(len(moments))
    return speeds[0] / max(speeds[1], 1)


def _random(bench: Bench) -> Path:
    return bench.peers.random_model


def _trained(_: Bench) -> Path:
    return TRAINED


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    name: str
    what: str
    target: Target
    measure: Callable[[Bench], float]


ROWS = (
    Row("free-1", "free text, 1 stream, tok/s: us / llama-bench", Target(0.97), free_1),
    Row("free-8", "free text, 8 streams, tok/s: us / llama-server", Target(1.0), free_8),
    Row("free-8-bindings", "free text, 8 streams, tok/s: us / llama_cpp.server", Target(4.0), free_8_bindings),
    Row(
        "constrained-8", "schema-constrained answers a second, 8 streams: us / llama-server", Target(4.0), constrained_8
    ),
    Row(
        "latency-1",
        "trained model, constrained answer, 1 stream, p50: us / llama-server",
        Target(0.5, False),
        latency(1),
    ),
    Row("latency-8", "the same, 8 streams", Target(0.5, False), latency(8)),
    Row(
        "own-random-1",
        "our constrained / our free tok/s, random 0.5B, 1 stream",
        Target(1.1),
        constrained_over_free(_random, 1),
    ),
    Row("own-trained-1", "the same, trained model", Target(1.3), constrained_over_free(_trained, 1)),
    Row("own-random-8", "the same, random 0.5B, 8 streams", Target(1.0), constrained_over_free(_random, 8)),
    Row("own-trained-8", "the same, trained model, 8 streams", Target(1.0), constrained_over_free(_trained, 8)),
    Row(
        "first-token",
        "time to first token, 2k tokens of tools warm: us / llama-server",
        Target(1.0, False),
        time_to_first_token,
    ),
    Row(
        "conversations",
        "trained model, 12 conversations by turns, time of all: us / llama-server",
        Target(1.0, False),
        conversations,
    ),
    Row("idle-kv", "the same, ours: idle KV outside of the cache / in it", Target(1.0, False), idle_kv),
    Row(
        "engine-share",
        "engine's own time outside llama_decode, 8 streams constrained",
        Target(0.04, False),
        engine_share,
    ),
    Row(
        "prompt-lookup",
        "copying, 1 stream, in process, tok/s: with / without prompt lookup",
        Target(1.3),
        prompt_lookup,
    ),
    Row("adapters", "4 adapters x 2 streams / 1 adapter x 8 streams, tok/s", Target(0.6), adapters),
    Row("memory", "peak memory resident: us / llama-server", Target(1.15, False), peak_memory),
    Row(
        "long-prompts",
        "15 streams beside a 4k prompt a second, pieces/s: us / llama-server",
        Target(1.0),
        beside_long_prompts,
    ),
)


def measure(bench: Bench, row: Row, rounds: int) -> Iterator[float]:
    """A ratio a round; both sides run in each, in turns the one or the other first. Raises: NotAvailableError."""
    for _ in range(rounds):
        bench.round += 1
        yield row.measure(bench)


__all__ = ["ROWS", "Bench", "NotAvailableError", "Row", "measure"]
