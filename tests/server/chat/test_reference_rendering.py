"""Prompts are those of Hugging Face's own `apply_chat_template` machinery, letter by letter.

Over all templates in llama.cpp's sources and the small ones of these tests. Where the two differ, Hugging Face refuses
the template and we read it; each such template is named here, with the reason.
"""

import json
from functools import cache
from typing import Any

import pytest

from server.chat.conversation import Conversations
from server.chat.messages import Message, Tool, ToolCall
from server.chat.request import ChatRequest
from server.chat.template import ChatTemplate, TemplateError

from . import llama_templates
from .templates import HERMES, OURS, SAMPLES, TOOLLESS

reference = pytest.importorskip("transformers.utils.chat_template_utils", reason="pip install transformers")

_CITY = {"type": "string", "description": 'Name, as in „Zürich“ <b> & "quoted"'}
TOOLS = (
    Tool("get_weather", {"type": "object", "properties": {"city": _CITY, "n": {"type": "integer"}}}, "Weather & more"),
    Tool("add", {"type": "object", "properties": {}}),
)
USER = Message("user", "Wie ist's in „Zürich“? 🙂 <b>&amp;</b> \\n \"'")
SYSTEM = Message("system", "Be kind.\nAlways.")
ANSWER = Message("assistant", " Sunny. ")
ONE = ToolCall("get_weather", json.dumps({"city": 'Zürich "x" <&>\n', "n": 3}, ensure_ascii=False), "callid001")
OTHER = ToolCall("add", "{}", "callid002")
CALL = Message("assistant", None, (ONE,))
RESULT = Message("tool", '{"t": 21, "unit": "°C"}', (), "callid001", "get_weather")
Conversation = tuple[tuple[Message, ...], tuple[Tool, ...]]
CONVERSATIONS: dict[str, Conversation] = {
    "user": ((USER,), ()),
    "system": ((SYSTEM, USER), ()),
    "developer": ((Message("developer", "d"), USER), ()),
    "turns": ((USER, ANSWER, USER), ()),
    "tools": ((USER,), TOOLS),
    "system and tools": ((SYSTEM, USER), TOOLS),
    "call": ((USER, CALL), TOOLS),
    "result": ((USER, CALL, RESULT), TOOLS),
    "calls": (
        (USER, Message("assistant", "I look.", (ONE, OTHER)), RESULT, Message("tool", "ok", (), "callid002", "add")),
        TOOLS,
    ),
    "after calls": ((SYSTEM, USER, CALL, RESULT, ANSWER, USER), TOOLS),
    "thought": ((USER, Message("assistant", "Done.", reasoning="I thought."), USER), ()),
    "thought and call": ((USER, Message("assistant", None, (ONE,), reasoning="Hm."), RESULT), TOOLS),
}
VARIABLES: tuple[dict[str, Any], ...] = (
    {},
    {"enable_thinking": False, "thinking": False},
    {"reasoning_effort": "high", "enable_thinking": True},
)
READ_BY_US = {
    "CohereForAI-c4ai-command-r-plus-tool_use": "'NoneType' object is not iterable",
    "Kimi-K2-Instruct": "'append' of 'list' object is unsafe",
    "Kimi-K2-Thinking": "'append' of 'list' object is unsafe",
    "NousResearch-Hermes-2-Pro-Llama-3-8B-tool_use": "'NoneType' object is not iterable",
    "NousResearch-Hermes-3-Llama-3.1-8B-tool_use": "'NoneType' object is not iterable",
    "llama-cpp-deepseek-r1": "Object of type generator is not JSON serializable",
}
"""Templates that Hugging Face refuses in some conversations, and its words."""


def theirs(template: ChatTemplate, conversation: Conversation, **options: Any) -> str:
    messages, tools = conversation
    values = [message.as_template_value() for message in messages]
    for value in values:
        value.pop("thinking", None)  # they add it themselves
    (text,), _ = reference.render_jinja_template(
        [values],
        tools=[tool.as_template_value() for tool in tools] or None,
        chat_template=template.source,
        bos_token="<BOS>",
        eos_token="<EOS>",
        **options,
    )
    return str(text)


def compare(template: ChatTemplate, conversation: Conversation, refusal: str = "", **options: Any) -> None:
    try:
        text = template.render(*conversation, **options)
    except TemplateError:
        with pytest.raises(Exception):  # noqa: B017 - whatever its code does
            theirs(template, conversation, **options)
        return
    try:
        expected = theirs(template, conversation, **options)
    except Exception as error:
        if not refusal or refusal not in str(error):
            raise
    else:
        assert text == expected


@pytest.mark.parametrize("name", llama_templates.PARAMETERS)
def test_a_prompt_is_the_references(name: str) -> None:
    template = llama_templates.template(name)
    for conversation in CONVERSATIONS.values():
        for variables in VARIABLES:
            compare(template, conversation, READ_BY_US.get(name, ""), add_generation_prompt=True, **variables)
        compare(template, conversation, READ_BY_US.get(name, ""), add_generation_prompt=False)


