"""What is worked out before loading against what llama.cpp says it took."""

import logging
import re
from pathlib import Path

import gguf
import pytest

from server.engine.engine import Engine, EngineSettings
from server.engine.errors import ModelLoadError
from server.engine.gguf_header import read_header
from server.engine.memory import KV_TYPES, plan_memory
from server.engine.model import Model, ModelSettings
from server.engine.types import GenerationRequest, KvType, Sampling

from .conftest import MODEL, read


@pytest.mark.parametrize("kv_type", KV_TYPES)
async def test_the_kv_memory_is_what_llama_cpp_takes(
    model: Model, kv_type: KvType, caplog: pytest.LogCaptureFixture
) -> None:
    settings = EngineSettings(threads=1, kv_type=kv_type, context_length=500, sequences=3)
    _, cells = settings.sizes(model.train_context)
    plan = plan_memory(model.header, cells, kv_type)
    with caplog.at_level(logging.DEBUG, "trammel.llama"):
        engine = Engine(model, settings)
    said = re.search(r"size = +([\d.]+) MiB \( *(\d+) cells", caplog.text)
    assert said
    assert int(said[2]) == plan.cells == 1536
    assert float(said[1]) == pytest.approx(plan.kv / 2**20, abs=0.006)
    engine.start()
    try:
        request = GenerationRequest(engine.tokenize("hello"), Sampling(temperature=0), max_tokens=4)
        _, end = await read(await engine.submit(request))
        assert end.usage.completion_tokens > 0
    finally:
        await engine.close()


def test_a_model_with_other_heads_in_other_layers_is_added_up(tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / "x.gguf", "lfm2")
    writer.add_block_count(3)
    writer.add_embedding_length(64)
    writer.add_head_count(4)
    writer.add_head_count_kv([0, 2, 0])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    plan = plan_memory(read_header(tmp_path / "x.gguf"), 100)
    assert (plan.cells, plan.bytes_per_cell) == (256, 2 * 2 * 16 * 2)


@pytest.mark.parametrize(
    ("wanted", "trained", "expected"),
    [
        (EngineSettings(), 2048, (2048, 32_768)),
        (EngineSettings(), 131_072, (8192, 65_536)),
        (EngineSettings(), 0, (8192, 65_536)),
        (EngineSettings(context_length="model"), 131_072, (131_072, 131_072)),
        (EngineSettings(context_length=1000, sequences=2), 2048, (1000, 2000)),
        (EngineSettings(context_length=1000, kv_cells=500), 2048, (1000, 1000)),
    ],
)
def test_sizes_come_from_the_setting_or_the_model(
    wanted: EngineSettings, trained: int, expected: tuple[int, int]
) -> None:
    assert wanted.sizes(trained) == expected


@pytest.mark.parametrize("settings", [ModelSettings(mmap=False), ModelSettings(split_mode="none", gpu_layers=-1)])
def test_a_model_is_loaded_as_the_settings_say(settings: ModelSettings) -> None:
    loaded = Model(MODEL, settings)
    assert loaded.train_context == 4096
    loaded.close()


def test_a_vocabulary_without_weights_is_refused(tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / "vocabulary.gguf", "llama")
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(["a", "b"])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    with pytest.raises(ModelLoadError, match="vocabulary only"):
        Model(tmp_path / "vocabulary.gguf")
