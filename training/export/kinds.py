"""Tells what a folder holds, and exports it as that."""

from collections.abc import Callable
from pathlib import Path

from training.export.card import ExportError, ModelCard, Precision


def export_any(
    folder: Path,
    output: Path,
    card: ModelCard,
    precision: Precision,
    base: Path | None,
    say: Callable[[str], None],
    *,
    merges: bool = False,
) -> None:
    """A PEFT adapter (`merges`: as a whole model with its base), a model, an embedding model, or a pre-training run.

    Raises: ExportError, OSError, ModuleNotFoundError.
    """
    from transformers.utils import logging

    from training.export.embedder import export_embedder, is_embedder

    logging.disable_progress_bar()
    logging.set_verbosity_error()
    if (folder / "adapter_config.json").is_file():
        from training.export.adapter import export_adapter
        from training.export.model import export_merged

        if merges:
            export_merged(folder, output, card, precision, base, say)
        else:
            export_adapter(folder, output, base, card.name, say)
    elif merges or base is not None:
        raise ExportError(f"--merge and --base are for PEFT adapters, and {folder} is none")
    elif is_embedder(folder):
        export_embedder(folder, output, card, precision, say)
    elif (folder / "config.json").is_file():
        from training.export.model import export_model

        export_model(folder, output, card, precision, say)
    else:
        from training.export.run import export

        export(folder, output, card, precision, say)
