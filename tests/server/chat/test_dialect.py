"""What is read off a template about writing calls."""

import pytest

from grammars import Spacing
from server.chat.dialect import GENERIC, derive
from server.chat.messages import Message, ToolCall
from server.chat.template import ChatTemplate

from .templates import HERMES, OURS, TOOLLESS

CALLS = (ToolCall("a", '{"x":"\\"quoted\\" é </tool_call>"}', "1"), ToolCall("b", "{}", "2"))


def test_our_own_form_is_derived() -> None:
    dialect = derive(OURS)
    assert (dialect.prefix, dialect.middle, dialect.suffix) == ('<tool_call>{"name":', ',"arguments":', "}</tool_call>")
    assert (dialect.separator, dialect.spacing, dialect.trigger) == ("", Spacing.COMPACT, "<tool_call>")


def test_the_hermes_form_is_derived() -> None:
    dialect = derive(HERMES)
    assert (dialect.prefix, dialect.middle) == ('<tool_call>\n{"name": ', ', "arguments": ')
    assert (dialect.suffix, dialect.separator) == ("}\n</tool_call>", "\n")
    assert dialect.spacing is Spacing.SPACED


@pytest.mark.parametrize("template", [OURS, HERMES], ids=["ours", "hermes"])
def test_calls_are_written_as_the_template_writes_them(template: ChatTemplate) -> None:
    turn = template.render([Message("user", "q"), Message("assistant", None, CALLS)], add_generation_prompt=False)
    assert derive(template).write(CALLS) in turn


def test_a_template_without_tools_gets_the_generic_dialect() -> None:
    assert derive(TOOLLESS) is GENERIC


def test_a_form_that_cannot_be_read_off_gets_the_generic_dialect() -> None:
    source = "{{ tools | tojson }}{% for m in messages %}{{ m.content }}{{ m.tool_calls | length }}{% endfor %}"
    assert derive(ChatTemplate(source)) is GENERIC


def test_a_form_with_ids_in_its_calls_is_not_taken_for_one_with_a_constant() -> None:
    source = OURS.source.replace("+ '}</tool_call>'", "+ ',\"id\":\"' + call.id + '\"}</tool_call>'")
    assert source != OURS.source
    assert derive(ChatTemplate(source)) is GENERIC
