"""Renders a model's own Jinja chat template, with the semantics of Hugging Face's `apply_chat_template`.

Templates come from model files, so they run in a sandbox: no attribute of a Python object that could reach the
system. Three things are read that Hugging Face refuses and templates in use do: lists may be appended to, for they are
copies (Kimi K2); an iterator is a list to `tojson`; missing tools are an empty list where None can't be (Hermes).
Source of the semantics: transformers `utils/chat_template_utils.py`
(https://huggingface.co/docs/transformers/chat_templating).
"""

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, NoReturn

import jinja2
import jinja2.ext
from jinja2.sandbox import SandboxedEnvironment

from server.chat.messages import Message, Tool
from server.chat.prompt import NO_NAMES, Prompt, Shield, SpecialNames

RESERVED_VARIABLES = frozenset(("self", "messages", "tools", "add_generation_prompt", "bos_token", "eos_token"))
"""What `render` sets itself; a caller's variables have other names."""


class TemplateError(ValueError):
    """The template could not be read or refused these messages; the text says why."""


class _GenerationTag(jinja2.ext.Extension):
    """`{% generation %}` marks the assistant's text for training; when serving it renders its body."""

    tags = {"generation"}  # noqa: RUF012 - the base class declares it so

    def parse(self, parser: jinja2.parser.Parser) -> list[jinja2.nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _tojson(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """Jinja's own `tojson` escapes HTML and sorts keys; a prompt wants neither."""
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys, default=_listed
    )


def _listed(value: Any) -> list[Any]:
    """`tools | map(…) | tojson`, which Hugging Face refuses and llama.cpp reads."""
    if isinstance(value, Iterator):
        return list(value)
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


def _raise_exception(message: str) -> NoReturn:
    raise jinja2.TemplateError(message)


def _strftime_now(layout: str) -> str:
    return datetime.now().strftime(layout)


class _Namespace(jinja2.utils.Namespace):
    """No names that could reach the insides of Python objects."""

    def __init__(*args: Any, **kwargs: Any) -> None:
        self, *given = args
        attributes = dict(*given, **kwargs)
        for name in attributes:
            _check_name(name)
        jinja2.utils.Namespace.__init__(self, attributes)

    def __setitem__(self, name: str, value: Any) -> None:
        _check_name(name)
        super().__setitem__(name, value)


def _check_name(name: str) -> None:
    if name.startswith("_"):
        raise jinja2.exceptions.SecurityError(f"a namespace has no attribute {name!r}")


@lru_cache(maxsize=1)
def _environment() -> SandboxedEnvironment:
    environment = SandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_GenerationTag, "jinja2.ext.loopcontrols"]
    )
    environment.filters["tojson"] = _tojson
    environment.globals["raise_exception"] = _raise_exception
    environment.globals["strftime_now"] = _strftime_now
    environment.globals["namespace"] = _Namespace
    return environment


class ChatTemplate:
    """A compiled chat template with the model's special tokens."""

    def __init__(self, source: str, *, bos_token: str = "", eos_token: str = "") -> None:
        """Raises: TemplateError, if the source is not a template."""
        self.source = source
        self._constants = {"bos_token": bos_token, "eos_token": eos_token}
        try:
            self._template = _environment().from_string(source)
        except jinja2.TemplateError as error:
            raise TemplateError(f"the chat template cannot be compiled: {error}") from error

    def render(
        self,
        messages: Sequence[Message],
        tools: Sequence[Tool] = (),
        *,
        add_generation_prompt: bool = True,
        **variables: Any,
    ) -> str:
        """The prompt text.

        `variables` are handed to the template as they are (`enable_thinking`, …).
        Raises: TemplateError, if the template rejects the conversation.
        """
        prompt = self.prompt(messages, tools, NO_NAMES, add_generation_prompt=add_generation_prompt, **variables)
        return prompt.text

    def prompt(
        self,
        messages: Sequence[Message],
        tools: Sequence[Tool],
        names: SpecialNames,
        *,
        add_generation_prompt: bool = True,
        **variables: Any,
    ) -> Prompt:
        """The same text, cut so that only the template's own text can spell one of `names`. Raises: TemplateError."""
        shield = Shield(names)
        try:
            said, (listed, handed) = shield.hide(
                [message.as_template_value() for message in messages],
                [tool.as_template_value() for tool in tools],
                variables,
            )
            flags = {"add_generation_prompt": add_generation_prompt, "documents": None}
            values = {"messages": said, **flags, **self._constants, **handed}
            text = self._render(listed, values)
        except Exception as error:  # a template is foreign code: whatever it raises is its refusal
            raise TemplateError(f"the model's chat template refuses this conversation: {error}") from error
        return shield.cut(text)

    def _render(self, tools: list[Any], values: dict[str, Any]) -> str:
        """Without tools, `tools` is None as at Hugging Face; some templates count on a list all the same."""
        try:
            return self._template.render(tools=tools or None, **values)
        except TypeError:
            if tools:
                raise
            return self._template.render(tools=[], **values)
