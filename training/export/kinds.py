"""Tells what a folder holds, and exports it as that."""

from collections.abc import Callable
from pathlib import Path

from training.export.card import ModelCard, Precision


def export_any(
    folder: Path, output: Path, card: ModelCard, precision: Precision, base: Path | None, say: Callable[[str], None]
) -> None:
    """A PEFT adapter, an embedding model, or a pre-training run. Raises: ExportError, OSError, ModuleNotFoundError."""
    from transformers.utils import logging

    from training.export.embedder import export_embedder, is_embedder

    logging.disable_progress_bar()
    logging.set_verbosity_error()
    if (folder / "adapter_config.json").is_file():
        from training.export.adapter import export_adapter

        export_adapter(folder, output, base, card.name, say)
    elif is_embedder(folder):
        export_embedder(folder, output, card, precision, say)
    else:
        from training.export.run import export

        export(folder, output, card, precision, say)
