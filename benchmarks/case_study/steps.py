"""The steps of the study, each a command a user could type. What has been made is not made again."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.serving.processes import Process, Setup

TOOLS = Path(__file__).with_name("tools.py")
SHARES = (0, 25, 50)
"""Per cent of general chat in what is trained on."""
_TRAMMEL = (sys.executable, "-c", "from server.cli import main; main()")
_CATEGORIES = "single_call=7,clarification=1,no_tool=1,parallel=1"


@dataclass(frozen=True, slots=True)
class Study:
    """Where and how much."""

    model: Path
    folder: Path
    examples: int = 320
    epochs: float = 2
    learning_rate: float = 2e-3
    limit: int = 60
    """Conversations that the evaluation asks about."""

    @property
    def held_out(self) -> Path:
        return self.folder / "held.jsonl"

    def run_folder(self, share: int) -> Path:
        return self.folder / f"chat-{share}"

    def adapter(self, share: int) -> Path:
        return self.run_folder(share) / "adapter" / f"chat-{share}.gguf"


def make_data(study: Study) -> None:
    """Examples for the tools, a part held back, and chat beside the rest."""
    study.folder.mkdir(parents=True, exist_ok=True)
    tools = study.folder / "tools.jsonl"
    trammel(
        "data", "generate", "--tools", str(TOOLS), "--num-examples", str(study.examples), "--seed", "1",
        "--distractors", "0", "--renamed", "0", "--categories", _CATEGORIES, "--output", str(tools),
    )  # fmt: skip
    trammel(
        "data", "mix", str(tools), "--chat", "public", "--chat-share", "0.5", "--held-out", "0.2",
        "--held-out-output", str(study.held_out), "--output", str(_train_file(study, 50)),
    )  # fmt: skip
    for share in SHARES[:-1]:
        trammel(
            "data", "mix", str(tools), "--chat", "public", "--chat-share", str(share / 100),
            "--exclude", str(study.held_out), "--output", str(_train_file(study, share)),
        )  # fmt: skip


def train(study: Study, share: int) -> None:
    """The adapter of the last step, whatever it forgot: that is what the study is about."""
    trammel(
        "train", "--data-path", str(_train_file(study, share)), "--validation-path", str(study.held_out),
        "--output-dir", str(study.run_folder(share)), "--model-name", str(study.model),
        "--num-train-epochs", str(study.epochs), "--gradient-accumulation-steps", "1",
        "--learning-rate", str(study.learning_rate), "--max-length", "768", "--evaluate-every", "1000",
        "--forgetting-budget", "9", "--threads", "1", "--checkpoint-every", "25",
    )  # fmt: skip


def evaluate(study: Study) -> Path:
    """Base and adapters, served by one server under the grammar. Gives the folder of the evaluation."""
    lines = [line for line in study.held_out.read_text().splitlines() if '"tools"' in line]
    asked = study.folder / "asked.jsonl"
    asked.write_text("".join(f"{line}\n" for line in lines[: study.limit]))
    adapters = [flag for share in SHARES for flag in ("--adapter", f"chat-{share}={study.adapter(share)}")]
    command = (*_TRAMMEL, "serve", "--model", str(study.model), "--model-name", "base", *adapters)
    output = study.folder / "evaluation"
    process = Process(Setup("trammel", (*command, "--port", "{port}", "--threads", "1"), "/healthz"))
    try:
        names = ("base", *(f"chat-{share}" for share in SHARES))
        endpoints = [flag for name in names for flag in ("--endpoint", f"{name}={process.url}#{name}")]
        _run(sys.executable, "-m", "evals", "eval", "run", str(asked), *endpoints, "--output", str(output))
    finally:
        process.end()
    return output


def trammel(*arguments: str) -> None:
    _run(*_TRAMMEL, *arguments)


def _train_file(study: Study, share: int) -> Path:
    return study.folder / f"train{share}.jsonl"


def _run(*command: str) -> None:
    subprocess.run(command, check=True)
