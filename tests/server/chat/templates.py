"""Small chat templates of the forms met in model files, written for these tests."""

from pathlib import Path

from server.chat.template import ChatTemplate

OURS = ChatTemplate((Path(__file__).parents[3] / "training" / "chat_template.jinja").read_text())

HERMES = ChatTemplate(
    """
{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- if messages[0].role == 'system' %}{{- messages[0].content + '\\n\\n' }}{%- endif %}
    {{- '# Tools\\n<tools>' }}
    {%- for tool in tools %}{{- '\\n' }}{{- tool | tojson }}{%- endfor %}
    {{- '\\n</tools><|im_end|>\\n' }}
{%- elif messages[0].role == 'system' %}
    {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
    {%- if message.role == 'user' or (message.role == 'assistant' and not message.tool_calls) %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
    {%- elif message.role == 'assistant' %}
        {{- '<|im_start|>assistant' }}
        {%- if message.content %}{{- '\\n' + message.content }}{%- endif %}
        {%- for tool_call in message.tool_calls %}
            {{- '\\n<tool_call>\\n{"name": "' }}{{- tool_call.function.name }}{{- '", "arguments": ' }}
            {{- tool_call.function.arguments | tojson }}{{- '}\\n</tool_call>' }}
        {%- endfor %}
        {{- '<|im_end|>\\n' }}
    {%- elif message.role == 'tool' %}
        {{- '<|im_start|>user\\n<tool_response>\\n' + message.content + '\\n</tool_response><|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}
"""
)

TOOLLESS = ChatTemplate(
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

_CHATML = """
{%- if tools %}{{- '<|im_start|>system\\n' }}{%- for tool in tools %}{{- tool | tojson + '\\n' }}{%- endfor %}
{{- '<|im_end|>\\n' }}{%- endif %}
{%- for message in messages %}
    {{- '<|im_start|>' + message.role + '\\n' + message.content }}
    {%- if message.tool_calls %}{{- BEGIN }}{%- endif %}
    {%- for call in message.tool_calls %}{%- set f = call.function %}CALL{%- endfor %}
    {%- if message.tool_calls %}{{- END }}{%- endif %}
    {{- '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}
"""


def _chatml(call: str, begin: str = "", end: str = "") -> ChatTemplate:
    source = _CHATML.replace("CALL", call).replace("BEGIN", repr(begin)).replace("END", repr(end))
    return ChatTemplate(source)


def _each(item: str, *, before: str, after: str) -> str:
    loop = "{%- for key, value in f.arguments.items() %}" + item + "{%- endfor %}"
    return before + loop + after


CODER = _chatml(
    _each(
        "{{- '<parameter=' + key + '>\\n' }}"
        "{{- value | tojson if value is mapping else value }}{{- '\\n</parameter>\\n' }}",
        before="{{- '<tool_call>\\n<function=' + f.name + '>\\n' }}",
        after="{{- '</function>\\n</tool_call>' }}",
    )
)
"""Keys and bare texts in tags, as Qwen3-Coder writes them."""

MARKED = _chatml(
    _each(
        "{{- '<p name=\"' + key + '\" string=\"' + ('true' if value is string else 'false') + '\">' }}"
        "{{- value if value is string else value | tojson }}{{- '</p>\\n' }}",
        before="{{- '<invoke name=\"' + f.name + '\">\\n' }}",
        after="{{- '</invoke>\\n' }}",
    ),
    begin="<calls>\n",
    end="</calls>",
)
"""A mark before each value says whether it is text, as DeepSeek V3.2's DSML has it."""

NUMBERED = _chatml(
    "{{- '<|call|>functions.' + f.name + ':' + loop.index0 | string }}"
    "{{- '<|args|>' + f.arguments | tojson + '<|call_end|>' }}",
    begin="<|calls|>",
    end="<|calls_end|>",
)
"""Names without quotes and a counter, as Kimi K2 writes them."""

WITH_IDS = _chatml(
    "{{- ', ' if not loop.first }}"
    '{{- \'{"name": "\' + f.name + \'", "arguments": \' + f.arguments | tojson + \', "id": "\' + call.id + \'"}\' }}',
    begin="[TOOL_CALLS][",
    end="]",
)
"""A JSON list with ids, as Mistral Nemo writes it."""

AT_FIRST = _chatml(
    "{%- if not loop.first %}{{- raise_exception('one call at a time') }}{%- endif %}"
    "{{- '{\"name\": \"' + f.name + '\", \"parameters\": ' + f.arguments | tojson + '}' }}"
)
"""Bare JSON at the beginning of an answer and one call a turn, as Llama 3 writes it."""

THINKING = ChatTemplate(
    HERMES.source.replace(
        "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}",
        "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}"
        "{%- if is_open %}{{- '<think>\\n' }}{%- endif %}",
    )
    + "{#- </think> #}"
)
"""HERMES for a model that thinks first; `is_open` makes the prompt begin the thought."""

NESTED = _chatml(
    "{{- '<|tool_call>call:' + f.name + '{' + f.arguments + '}<tool_call|>' }}"
    "{#- Gemma 4's has a macro format_argument( -#}"
)
"""A notation near JSON, as Gemma 4 writes it."""

CHANNELS = ChatTemplate(
    """
{{- '<|start|>system<|message|>' }}{%- for tool in tools or [] %}{{- tool | tojson }}{%- endfor %}{{- '<|end|>' }}
{%- for message in messages %}
    {%- if message.tool_calls %}
        {%- set f = message.tool_calls[0].function %}
        {{- '<|start|>assistant to=functions.' + f.name + '<|channel|>commentary json<|message|>' }}
        {{- f.arguments | tojson + '<|call|>' }}
    {%- elif message.role == 'assistant' %}
        {{- '<|start|>assistant<|channel|>final<|message|>' + message.content + '<|end|>' }}
    {%- else %}{{- '<|start|>' + message.role + '<|message|>' + message.content + '<|end|>' }}{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|start|>assistant' }}{%- endif %}
"""
)
"""Channels for thoughts, calls and answers, as gpt-oss has them."""

SAMPLES = {
    "ours": OURS,
    "hermes": HERMES,
    "toolless": TOOLLESS,
    "coder": CODER,
    "marked": MARKED,
    "numbered": NUMBERED,
    "with_ids": WITH_IDS,
    "at_first": AT_FIRST,
    "thinking": THINKING,
    "nested": NESTED,
    "channels": CHANNELS,
}
"""One of each form."""
