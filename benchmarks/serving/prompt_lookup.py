"""Tokens a second on copy-heavy output, with prompt lookup and without it, in one process.

The answer is a copy of the prompt's records. A model with random weights can't be asked for that, so it is led: every
character may also be a `#` by the grammar (so nothing is forced), and a bias leads it away from that and towards the
prompt's own tokens. What is measured is the engine's work, which does not depend on what the weights know.
"""

import json
import time
from pathlib import Path

from server.engine.engine import Engine, EngineSettings
from server.engine.model import Model
from server.engine.types import Constraint, Finished, GenerationRequest, Sampling

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


async def copying_gain(model_path: Path, threads: int) -> float:
    """Tokens a second with prompt lookup over those without it. The first pair only warms up."""
    model = Model(model_path)
    engine = Engine(model, EngineSettings(context_length=1024, sequences=2, threads=threads))
    engine.start()
    for _ in range(2):
        plain = await _speed(engine, copying_request(engine, speculates=False))
        drafted = await _speed(engine, copying_request(engine, speculates=True))
    await engine.close()
    model.close()
    return drafted / plain


def copying_request(engine: Engine, *, speculates: bool) -> GenerationRequest:
    """A request whose answer is a copy of the records in its prompt."""
    prompt = engine.tokenize(f"Copy these records.\n{_RECORDS}\n---\n")
    bias = dict.fromkeys(prompt, 50.0)
    bias |= {token: -100.0 for token, piece in enumerate(engine.model.vocabulary.pieces) if b"#" in piece}
    copied = " ".join(f'({json.dumps(character)} | "#")' for character in _RECORDS)
    sampling = Sampling(temperature=0, logit_bias=bias)
    return GenerationRequest(prompt, sampling, Constraint(f"root ::= {copied}"), speculates=speculates)


async def _speed(engine: Engine, request: GenerationRequest) -> float:
    started = time.perf_counter()
    tokens = 0
    async for event in await engine.submit(request):
        if isinstance(event, Finished):
            tokens = event.usage.completion_tokens
    return tokens / (time.perf_counter() - started)
