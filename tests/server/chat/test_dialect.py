"""What is read off a template about writing calls."""

import pytest

from grammars import Spacing
from server.chat.arguments import JsonArguments
from server.chat.choosing import dialect_of as derive
from server.chat.dialect import GENERIC, Hole
from server.chat.messages import Message, ToolCall
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