@pytest.mark.parametrize("name", llama_templates.PARAMETERS)
def test_what_a_request_is_rewritten_to_is_rendered_as_the_reference_renders_it(name: str) -> None:
    """The conversation in the template's own terms: ids, roles, split turns, and the tools where it looks for them."""
    template = llama_templates.template(name)
    history = conversations(name)._history
    for messages, tools in CONVERSATIONS.values():
        shown = tuple(history.rewrite(messages, tools)), tuple(history.tools(tools))
        variables = {key: value for key, value in history.variables(tools).items() if key != "datetime"}
        compare(template, shown, READ_BY_US.get(name, ""), add_generation_prompt=True, datetime="today", **variables)


@pytest.mark.parametrize("name", llama_templates.PARAMETERS)
def test_words_and_a_thought_beside_a_call_are_refused_by_no_template(name: str) -> None:
    """gpt-oss takes one of both."""
    turn = Message("assistant", "I look.", (ONE,), reasoning="Hm.")
    assert "get_weather" in conversations(name).prompt(ChatRequest((USER, turn, RESULT), TOOLS)).text


_PROPERTIES: tuple[Any, ...] = (
    {"type": "string", "description": "d"}, {"type": "string"}, {"description": "d"}, True, {},
    {"type": ["string", "null"]}, {"type": ["integer", "null", "boolean"]}, {"type": "null"}, {"type": ["null"]},
    {"enum": ["a", 1, None]}, {"anyOf": [{"type": "string"}, {"type": "null"}]}, {"$ref": "#/$defs/x"},
    {"type": "array"}, {"type": "object", "additionalProperties": {"type": ["string", "null"]}},
    {"type": "array", "items": {"type": "object", "properties": {"b": {"type": ["null", "number"]}}}},
)  # fmt: skip
BARE_TOOLS = (
    Tool("bare", {}),
    Tool("empty", {"type": "object", "properties": {}}),
    *(
        Tool(f"tool_{n}", {"$defs": {"x": {"type": "string"}}, "type": "object", "properties": {"key": schema}})
        for n, schema in enumerate(_PROPERTIES)
    ),
)


@cache
def conversations(name: str) -> Conversations:
    return Conversations(llama_templates.template(name))


@pytest.mark.parametrize("name", llama_templates.PARAMETERS)
def test_no_legal_tool_is_refused_by_a_template(name: str) -> None:
    """Some count on descriptions, on `properties`, on types that are one word."""
    for tool in BARE_TOOLS:
        assert tool.name in conversations(name).prompt(ChatRequest((USER,), (tool,))).text


def test_a_tool_is_completed_only_for_a_template_that_wants_it() -> None:
    template = (
        "{% for tool in tools %}{{ tool | tojson }}{% endfor %}{% for m in messages %}{{ m.content }}{% endfor %}"
    )
    assert '"parameters": {}' in Conversations(ChatTemplate(template)).prompt(ChatRequest((USER,), BARE_TOOLS[:1])).text


@pytest.mark.parametrize("conversation", CONVERSATIONS.values(), ids=list(CONVERSATIONS))
@pytest.mark.parametrize("name", ["ours", "hermes", "toolless", *SAMPLES])
def test_small_templates_are_rendered_as_the_reference_renders_them(name: str, conversation: Conversation) -> None:
    source = {"ours": OURS, "hermes": HERMES, "toolless": TOOLLESS, **SAMPLES}[name].source
    template = ChatTemplate(source, bos_token="<BOS>", eos_token="<EOS>")
    compare(template, conversation, add_generation_prompt=True)


@pytest.mark.parametrize(
    "source",
    [
        "{{ {'b': 'é<>&', 'a': [1, 1.5, none, true]} | tojson }}",
        "{{ {'b': 1, 'a': 'é'} | tojson(ensure_ascii=true, indent=2, sort_keys=true) }}",
        "{{ {'b': [1]} | tojson(separators=(',', ':')) }}",
        "{{ strftime_now('%Y-%m-%d %Z') }}|{{ bos_token }}{{ eos_token }}",
        "{% for m in messages %}{% generation %}{{ m.content }}{% endgeneration %}{% break %}{% endfor %}",
        "{{ raise_exception('no') }}",
        "  {% if true %}\n  a\n  {%- endif %}\n{% set ns = namespace(x=1) %}{% set ns.x = 2 %}{{ ns.x }}\n",
        "{% set ns = namespace(_x=1) %}",
        "{{ namespace.__init__ }}{{ ''.__class__.__mro__ }}",
        "{{ documents is defined }}{{ documents is none }}{{ tools is none }}{{ nothing is defined }}",
        "{{ dict(a=1) | tojson }}{{ messages[0].content | trim | upper }}{{ messages | length }}",
    ],
)
def test_the_languages_own_corners_are_the_references(source: str) -> None:
    template = ChatTemplate(source, bos_token="<BOS>", eos_token="<EOS>")
    compare(template, ((USER,), ()), add_generation_prompt=True)
