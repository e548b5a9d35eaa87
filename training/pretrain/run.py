"""A whole pre-training run: corpus to tokenizer to token arrays to model. What is done is not done again."""

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from itertools import islice
from pathlib import Path

from tokenizers import Tokenizer

from training.corpus.mix import MixSettings, held_out_mix, training_mix
from training.pretrain.dataset import TokenSet, read_template, render, tokenize
from training.pretrain.settings import CHECKPOINT, PretrainSettings
from training.pretrain.start import model_and_tokenizer
from training.tokenizer import END, PAD, load_tokenizer, token_id, train_tokenizer

_TOKENIZER_SAMPLE = 4000
"""Conversations the tokenizer is learnt from."""
_DIALOGUES_HELD_OUT = 64
_TOKENIZER, _TRAIN, _HELD_OUT = "tokenizer.json", "train.npz", "held_out.npz"


def pretrain(settings: PretrainSettings, data: Path | None = None, say: Callable[[str], None] = print) -> Path:
    """Train in `settings.output`, resuming what is there.

    Returns the folder of the Hugging Face checkpoint. Raises: DataMissingError, CheckpointMismatchError, ExportError,
    OSError.
    """
    if settings.start_from is not None:
        try:
            model_and_tokenizer(settings.start_from)
        except FileNotFoundError as error:
            raise FileNotFoundError(f"start_from: {error}") from error
    from training.pretrain.trainer import Trainer  # torch takes seconds to import: first say what is wrong

    settings.output.mkdir(parents=True, exist_ok=True)
    _forget_other_corpus(settings)
    tokenizer = _tokenizer(settings, data, say)
    train, held_out = _token_sets(settings, tokenizer, data, say)
    trainer = Trainer(settings, end=token_id(tokenizer, END), pad=token_id(tokenizer, PAD))
    size = sum(p.numel() for p in trainer.model.parameters())
    say(f"{size:,} parameters, {len(train):,} conversations, {len(train.ids):,} tokens; at step {trainer.step}")
    trainer.run(train, held_out)
    return settings.output / "model"


def _forget_other_corpus(settings: PretrainSettings) -> None:
    """What was made with other settings is made again, as long as nothing has learnt from it."""
    path = settings.output / "corpus.json"
    wanted = {
        **asdict(_mix(settings, settings.seed)),
        "longest": settings.longest,
        "vocabulary": settings.model.vocabulary,
        "tokenizer_of": None if settings.own_tokenizer else str(settings.start_from),
    }
    is_same = path.exists() and json.loads(path.read_text()) == wanted
    if not is_same and not (settings.output / CHECKPOINT).exists():
        for name in (_TOKENIZER, _TRAIN, _HELD_OUT):
            (settings.output / name).unlink(missing_ok=True)
        path.write_text(json.dumps(wanted, indent=1))


def _tokenizer(settings: PretrainSettings, data: Path | None, say: Callable[[str], None]) -> Tokenizer:
    path = settings.output / _TOKENIZER
    if path.exists():
        return load_tokenizer(path)
    if settings.start_from is not None and not settings.own_tokenizer:
        shutil.copy(model_and_tokenizer(settings.start_from)[1], path)
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
        calculations=settings.calculations,
        off_topic=settings.off_topic,
        cut_share=settings.cut_share,
        other_things=settings.other_things,
        epochs=settings.epochs,
    )


def _token_sets(
    settings: PretrainSettings, tokenizer: Tokenizer, data: Path | None, say: Callable[[str], None]
) -> tuple[TokenSet, TokenSet]:
    train_path, held_out_path = (settings.output / name for name in (_TRAIN, _HELD_OUT))
    if not train_path.exists():
        say("rendering and tokenizing the corpus")
        mix = training_mix(data, _mix(settings, settings.seed))
        tokenize(held_out_mix(data, _DIALOGUES_HELD_OUT), tokenizer, settings.longest).save(held_out_path)
        tokenize(mix, tokenizer, settings.longest).save(train_path)
    return TokenSet.load(train_path), TokenSet.load(held_out_path)
