"""Training: what is learnt from, that it learns, and that it survives being killed."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from server.chat.messages import Message
from training.conversation import Conversation
from training.pretrain.dataset import TokenSet, answer_mask, batches, tokenize
from training.pretrain.run import pretrain
from training.pretrain.trainer import CheckpointMismatchError, read_log
from training.tokenizer import load_tokenizer, token_id

from .conftest import tiny_settings

ROOT = Path(__file__).parents[2]


def test_the_loss_is_about_what_the_assistant_says_and_its_end(run: Path) -> None:
    tokenizer = load_tokenizer(run / "tokenizer.json")
    conversation = Conversation((Message("user", "Hi"), Message("assistant", "Yes.")))
    tokens = tokenize([conversation], tokenizer, 100)
    assert tokenizer.decode(tokens.ids[tokens.is_answer].tolist(), skip_special_tokens=False) == "Yes.<|end|>"


def test_an_answer_without_its_end_is_not_learnt() -> None:
    ids = np.array([5, 7, 8, 1, 6, 5, 9], dtype=np.int32)
    assert answer_mask(ids, assistant=5, end=1).tolist() == [False, True, True, True, False, False, False]


def test_long_conversations_are_cut_after_a_message(run: Path) -> None:
    tokenizer = load_tokenizer(run / "tokenizer.json")
    turns = tuple(Message(role, "word " * 5) for _ in range(20) for role in ("user", "assistant"))
    tokens = tokenize([Conversation(turns)], tokenizer, 100)
    assert 50 < len(tokens.ids) <= 100
    assert tokens.ids[-1] == token_id(tokenizer, "<|end|>")


def test_batches_repeat_for_a_seed_and_hold_every_conversation_once(run: Path) -> None:
    tokens = TokenSet.load(run / "train.npz")
    source = batches(tokens, 512, 0.2, pad=0, seed=1)
    seen = 0
    epoch = []
    while seen < len(tokens):
        epoch.append(next(source))
        seen += len(epoch[-1].ids)
    assert seen == len(tokens)
    again = batches(tokens, 512, 0.2, pad=0, seed=1)
    assert all(np.array_equal(batch.ids, next(again).ids) for batch in epoch)


def test_training_lowers_the_loss(run: Path) -> None:
    log = read_log(run)
    assert [record["step"] for record in log] == list(range(1, 7))
    assert log[-1]["loss"] < log[0]["loss"]
    assert "held_out_loss" in log[-1]


def test_a_killed_run_goes_on_with_the_same_losses(run: Path, corpus: Path, tmp_path: Path) -> None:
    output = tmp_path / "run"
    output.mkdir()
    for name in ("tokenizer.json", "train.npz", "held_out.npz"):
        shutil.copy(run / name, output / name)
    program = (
        "import sys; from pathlib import Path; from tests.training.conftest import tiny_settings;"
        "from training.pretrain.run import pretrain; pretrain(tiny_settings(Path(sys.argv[1])), Path(sys.argv[2]))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", program, str(output), str(corpus)]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(600):
        if (output / "checkpoint.pt").exists() or process.poll() is not None:
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert (output / "checkpoint.pt").exists()
    pretrain(tiny_settings(output), corpus, say=lambda _: None)
    unbroken, resumed = ([record["loss"] for record in read_log(folder)] for folder in (run, output))
    assert resumed == pytest.approx(unbroken, abs=2e-3)


def test_a_run_with_other_settings_is_not_resumed(run: Path, corpus: Path) -> None:
    with pytest.raises(CheckpointMismatchError, match="learning_rate"):
        pretrain(tiny_settings(run, learning_rate=1e-4), corpus, say=lambda _: None)
