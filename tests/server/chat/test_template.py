"""Rendering a model's own template, safely and as Hugging Face does."""

import pytest

from server.chat.messages import Message, Tool, ToolCall
from server.chat.template import ChatTemplate, TemplateError

from .templates import OURS

USER = Message("user", "hi")


def test_our_template_writes_a_conversation_with_calls() -> None:
    messages = [
        Message("system", "Be kind."),
        USER,
        Message("assistant", None, (ToolCall("f", '{"b": 1, "a": "é"}', "1"),)),
        Message("tool", "42", tool_call_id="1"),
    ]
    assert OURS.render(messages, [Tool("f", {"type": "object"}, "does f")]) == (
        '<|system|>Be kind.<tools>\n{"name":"f","description":"does f","parameters":{"type":"object"}}\n</tools><|end|>'
        '<|user|>hi<|end|><|assistant|><tool_call>{"name":"f","arguments":{"b":1,"a":"é"}}</tool_call><|end|>'
        "<|tool|>42<|end|><|assistant|>"
    )


def test_tojson_keeps_order_and_letters() -> None:
    template = ChatTemplate("{{ {'b': '<é>', 'a': 1} | tojson }}")
    assert template.render([USER]) == '{"b": "<é>", "a": 1}'


def test_generation_blocks_and_loop_controls_are_understood() -> None:
    source = "{% generation %}a{% endgeneration %}{% for m in messages %}{% break %}{% endfor %}b"
    assert ChatTemplate(source).render([USER]) == "ab"


def test_variables_reach_the_template() -> None:
    assert ChatTemplate("{{ enable_thinking }}").render([USER], enable_thinking=True) == "True"


def test_a_template_that_refuses_says_why() -> None:
    with pytest.raises(TemplateError, match="no system here"):
        ChatTemplate("{{ raise_exception('no system here') }}").render([USER])


def test_a_broken_template_is_refused_when_it_is_read() -> None:
    with pytest.raises(TemplateError, match="cannot be compiled"):
        ChatTemplate("{% for %}")


@pytest.mark.parametrize(
    "source",
    [
        "{{ messages.__class__.__mro__ }}",
        "{{ ''.__class__.__base__.__subclasses__() }}",
        "{{ cycler.__init__.__globals__.os.system('true') }}",
    ],
)
def test_a_template_cannot_reach_the_system(source: str) -> None:
    with pytest.raises(TemplateError):
        ChatTemplate(source).render([USER])


def test_what_a_template_appends_to_stays_as_it_was_for_the_caller() -> None:
    parameters = {"required": ["a"]}
    source = "{% set _ = tools[0].function.parameters.required.append('b') %}{{ tools | tojson }}"
    assert '"b"' in ChatTemplate(source).render([Message("user", "q")], [Tool("f", parameters)])
    assert parameters == {"required": ["a"]}
