"""A tiny run of the whole job, made once: corpus, tokenizer, a few steps of training."""

from pathlib import Path

import pytest

from training.pretrain.run import pretrain
from training.pretrain.settings import ModelSettings, PretrainSettings

from .sample import write_corpus

MODEL = ModelSettings(vocabulary=340, hidden=64, layers=2, heads=4, kv_heads=2, feed_forward=64, context=512)


def tiny_settings(output: Path, **changes: object) -> PretrainSettings:
    values = {"steps": 6, "batch_tokens": 512, "longest": 400, "warmup_steps": 2, "checkpoint_every": 2, "threads": 1}
    return PretrainSettings(output=output, model=MODEL, **{**values, **changes})  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory, corpus: Path) -> Path:
    """The folder of a finished run."""
    output = tmp_path_factory.mktemp("run")
    pretrain(tiny_settings(output), corpus, say=lambda _: None)
    return output
