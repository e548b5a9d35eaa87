"""Tokens a second on copy-heavy output, with prompt lookup and without it, in one process, alternating.

    python -m benchmarks.serving.prompt_lookup --model models/trammel-tiny.gguf --json out.json

The answer is a copy of the prompt's records. A model with random weights can't be asked for that, so it is led: every
character may also be a `#` by the grammar (so nothing is forced), and a bias leads it away from that and towards the
prompt's own tokens. What is measured is the engine's work, which does not depend on what the weights know.
"""

import argparse
import asyncio
import json
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from server.engine.engine import Engine, EngineSettings
from server.engine.model import Model
from server.engine.types import Constraint, Finished, GenerationRequest, Sampling, TextDelta

_RECORDS = "\n".join(
    f"{first} {last} works as {role} in {city} since {month}"
    for first, last, role, city, month in (
        ("Alice", "Johnson", "manager", "London", "January"),
        ("Robert", "Smith", "engineer", "Berlin", "March"),
        ("Maria", "Garcia", "teacher", "Madrid", "October"),
        ("Peter", "Brown", "lawyer", "Paris", "June"),
        ("Laura", "Wilson", "doctor", "Vienna", "April"),
    )
)


@dataclass(frozen=True, slots=True)
class Run:
    """One answer."""

    seconds: float
    tokens: int
    steps: int
    text: str

    @property
    def speed(self) -> float:
        return self.tokens / self.seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path, help="Where to write the figures.")
    arguments = parser.parse_args()
    result = asyncio.run(measure(arguments.model, arguments.threads, arguments.repeats))
    text = json.dumps(result, indent=2)
    if arguments.json:
        arguments.json.write_text(text + "\n")
    sys.stdout.write(text + "\n")


async def measure(model_path: Path, threads: int | None, repeats: int) -> dict[str, object]:
    """Median tokens a second both ways, and the median of their ratios with the least and the greatest."""
    model = Model(model_path)
    engine = Engine(model, EngineSettings(context_length=1024, sequences=2, threads=threads))
    engine.start()
    runs: dict[bool, list[Run]] = {False: [], True: []}
    for number in range(repeats + 1):
        for speculates in (False, True):
            run = await _answer(engine, copying_request(engine, speculates=speculates))
            if number:  # the first pair warms up: prompt, mask tables, measured widths
                runs[speculates].append(run)
    await engine.close()
    model.close()
    ratios = sorted(with_.speed / without.speed for without, with_ in zip(runs[False], runs[True], strict=True))
    return {
        "scenario": "prompt_lookup",
        "model": model_path.name,
        "tokens": runs[True][0].tokens,
        "tokens_per_second_off": statistics.median(run.speed for run in runs[False]),
        "tokens_per_second_lookup": statistics.median(run.speed for run in runs[True]),
        "steps_off": statistics.median(run.steps for run in runs[False]),
        "steps_lookup": statistics.median(run.steps for run in runs[True]),
        "ratio": statistics.median(ratios),
        "ratio_range": [ratios[0], ratios[-1]],
        "same_text": len({run.text for both in runs.values() for run in both}) == 1,
    }


def copying_request(engine: Engine, *, speculates: bool) -> GenerationRequest:
    """A request whose answer is a copy of the records in its prompt."""
    prompt = engine.tokenize(f"Copy these records.\n{_RECORDS}\n---\n")
    bias = dict.fromkeys(prompt, 50.0)
    bias |= {token: -100.0 for token, piece in enumerate(engine.model.vocabulary.pieces) if b"#" in piece}
    copied = " ".join(f'({json.dumps(character)} | "#")' for character in _RECORDS)
    sampling = Sampling(temperature=0, logit_bias=bias)
    return GenerationRequest(prompt, sampling, Constraint(f"root ::= {copied}"), speculates=speculates)


async def _answer(engine: Engine, request: GenerationRequest) -> Run:
    before = engine.stats
    started = time.perf_counter()
    text, tokens = "", 0
    async for event in await engine.submit(request):
        match event:
            case TextDelta(part):
                text += part
            case Finished():
                tokens = event.usage.completion_tokens
    elapsed = time.perf_counter() - started
    return Run(elapsed, tokens, engine.stats.steps - before.steps, text)


if __name__ == "__main__":
    main()
