"""The export as users run it: write the exact file, prove it, then write the quantized one."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from server.chat.messages import Message, Tool
from training.export.card import ModelCard, Precision
from training.export.gate import F32_TOLERANCE, check_same_logits
from training.export.gguf_file import write_gguf
from training.pretrain.dataset import TEMPLATE_PATH, read_template
from training.tokenizer import load_tokenizer


def export(
    run: Path, output: Path, card: ModelCard, precision: Precision = "q8_0", say: Callable[[str], None] = print
) -> None:
    """Export the model of a pre-training run.

    `run`: the folder `pretrain` wrote. Raises: ExportError, FileNotFoundError.
    """
    checkpoint, tokenizer = run / "model", run / "tokenizer.json"
    template = TEMPLATE_PATH.read_text(encoding="utf-8")
    prompts = probe_prompts(tokenizer)
    with TemporaryDirectory() as folder:
        exact = Path(folder) / "exact.gguf"
        write_gguf(checkpoint, tokenizer, template, exact, card, "f32")
        worst = check_same_logits(checkpoint, exact, prompts, F32_TOLERANCE)
        say(f"F32: largest difference of a logit {worst:.5f} over {sum(map(len, prompts))} tokens")
    write_gguf(checkpoint, tokenizer, template, output, card, precision)
    if precision != "f32":
        worst = check_same_logits(checkpoint, output, prompts, float("inf"))
        say(f"{precision}: largest difference of a logit {worst:.3f}")
    say(f"wrote {output}, {output.stat().st_size / 1e6:.1f} MB")


def probe_prompts(tokenizer: Path) -> list[list[int]]:
    """A few prompts of 64 tokens and more, as the server would build them."""
    template, encoder = read_template(), load_tokenizer(tokenizer)
    parameters = {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}}
    tools = [Tool("get_weather", parameters, "The weather of the coming days in a city")]
    questions = ("What will the weather be in Reykjavík on Friday?", "Hi! Ünïcödé 你好 🙂 12345\n\n  ok?")
    prompts = [template.render([Message("user", question * 4)], tools) for question in questions]
    prompts.append(template.render([Message("user", "Tell me a story about a fox. " * 20)]))
    return [encoder.encode(prompt).ids for prompt in prompts]
