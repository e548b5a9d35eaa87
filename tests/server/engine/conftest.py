"""An engine on the model that ships, and ways to read what it says."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from server.engine.engine import Engine, EngineSettings, Generation
from server.engine.model import Model
from server.engine.types import Finished, TextDelta

MODEL = Path(__file__).parents[3] / "models" / "trammel-tiny.gguf"


@pytest.fixture(scope="session")
def model() -> Iterator[Model]:
    model = Model(MODEL)
    yield model
    model.close()


@asynccontextmanager
async def running_engine(model: Model, **settings: Any) -> AsyncIterator[Engine]:
    engine = Engine(model, EngineSettings(threads=1, **settings))
    engine.start()
    try:
        yield engine
    finally:
        await engine.close()


async def read(generation: Generation) -> tuple[str, Finished]:
    """The whole text and the last event."""
    text = ""
    async for event in generation:
        match event:
            case TextDelta(part):
                text += part
            case Finished():
                return text, event
    raise AssertionError("the generation ended without Finished")
