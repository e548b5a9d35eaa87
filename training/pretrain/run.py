"""A whole pre-training run: corpus to tokenizer to token arrays to model. What is done is not done again."""

import shutil
from collections.abc import Callable
from itertools import islice
from pathlib import Path

from tokenizers import Tokenizer

from training.corpus.mix import MixSettings, held_out_mix, training_mix
from training.pretrain.dataset import TokenSet, read_template, render, tokenize
from training.pretrain.settings import PretrainSettings
from training.tokenizer import END, PAD, load_tokenizer, token_id, train_tokenizer

_TOKENIZER_SAMPLE = 4000
"""Conversations the tokenizer is learnt from."""
_HELD_OUT = 64


def pretrain(settings: PretrainSettings, data: Path | None = None, say: Callable[[str], None] = print) -> Path:
    """Train in `settings.output`, resuming what is there.

    Returns the folder of the Hugging Face checkpoint. Raises: DataMissingError, CheckpointMismatchError, OSError.
    """
    from training.pretrain.trainer import Trainer  # torch takes seconds to import: first say what is wrong

    settings.output.mkdir(parents=True, exist_ok=True)
    tokenizer = _tokenizer(settings, data, say)
    train, held_out = _token_sets(settings, tokenizer, data, say)
    trainer = Trainer(settings, end=token_id(tokenizer, END), pad=token_id(tokenizer, PAD))
    size = sum(p.numel() for p in trainer.model.parameters())
    say(f"{size:,} parameters, {len(train):,} conversations, {len(train.ids):,} tokens; at step {trainer.step}")
    trainer.run(train, held_out)
    return settings.output / "model"


def _tokenizer(settings: PretrainSettings, data: Path | None, say: Callable[[str], None]) -> Tokenizer:
    path = settings.output / "tokenizer.json"
    if path.exists():
        return load_tokenizer(path)
    if settings.start_from is not None and not settings.own_tokenizer:
        shutil.copy(settings.start_from / "tokenizer.json", path)
        return load_tokenizer(path)
    say("learning the tokenizer")
    template = read_template()
    sample = islice(training_mix(data, _mix(settings, settings.seed + 1)), _TOKENIZER_SAMPLE)
    tokenizer = train_tokenizer((render(c, template) for c in sample), settings.model.vocabulary)
    tokenizer.save(str(path))
    return tokenizer


def _mix(settings: PretrainSettings, seed: int) -> MixSettings:
    return MixSettings(
        seed=seed,
        most_distractors=settings.distractors,
        talk_share=settings.talk_share,
        synthetic=settings.synthetic,
        generated=settings.generated,
        others=settings.others,
        cut_share=settings.cut_share,
        other_things=settings.other_things,
        epochs=settings.epochs,
    )


def _token_sets(
    settings: PretrainSettings, tokenizer: Tokenizer, data: Path | None, say: Callable[[str], None]
) -> tuple[TokenSet, TokenSet]:
    train_path, held_out_path = settings.output / "train.npz", settings.output / "held_out.npz"
    if not train_path.exists():
        say("rendering and tokenizing the corpus")
        mix = training_mix(data, _mix(settings, settings.seed))
        tokenize(held_out_mix(data, _HELD_OUT), tokenizer, settings.longest).save(held_out_path)
        tokenize(mix, tokenizer, settings.longest).save(train_path)
    return TokenSet.load(train_path), TokenSet.load(held_out_path)
