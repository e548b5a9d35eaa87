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
import torch
from pydantic import ValidationError
from transformers import LlamaForCausalLM
from typer.testing import CliRunner

from server.chat.messages import Message
from training.cli import app
from training.conversation import Conversation
from training.export.card import ExportError
from training.pretrain.dataset import Marks, Part, TokenSet, batches, make_batch, parts_of, tokenize
from training.pretrain.run import pretrain
from training.pretrain.settings import LossWeights, with_changes
from training.pretrain.trainer import CheckpointMismatchError, learning_rate_factor, read_log
from training.pretrain.transplant import continue_model
from training.tokenizer import load_tokenizer, token_id

from .conftest import tiny_settings

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "models" / "trammel-tiny.gguf"


def test_the_loss_is_about_what_the_assistant_says_and_its_end(run: Path) -> None:
    tokenizer = load_tokenizer(run / "tokenizer.json")
    conversation = Conversation((Message("user", "Hi"), Message("assistant", "Yes.")))
    tokens = tokenize([conversation], tokenizer, 100)
    assert tokenizer.decode(tokens.ids[tokens.is_answer].tolist(), skip_special_tokens=False) == "Yes.<|end|>"


def test_an_answer_without_its_end_is_not_learnt() -> None:
    ids = np.array([5, 7, 8, 1, 6, 5, 9], dtype=np.int32)
    answers = parts_of(ids, Marks(end=1, system=3, assistant=5, call=4)) >= Part.TALK
    assert answers.tolist() == [False, True, True, True, False, False, False]


def test_the_choice_to_call_the_call_and_talk_are_told_apart() -> None:
    ids = np.array([3, 7, 1, 6, 8, 1, 5, 4, 9, 1, 5, 7, 4, 9, 1], dtype=np.int32)
    parts = parts_of(ids, Marks(end=1, system=3, assistant=5, call=4))
    system, words, talk, choice, call = Part
    called_first = [words, choice, call, call]
    talked_first = [words, choice, call, call, call]
    assert parts.tolist() == [words, system, system, words, words, words, *called_first, *talked_first]
    assert talk not in parts


def test_parts_weigh_what_the_settings_say(run: Path) -> None:
    tokens = TokenSet.load(run / "train.npz")
    batch = make_batch(tokens, [0, 1], LossWeights(words=1, talk=0.25, choice=4, call=3), pad=0)
    parts = tokens.parts[: tokens.offsets[1]]
    table = {Part.SYSTEM: 0, Part.WORDS: 1, Part.TALK: 0.25, Part.CHOICE: 4, Part.CALL: 3}
    assert batch.weights[0, : len(parts)].tolist() == [table[Part(part)] for part in parts]
    some = make_batch(tokens, [0, 1], LossWeights(words=0.5), pad=0)
    again = make_batch(tokens, [0, 1], LossWeights(words=0.5), pad=0)
    assert np.array_equal(some.weights, again.weights)
    assert 0 < (some.weights == 1).sum() < (batch.weights == 1).sum()


def test_long_conversations_are_cut_after_a_message(run: Path) -> None:
    tokenizer = load_tokenizer(run / "tokenizer.json")
    turns = tuple(Message(role, "word " * 5) for _ in range(20) for role in ("user", "assistant"))
    tokens = tokenize([Conversation(turns)], tokenizer, 100)
    assert 50 < len(tokens.ids) <= 100
    assert tokens.ids[-1] == token_id(tokenizer, "<|end|>")


def test_batches_repeat_for_a_seed_and_hold_every_conversation_once(run: Path) -> None:
    tokens = TokenSet.load(run / "train.npz")
    source = batches(tokens, 512, LossWeights(), pad=0, seed=1)
    seen = 0
    epoch = []
    while seen < len(tokens):
        epoch.append(next(source))
        seen += len(epoch[-1].ids)
    assert seen == len(tokens)
    again = batches(tokens, 512, LossWeights(), pad=0, seed=1)
    assert all(np.array_equal(batch.ids, next(again).ids) for batch in epoch)


def test_training_lowers_the_loss(run: Path) -> None:
    log = read_log(run)
    assert [record["step"] for record in log] == list(range(1, 7))
    assert log[-1]["loss"] < log[0]["loss"]
    assert "held_out_loss" in log[-1]


def test_a_killed_run_goes_on_with_the_same_losses(run: Path, corpus: Path, tmp_path: Path) -> None:
    output = tmp_path / "run"
    output.mkdir()
    for name in ("corpus.json", "tokenizer.json", "train.npz", "held_out.npz"):
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


def test_before_anything_is_learnt_other_settings_make_another_corpus(run: Path, corpus: Path, tmp_path: Path) -> None:
    output = tmp_path / "run"
    output.mkdir()
    for name in ("corpus.json", "tokenizer.json", "train.npz", "held_out.npz"):
        shutil.copy(run / name, output)
    before = TokenSet.load(output / "train.npz")
    said: list[str] = []
    pretrain(tiny_settings(output, synthetic=9, steps=1), corpus, say=said.append)
    assert "rendering and tokenizing the corpus" in said
    assert len(TokenSet.load(output / "train.npz")) != len(before)


def test_a_run_with_other_settings_is_not_resumed(run: Path, corpus: Path) -> None:
    with pytest.raises(CheckpointMismatchError, match="learning_rate"):
        pretrain(tiny_settings(run, learning_rate=1e-4), corpus, say=lambda _: None)


