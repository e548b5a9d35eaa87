"""What is read off a template about writing calls."""

import pytest

from grammars import Spacing
from server.chat.arguments import JsonArguments
from server.chat.choosing import dialect_of as derive
from server.chat.conversation import Conversations
from server.chat.dialect import GENERIC, Hole, Reasoning
from server.chat.messages import Message, ToolCall
from server.chat.request import ChatRequest
from server.chat.template import ChatTemplate

from .templates import HERMES, OURS, TOOLLESS

CALLS = (ToolCall("a", '{"x":"\\"quoted\\" é </tool_call>"}', "1"), ToolCall("b", "{}", "2"))


def test_our_own_form_is_derived() -> None:
    dialect = derive(OURS)
    assert (dialect.begin, dialect.middle) == (('<tool_call>{"name":',), (',"arguments":',))
    assert (dialect.suffix, dialect.next) == (("}</tool_call>",), dialect.begin)
    assert (dialect.arguments, dialect.trigger) == (JsonArguments(Spacing.COMPACT), "<tool_call>")


def test_the_hermes_form_is_derived() -> None:
    dialect = derive(HERMES)
    assert (dialect.begin, dialect.middle) == (('<tool_call>\n{"name": ',), (', "arguments": ',))
    assert (dialect.suffix, dialect.next) == (("}\n</tool_call>",), ('\n<tool_call>\n{"name": ',))
    assert dialect.arguments == JsonArguments(Spacing.SPACED)


@pytest.mark.parametrize("template", [OURS, HERMES], ids=["ours", "hermes"])
def test_calls_are_written_as_the_template_writes_them(template: ChatTemplate) -> None:
    turn = template.render([Message("user", "q"), Message("assistant", None, CALLS)], add_generation_prompt=False)
    assert derive(template).write(CALLS) in turn


def test_a_template_without_tools_gets_the_generic_dialect() -> None:
    assert derive(TOOLLESS) == GENERIC


def test_a_form_that_cannot_be_read_off_gets_the_generic_dialect() -> None:
    source = "{{ tools | tojson }}{% for m in messages %}{{ m.content }}{{ m.tool_calls | length }}{% endfor %}"
    assert derive(ChatTemplate(source)) == GENERIC


def test_a_form_with_ids_in_its_calls_is_not_taken_for_one_with_a_constant() -> None:
    source = OURS.source.replace("+ '}</tool_call>'", "+ ',\"id\":\"' + call.id + '\"}</tool_call>'")
    assert source != OURS.source
    assert derive(ChatTemplate(source)).suffix == (',"id":"', Hole.ID, '"}</tool_call>')


FRAMED = """
{%- for tool in tools or [] %}{{- tool | tojson }}{%- endfor %}
{%- for message in messages %}
    {%- if message.role == 'assistant' %}
        {%- if message.reasoning_content %}
            {{- '<|turn|>model<|think|>' + message.reasoning_content + '<|end|>' }}
        {%- endif %}
        {{- '<|turn|>model' }}
        {%- if message.tool_calls %}{{- '<|calls|>' }}{%- else %}{{- '<|text|>' + message.content }}{%- endif %}
        {%- for call in message.tool_calls %}
            {{- '<|name|>' + call.function.name + '<|args|>' + call.function.arguments | tojson + '<|done|>' }}
        {%- endfor %}
        {{- '<|end|>' }}
    {%- else %}{{- '<|turn|>' + message.role + '<|text|>' + message.content + '<|end|>' }}{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|turn|>model' }}{%- endif %}
"""


def test_what_stands_before_a_text_and_behind_a_thought_is_read_off() -> None:
    dialect = derive(ChatTemplate(FRAMED))
    assert (dialect.origin, dialect.trigger, dialect.text_begin) == ("derived", "<|calls|>", "<|text|>")
    assert dialect.reasoning == Reasoning("<|think|>", "<|end|><|turn|>model")


def test_a_template_that_counts_on_a_list_of_tools_gets_an_empty_one() -> None:
    assert ChatTemplate("{% for tool in tools %}{% endfor %}ok").render([Message("user", "q")]) == "ok"


def test_roles_that_a_template_refuses_are_said_by_one_it_knows() -> None:
    refusing = (
        "{% for m in messages %}{% if m.role == 'system' or (m.role == 'user') != (loop.index0 % 2 == 0) %}"
        "{{ raise_exception('no') }}{% endif %}{{ m.role }}:{{ m.content }};{% endfor %}"
    )
    held = Conversations(ChatTemplate(refusing))
    messages = (
        Message("developer", "Be brief."),
        Message("user", "q"),
        Message("assistant", "a"),
        Message("user", "r"),
    )
    assert held.prompt(ChatRequest(messages)).text == "user:Be brief.\n\nq;assistant:a;user:r;"
