"""Packing: nothing is lost, and a conversation in a packed row is learnt as if it were alone."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM

from training.base.gguf_checkpoint import checkpoint_of
from training.train.dataset import PaddedBatches
from training.train.packing import columns, pack
from training.train.recipe import TrainingRecipe
from training.train.rows import Row
from training.train.run import run as train


def row_of(length: int, line: int = 1) -> Row:
    return Row(
        tuple((7 * number + line) % 300 + 10 for number in range(length)), ((length // 2, length),), "chat", line
    )


@given(st.lists(st.integers(2, 50), min_size=1, max_size=40))
def test_every_row_is_in_one_bin_whole(lengths: list[int]) -> None:
    rows = [row_of(length, line) for line, length in enumerate(lengths)]
    bins = pack(rows, 50)
    assert sorted(row.line for packed in bins for row in packed) == list(range(len(rows)))
    assert all(sum(len(row.ids) for row in packed) <= 50 for packed in bins)
    assert len(bins) <= max(1, 2 * sum(lengths) // 50 + 1)  # any two bins are together fuller than one


def test_a_packed_row_has_the_loss_of_its_conversations(base: Path, cache: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(checkpoint_of(base, cache)).eval()
    rows = [row_of(9, 1), row_of(5, 2), row_of(13, 3)]
    collate = PaddedBatches(pad=0)

    def loss(batch: dict[str, torch.Tensor]) -> float:
        labels = batch.pop("labels")[:, 1:]
        with torch.no_grad():
            logits = model(**batch, use_cache=False).logits[:, :-1]
        return float(torch.nn.functional.cross_entropy(logits.transpose(1, 2), labels, reduction="sum"))

    alone = sum(loss(collate([{"input_ids": row.ids, "labels": row.labels()}])) for row in rows)
    packed = collate([columns(rows[:2]), columns(rows[2:])])
    assert packed["position_ids"].tolist()[0] == [*range(9), *range(5)]
    assert loss(collate([columns(rows)])) == pytest.approx(alone, rel=1e-5)
    assert loss(collate([columns(rows[:1]), columns(rows[1:])])) == pytest.approx(alone, rel=1e-5)
    mixed = columns(rows)
    mixed["position_ids"] = list(range(len(mixed["input_ids"])))  # one long conversation is something else
    assert abs(loss(collate([mixed])) - alone) > 1e-3


@pytest.mark.filterwarnings("ignore:.*gradient_checkpointing:FutureWarning")
@pytest.mark.filterwarnings("ignore:.*save_embedding_layers:UserWarning")
def test_a_packed_run_takes_fewer_steps(base: Path, lines: Path, cache: Path, tmp_path: Path) -> None:
    recipe = TrainingRecipe(
        model=base, train_path=lines, output=tmp_path / "run", packs=True, epochs=1, batch_size=2, accumulation=1,
        longest=512, threads=1,
    )  # fmt: skip
    outcome = train(recipe, cache=cache)
    assert outcome.is_finished
    assert outcome.step < 6
