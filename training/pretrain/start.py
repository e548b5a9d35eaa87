"""What a run may begin with: an earlier run, or any GGUF file of a llama architecture."""

import json
from pathlib import Path

from training.base.gguf_checkpoint import checkpoint_of
from training.export.card import ExportError


def model_and_tokenizer(start: Path) -> tuple[Path, Path]:
    """The folder of a model in Hugging Face's form, and its tokenizer.json.

    Raises: FileNotFoundError; ExportError, for a GGUF that torch can't train.
    """
    if start.is_file():
        folder = checkpoint_of(start)
        kind = json.loads((folder / "config.json").read_text())["model_type"]
        if kind != "llama":
            raise ExportError(f"{start} is a {kind}; pre-training knows llama models only")
        return folder, folder / "tokenizer.json"
    if not (start / "model").is_dir():
        raise FileNotFoundError(
            f"{start} has no model/: it is no GGUF file, and no run is there, or one that has not ended yet"
        )
    return start / "model", start / "tokenizer.json"