def test_a_setting_that_is_younger_than_the_checkpoint_had_its_default(run: Path, corpus: Path, tmp_path: Path) -> None:
    output = tmp_path / "run"
    shutil.copytree(run, output)
    state = torch.load(output / "checkpoint.pt", weights_only=True)
    del state["settings"]["other_things"]
    torch.save(state, output / "checkpoint.pt")
    pretrain(tiny_settings(output), corpus, say=lambda _: None)
    with pytest.raises(CheckpointMismatchError, match="other_things"):
        pretrain(tiny_settings(output, other_things=0.5), corpus, say=lambda _: None)


def test_a_run_goes_on_from_another_under_a_tokenizer_of_its_own(run: Path, corpus: Path, tmp_path: Path) -> None:
    settings = tiny_settings(tmp_path / "next", start_from=run, own_tokenizer=True, seed=5, synthetic=60, steps=2)
    pretrain(settings, corpus, say=lambda _: None)
    old, new = (load_tokenizer(folder / "tokenizer.json") for folder in (run, settings.output))
    assert old.to_str() != new.to_str()
    before = LlamaForCausalLM.from_pretrained(run / "model")
    started = continue_model(run, new)
    shared = sorted(set(old.get_vocab()) & set(new.get_vocab()))
    rows = [model.get_input_embeddings().weight for model in (before, started)]
    for token in shared:
        assert torch.equal(rows[0][old.token_to_id(token)], rows[1][new.token_to_id(token)])
    assert len(rows[1]) == new.get_vocab_size()


def test_a_run_goes_on_from_a_gguf_file(corpus: Path, tmp_path: Path) -> None:
    settings = tiny_settings(tmp_path / "next", start_from=MODEL, synthetic=60, steps=1)
    pretrain(settings, corpus, say=lambda _: None)
    before = continue_model(MODEL, load_tokenizer(settings.output / "tokenizer.json"))
    after = LlamaForCausalLM.from_pretrained(settings.output / "model")
    pairs = zip(before.parameters(), after.parameters(), strict=True)
    assert 0 < max((one - other).abs().max().item() for one, other in pairs) < 0.1


def test_models_are_averaged(run: Path, corpus: Path, tmp_path: Path) -> None:
    pretrain(
        tiny_settings(tmp_path / "next", start_from=run, seed=5, synthetic=60, steps=1), corpus, say=lambda _: None
    )
    made = CliRunner().invoke(app, ["average", f"{run}=1", f"{tmp_path}/next=3", "--output", f"{tmp_path}/mean"])
    assert made.exit_code == 0, made.output
    one, two, mean = (
        LlamaForCausalLM.from_pretrained(folder / "model") for folder in (run, tmp_path / "next", tmp_path / "mean")
    )
    assert not torch.equal(one.lm_head.weight, two.lm_head.weight)
    for name, weight in mean.state_dict().items():
        torch.testing.assert_close(weight, 0.25 * one.state_dict()[name] + 0.75 * two.state_dict()[name])
    assert (tmp_path / "mean" / "tokenizer.json").read_text() == (run / "tokenizer.json").read_text()


@pytest.mark.parametrize(
    ("models", "reason"),
    [(["{run}"], "two models"), (["{run}", "{run}=x"], "no share"), (["{run}", "{gguf}"], "another tokenizer")],
)
def test_what_has_no_mean_is_refused(models: list[str], reason: str, run: Path, tmp_path: Path) -> None:
    given = [text.format(run=run, gguf=MODEL) for text in models]
    refused = CliRunner().invoke(app, ["average", *given, "--output", str(tmp_path / "mean")])
    assert refused.exit_code == 2
    assert reason in refused.output
    assert not (tmp_path / "mean").exists()


def test_what_is_no_gguf_file_is_not_gone_on_from(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "no.gguf").write_text("no")
    with pytest.raises(ExportError, match=r"no\.gguf is not a whole GGUF file"):
        pretrain(tiny_settings(tmp_path / "next", start_from=tmp_path / "no.gguf"), corpus, say=lambda _: None)
    adapter = MODEL.parent / "adapters" / "library.gguf"
    with pytest.raises(ExportError, match=r"no model \(adapter\)"):
        pretrain(tiny_settings(tmp_path / "next", start_from=adapter), corpus, say=lambda _: None)


def test_what_is_no_finished_run_is_not_gone_on_from(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"start_from: .+ has no model"):
        pretrain(tiny_settings(tmp_path / "next", start_from=tmp_path), corpus, say=lambda _: None)
    assert not (tmp_path / "next").exists()


def test_the_learning_rate_rises_stays_and_falls_to_nothing(tmp_path: Path) -> None:
    settings = tiny_settings(tmp_path, steps=100, warmup_steps=10, cooldown=0.2)
    factors = [learning_rate_factor(step, settings) for step in range(101)]
    assert factors[:11] == pytest.approx([*(i / 10 for i in range(1, 11)), 1.0])
    assert set(factors[10:81]) == {1.0}
    assert factors[90] == pytest.approx(0.5)
    assert factors[100] == 0.0


def test_any_setting_can_be_changed_by_name(tmp_path: Path) -> None:
    settings = with_changes(tiny_settings(tmp_path), ["cut_share=0.5", "loss.call=3", "own_tokenizer=true"])
    assert (settings.cut_share, settings.loss.call, settings.own_tokenizer) == (0.5, 3.0, True)
    assert settings.model == tiny_settings(tmp_path).model
    with pytest.raises(ValidationError, match="cut_shares"):
        with_changes(settings, ["cut_shares=0.5"])
    with pytest.raises(ValidationError, match=r"loss\.call"):
        with_changes(settings, ["loss.call=much"])
