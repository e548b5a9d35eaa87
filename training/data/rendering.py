"""Records as the text a model is trained on, under any chat template, by the code that serves: `server.chat`.

Templates ship for the forms that tool-tuning scripts use (`training/templates`); our server reads the calls of each.
"""

import json
from collections.abc import Iterator
from pathlib import Path

from gguf import GGUFReader

from server.chat.template import ChatTemplate, TemplateError
from training.data.record import Record
from training.data.validation import lines_of

_SHIPPED = Path(__file__).parents[1] / "templates"
_OWN = Path(__file__).parents[1] / "chat_template.jinja"


def template_names() -> list[str]:
    """Of the templates that ship."""
    return ["trammel", *sorted(path.stem for path in _SHIPPED.glob("*.jinja"))]


def find_template(source: str) -> ChatTemplate:
    """A template that ships, by name; or a file in Jinja, a GGUF file's own, or that of a Hugging Face folder.

    Raises: TemplateError; OSError.
    """
    if source == "trammel":
        return ChatTemplate(_OWN.read_text(encoding="utf-8"))
    if source in template_names():
        return ChatTemplate((_SHIPPED / f"{source}.jinja").read_text(encoding="utf-8"))
    path = Path(source)
    if path.is_dir():
        return _of_folder(path)
    if not path.is_file():
        raise TemplateError(f"no template is named {source!r}, nor is there such a file; there are {template_names()}")
    return _of_gguf(path) if path.suffix == ".gguf" else ChatTemplate(path.read_text(encoding="utf-8"))


def render_file(file: Path, template: ChatTemplate, only: int | None = None) -> Iterator[str]:
    """The text of each record, in order, or of the one of that number (from 1).

    Raises: TemplateError and ValueError, with the line; OSError.
    """
    for place, (number, line) in enumerate(lines_of(file), 1):
        if only is not None and place != only:
            continue
        try:
            conversation = Record.model_validate_json(line).conversation()
            yield template.render(conversation.messages, conversation.tools, add_generation_prompt=False)
        except TemplateError as error:
            raise TemplateError(f"{file}, line {number}: {error}") from error
        except ValueError as error:
            raise ValueError(f"{file}, line {number}: {error}") from error


def _of_gguf(path: Path) -> ChatTemplate:
    fields = GGUFReader(path).fields

    def text(key: str) -> str:
        return str(fields[key].contents()) if key in fields else ""

    source = text("tokenizer.chat_template")
    if not source:
        raise TemplateError(f"{path} has no chat template")
    tokens = fields["tokenizer.ggml.tokens"]

    def token(key: str) -> str:
        return str(tokens.contents(int(fields[key].contents()))) if key in fields else ""

    begin, end = token("tokenizer.ggml.bos_token_id"), token("tokenizer.ggml.eos_token_id")
    return ChatTemplate(source, bos_token=begin, eos_token=end)


def _of_folder(folder: Path) -> ChatTemplate:
    """https://huggingface.co/docs/transformers/chat_templating: a file of its own, or in the tokenizer's settings."""
    path = folder / "tokenizer_config.json"
    settings = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    separate = folder / "chat_template.jinja"
    source = separate.read_text(encoding="utf-8") if separate.is_file() else settings.get("chat_template")
    if isinstance(source, list):
        source = next((entry["template"] for entry in source if entry["name"] == "default"), None)
    if not source:
        raise TemplateError(f"{folder} has no chat template")
    begin, end = (_token(settings.get(key)) for key in ("bos_token", "eos_token"))
    return ChatTemplate(source, bos_token=begin, eos_token=end)


def _token(value: object) -> str:
    return str(value.get("content", "") if isinstance(value, dict) else value or "")
