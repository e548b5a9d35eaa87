"""A whole model as users run its export: exact first, proven by tokens and logits, then in the precision wanted.

An adapter can be merged into its base on the way; what a GGUF adapter can't say (DoRA, biases, saved modules) a merged
model can.
"""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import gguf
import llama_cpp.llama_cpp as llama

from training.export.card import ExportError, ModelCard, Precision
from training.export.gate import compare_logits, llama_logits, quiet_model
from training.export.gguf_file import add_card
from training.export.vocabulary import vocabulary_writer
from training.export.weights import BaseModel, read_base, write_model

_TEXTS = (
    "What will the weather be in Reykjavík on Friday? I'd say it's 21.5 °C.",
    'Hi! Ünïcödé 你好 🙂 12345\n\n  ok?\t{"name": "get_weather", "arguments": {"city": "Łódź"}}',
    "def f(x):\n    return x ** 2  # DON'T\r\n\r\n" * 3,
)


def export_model(
    folder: Path, output: Path, card: ModelCard, precision: Precision = "q8_0", say: Callable[[str], None] = print
) -> float:
    """Write `output`, unless llama.cpp cuts or computes something else than transformers does.

    `folder`: config.json, safetensors, tokenizer.json. Returns the largest difference of a logit between torch and the
    exact file. Raises: ExportError, FileNotFoundError.
    """
    base = read_base(folder)
    write_vocabulary = vocabulary_writer(folder, base.config["vocab_size"])

    def describe(kind: Precision) -> Callable[[gguf.GGUFWriter], None]:
        def write(writer: gguf.GGUFWriter) -> None:
            add_card(writer, card, kind)
            write_vocabulary(writer)

        return write

    with TemporaryDirectory() as temporary:
        exact = Path(temporary) / "exact.gguf"
        write_model(base, exact, describe("f32"), "f32")
        prompts = check_same_tokens(folder, exact)
        right = _torch_logits(base, prompts)
        worst = compare_logits(right, llama_logits(exact, prompts), base.tolerance, card.name)
        say(f"F32: largest difference of a logit {worst:.5f} over {sum(map(len, prompts))} tokens")
    write_model(base, output, describe(precision), precision)
    if precision != "f32":
        rounded = compare_logits(right, llama_logits(output, prompts), float("inf"), card.name)
        say(f"{precision}: largest difference of a logit {rounded:.3f}")
    say(f"wrote {output}, {output.stat().st_size / 1e6:.1f} MB")
    return worst


def export_merged(
    adapter: Path,
    output: Path,
    card: ModelCard,
    precision: Precision = "q8_0",
    base: Path | None = None,
    say: Callable[[str], None] = print,
) -> float:
    """The base with the adapter in its weights. As `export_model`."""
    import torch
    from peft import PeftConfig, PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = base or Path(PeftConfig.from_pretrained(adapter).base_model_name_or_path)
    read_base(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    merged = PeftModel.from_pretrained(model, adapter).merge_and_unload()
    with TemporaryDirectory() as temporary:
        merged.save_pretrained(temporary)
        AutoTokenizer.from_pretrained(folder).save_pretrained(temporary)
        return export_model(Path(temporary), output, card, precision, say)


def check_same_tokens(folder: Path, exported: Path) -> list[list[int]]:
    """The tokens of a few texts. Raises: ExportError, where llama.cpp cuts them otherwise."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    prompts: list[list[int]] = []
    with quiet_model(exported) as model:
        vocabulary = llama.llama_model_get_vocab(model)
        for text in (*_TEXTS, *_with_template(tokenizer)):
            ids = tokenizer.encode(text, add_special_tokens=False)
            theirs = _cut(vocabulary, text)
            if ids != theirs:
                place = next((n for n, (a, b) in enumerate(zip(ids, theirs, strict=False)) if a != b), len(ids))
                raise ExportError(
                    f"llama.cpp cuts {text[:40]!r} into other tokens, from number {place} on: "
                    f"{theirs[place : place + 4]} instead of {ids[place : place + 4]}"
                )
            prompts.append(ids)
    return prompts


def _with_template(tokenizer: Any) -> list[str]:
    """Special tokens in their places."""
    names = [name for name in (tokenizer.bos_token, tokenizer.eos_token) if name]
    return [f"{name}user: Hi{name}" for name in dict.fromkeys(names)]


def _cut(vocabulary: Any, text: str) -> list[int]:
    data = text.encode()
    room = (llama.llama_token * (len(data) + 16))()
    count = llama.llama_tokenize(vocabulary, data, len(data), room, len(room), False, True)
    return list(room[:count])


def _torch_logits(base: BaseModel, prompts: list[list[int]]) -> list[Any]:
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(base.folder, dtype=torch.float32).eval()
    with torch.no_grad():
        return [model(input_ids=torch.tensor([prompt])).logits[0].numpy() for prompt in prompts]
