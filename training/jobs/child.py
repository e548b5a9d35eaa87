"""The process that trains: `python -m training.jobs.child RECIPE HOME SECONDS`. It prints messages for its worker.

A process of its own, because what training may die of (memory, a signal) must not take the worker along. Its standard
input is a pipe from there, and the end of that is its own, so it never outlives the worker. Nor the worker's lease:
when nothing has come for SECONDS, the worker hangs, its lease is about to run out, and the job to be another's. `stop`
means: leave after the step under way, with a checkpoint.
"""

import json
import os
import select
import signal
import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from server.store.home import Home
from training.data.validation import InvalidDataError
from training.export.card import ExportError
from training.jobs.messages import Broken, Ended, Evaluated, Message, Prepared, Published, Stepped, Told, write_message
from training.train import events
from training.train.recipe import TrainingRecipe

if TYPE_CHECKING:
    from training.train.audit import MaskAudit

_MOST_TOKENS = 4096
_MOST_LINES = 10
_ORPHANED = 70
"""The exit code of one whose worker is gone or hangs."""


def main() -> None:
    """Exit status 0: a message `Ended` or `Broken` was the last."""
    recipe_path, home, patience = Path(sys.argv[1]), Home(Path(sys.argv[2])), float(sys.argv[3])
    messages = _own_output()
    stop = threading.Event()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C reaches the worker too, which then tells us to stop
    signal.signal(signal.SIGTERM, lambda *_: stop.set())  # as it may come to all processes of a service at once
    threading.Thread(target=_listen, args=(stop, patience), daemon=True).start()
    recipe = TrainingRecipe.model_validate_json(recipe_path.read_text(encoding="utf-8"))
    _say(messages, _train(recipe, home, messages, stop))


def _own_output() -> TextIO:
    """The pipe to the worker; libraries that print get standard error instead."""
    messages = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    return messages


def _listen(stop: threading.Event, patience: float) -> None:
    while True:
        is_heard, _, _ = select.select([sys.stdin], [], [], patience)
        said = os.read(sys.stdin.fileno(), 4096) if is_heard else b""
        if not said:
            os._exit(_ORPHANED)
        if b"stop" in said:
            stop.set()


def _train(recipe: TrainingRecipe, home: Home, messages: TextIO, stop: threading.Event) -> Message:
    from training.base.gguf_checkpoint import checkpoint_of
    from training.train.audit import NothingToLearnError
    from training.train.model import RecipeError
    from training.train.run import NothingToMeasureError, RecipeMismatchError, base_digest, run
    from training.train.watcher import DivergedError

    cache = home.folder / "bases"

    def tell(event: events.Event) -> None:
        if isinstance(event, events.Saved):
            file = home.adapter(recipe.name, event.step)
            _publish(event.path, checkpoint_of(recipe.model, cache), file, base_digest(recipe))
            _say(messages, Published(event.step, file))
        elif isinstance(event, events.Said):
            _say(messages, Told(_placeless(event.text, home)))
        elif (message := _message(event)) is not None:
            _say(messages, message)

    try:
        recipe = recipe.model_copy(update={"longest": _longest(checkpoint_of(recipe.model, cache))})
        outcome = run(recipe, tell, stop.is_set, cache=cache)
    except NothingToMeasureError as error:
        return Broken("invalid_validation_file", _placeless(str(error), home), "validation_file")
    except (InvalidDataError, NothingToLearnError) as error:
        return Broken("invalid_training_file", _placeless(str(error), home), "training_file")
    except ExportError as error:
        return Broken("export_failed", _placeless(str(error), home))
    except (RecipeError, RecipeMismatchError, DivergedError) as error:
        return Broken("server_error", _placeless(str(error), home))
    return Ended(outcome.is_finished, outcome.step, outcome.gguf, outcome.trained_tokens, outcome.metrics)


def _placeless(text: str, home: Home) -> str:
    """For somebody who need not know where things are on this machine."""
    return text.replace(f"{home.folder}/", "")


def _message(event: events.Event) -> Message | None:
    match event:
        case events.Audited(records=records, steps=steps, audit=audit):
            tokens, learnt = audit.tokens.total(), audit.supervised.total()
            return Prepared(records, len(audit.cut), tokens, learnt, steps, _left_out(audit))
        case events.Stepped():
            return Stepped(event.step, event.steps, event.loss, event.learning_rate, event.token_accuracy)
        case events.Evaluated():
            return Evaluated(event.step, dict(event.metrics))
        case _:
            return None


def _left_out(audit: "MaskAudit") -> str:
    reasons = []
    if audit.unlearnt:
        reasons.append(f"no answer that counts is near enough to the beginning: {_lines(audit.unlearnt)}")
    if audit.unreadable:
        first = min(audit.unreadable)
        reasons.append(f"the model's template refuses them: {_lines(audit.unreadable)} ({audit.unreadable[first]})")
    return f"Examples of which nothing is learnt: {'; '.join(reasons)}" if reasons else ""


def _lines(numbers: Iterable[int]) -> str:
    first = sorted(numbers)
    more = f" and {len(first) - _MOST_LINES} more" if len(first) > _MOST_LINES else ""
    return f"line {', '.join(map(str, first[:_MOST_LINES]))}{more}"


def _longest(base: Path) -> int:
    """Tokens of an example: as many as the base can read, within reason."""
    context = json.loads((base / "config.json").read_text(encoding="utf-8")).get("max_position_embeddings")
    return min(_MOST_TOKENS, int(context or _MOST_TOKENS))


def _publish(checkpoint: Path, base: Path, file: Path, trained_on: str) -> None:
    """The checkpoint's adapter as GGUF; the proof that llama.cpp computes the same is for the end of the run."""
    from training.export.adapter import write_checkpoint_adapter

    unfinished = file.with_suffix(".part")
    write_checkpoint_adapter(checkpoint, base, unfinished, file.stem, trained_on)
    unfinished.rename(file)


def _say(messages: TextIO, message: Message) -> None:
    print(write_message(message), file=messages, flush=True)


if __name__ == "__main__":
    main()
