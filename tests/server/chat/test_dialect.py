"""What is read off a template about writing calls."""

import pytest

from grammars import Spacing
from server.chat.arguments import JsonArguments
from server.chat.choosing import dialect_of as derive
from server.chat.conversation import Conversations, Prepared
from server.chat.dialect import GENERIC, Hole, Reasoning
from server.chat.messages import Message, Tool, ToolCall
from server.chat.parser import CallDelta, CallStart, ContentDelta, ReasoningDelta
from server.chat.request import ChatRequest
from server.chat.template import ChatTemplate

from . import llama_templates
from .templates import HERMES, OURS, TOOLLESS
from .test_dialect_laws import admits

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
    assert dialect.call_tags == ("<tool_call>", "</tool_call>")
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


KIMI_K3 = pytest.mark.skipif("Kimi-K3" not in llama_templates.NAMES, reason="run scripts/llama_sources.sh .venv")
TEXT_END = "<|close|>response<|sep|>"
TOOL = Tool("get", {"type": "object", "properties": {"n": {"type": ["integer", "null"]}}})


def kimi(**variables: object) -> tuple[Conversations, Prepared]:
    held = Conversations(llama_templates.template("Kimi-K3"))
    request = ChatRequest((Message("user", "q"),), (TOOL,), template_variables=variables)
    return held, held.prepare(request)


def told(held: Conversations, prepared: Prepared, text: str) -> tuple[str, str, str]:
    """Thought, content and calls of an answer, fed a few characters at a time."""
    parser, found = held.parser(prepared), ["", "", ""]
    parts = [text[start : start + 5] for start in range(0, len(text), 5)]
    for delta in [*(one for part in parts for one in parser.feed(part)), *parser.finish()]:
        match delta:
            case ReasoningDelta(part):
                found[0] += part
            case ContentDelta(part):
                found[1] += part
            case CallStart(_, name):
                found[2] += name
            case CallDelta(_, part):
                found[2] += part
    return found[0], found[1], found[2]


@KIMI_K3
@pytest.mark.parametrize("rest", ["", TEXT_END, f"{TEXT_END}<|close|>message<|sep|>", "<|close|>resp"])
@pytest.mark.parametrize("thinks", [True, False])
def test_a_text_ends_at_its_mark_and_nothing_behind_it_is_said(rest: str, thinks: bool) -> None:
    held, prepared = kimi(thinking=thinks)
    begin = "Hm.<|close|>think<|sep|><|open|>response<|sep|>" if thinks else ""
    assert told(held, prepared, f"{begin}Hello.{rest}") == ("Hm." if thinks else "", "Hello.", "")


@KIMI_K3
@pytest.mark.parametrize("words", ["", "I look."])
def test_calls_come_behind_the_end_of_the_text_and_tell_the_types_of_their_arguments(words: str) -> None:
    held, prepared = kimi()
    constraint = prepared.grammar.constraint
    assert constraint is not None
    assert constraint.lark is not None
    end = "<|close|>think<|sep|><|open|>response<|sep|>"
    for kind, value in (("number", "3"), ("null", "null")):
        parameter = f'<|open|>argument key="n" type="{kind}"<|sep|>{value}<|close|>argument<|sep|>'
        call = f'<|open|>call tool="get" index="1"<|sep|>{parameter}<|close|>call<|sep|>'
        answer = f"{end}{words}{TEXT_END}<|open|>tools<|sep|>{call}<|close|>tools<|sep|>"
        assert admits(constraint, answer)
        assert not admits(constraint, answer.replace(f'"{kind}"', '"object"'))
        assert told(held, prepared, f"Hm.{answer}") == ("Hm.", words, f'get{{"n": {value}}}')
    assert admits(constraint, f"{end}{words}{TEXT_END}")
    assert not admits(constraint, f"{end}{words}{TEXT_END}<|open|>tools<|sep|>")
