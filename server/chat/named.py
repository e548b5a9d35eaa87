"""Dialects of families whose templates do not show how calls are written, or not as the models write them.

Each is found by texts that only this family's templates have. Sources: the templates and model cards themselves; they
are named beside each dialect.
"""

from collections.abc import Sequence
from dataclasses import replace

from grammars import Spacing
from server.chat.arguments import JsonArguments, NestedArguments, Parameters
from server.chat.dialect import Dialect, Form, Hole, Reasoning
from server.chat.element_values import ElementArguments
from server.chat.nested_values import NestedValues
from server.chat.template import ChatTemplate

_JSON = JsonArguments(Spacing.SPACED)
_XML = Parameters(
    open='<atem:parameter name="',
    separator="",
    middle='">',
    close="</atem:parameter>\n",
    text_middle='">',
    text_close="</atem:parameter>\n",
    has_bare_text=True,
)


def _list(name: str, before: str, after: str, *, key: str = "name", arguments: str = "arguments") -> Dialect:
    """A JSON list of calls between two marks."""
    return Dialect(
        begin=(f'{before}[{{"{key}": ',),
        middle=(f', "{arguments}": ',),
        suffix=("}",),
        next=(f', {{"{key}": ',),
        end=(f"]{after}",),
        arguments=_JSON,
        origin="named",
        name=name,
    )


_LFM2 = replace(
    # calls are a Python expression by default, "JSON function calls" on request: https://huggingface.co/LiquidAI/LFM2-1.2B
    _list("lfm2", "<|tool_call_start|>", "<|tool_call_end|>"),
    shows_calls=False,
    instruction="Output function calls as JSON.",
)
_GRANITE = replace(
    # https://huggingface.co/ibm-granite/granite-3.3-2b-instruct; the template says so only in its own system text
    _list("granite-3", "<|tool_call|>", ""),
    shows_calls=False,
    instruction="When a tool is required to answer the user's query, respond only with <|tool_call|> followed by a "
    "JSON list of tools used.",
)
_FIREFUNCTION = replace(
    # https://huggingface.co/fireworks-ai/llama-3-firefunction-v2
    _list("firefunction", "functools", ""),
    tools_variable="functions",
)
_COMMAND_R: Form = ('\n    {\n        "tool_name": ',)
_COMMAND_R_PLUS = Dialect(
    # https://huggingface.co/CohereForAI/c4ai-command-r-plus; arguments on one line
    begin=("Action:\n```json\n[", *_COMMAND_R),
    middle=(',\n        "parameters": ',),
    suffix=("\n    }",),
    next=(",", *_COMMAND_R),
    end=("\n]```",),
    arguments=_JSON,
    origin="named",
    name="command-r-plus",
    shows_calls=False,
)
_FUNCTIONARY = Dialect(
    # https://github.com/MeetKai/functionary, prompt template v3; the prompt ends with ">>>"
    begin=(),
    middle=("\n",),
    suffix=(),
    next=(">>>",),
    end=(),
    arguments=_JSON,
    has_quoted_name=False,
    has_argument_texts=True,
    text_begin="all\n",
    origin="named",
    name="functionary-3.2",
)
_HARMONY = Dialect(
    # https://cookbook.openai.com/articles/openai-harmony; the template's own order of recipient and channel is the
    # other one that the format allows
    begin=("<|channel|>commentary to=functions.",),
    middle=(" <|constrain|>json<|message|>",),
    suffix=(),
    next=None,
    end=(),
    arguments=_JSON,
    has_quoted_name=False,
    reasoning=Reasoning("<|channel|>analysis<|message|>", "<|end|><|start|>assistant"),
    text_begin="<|channel|>final<|message|>",
    origin="named",
    name="harmony",
)
_ATEM = Dialect(
    # Muse Glimmer: a recipient in the header, then a block of XML
    begin=(" to=",),
    middle=('<|message|><atem:function_calls>\n<atem:invoke name="', Hole.NAME, '">\n'),
    suffix=("</atem:invoke>\n</atem:function_calls>",),
    next=("<|eom|><|start|>assistant to=",),
    end=(),
    arguments=_XML,
    has_quoted_name=False,
    reasoning=Reasoning(" to=self<|message|>", "<|eom|><|start|>assistant"),
    text_begin=" to=user<|message|>",
    origin="named",
    name="atem",
)

_GEMMA_4 = Dialect(
    # https://ai.google.dev/gemma/docs/capabilities/function-calling; the template takes arguments as a text, too
    begin=("<|tool_call>call:",),
    middle=("{",),
    suffix=("}<tool_call|>",),
    next=("<|tool_call>call:",),
    end=(),
    arguments=NestedArguments(NestedValues('<|"|>')),
    has_quoted_name=False,
    has_argument_texts=True,
    reasoning=Reasoning("<|channel>thought\n", "<channel|>"),
    origin="named",
    name="gemma-4",
)

_ELEMENT = "]<]minimax[>["
_MINIMAX_M3 = Dialect(
    # the template's own words in its system text; its other tags, of thoughts and results, have no such mark
    begin=(f'{_ELEMENT}<tool_call>\n{_ELEMENT}<invoke name="',),
    middle=('">',),
    suffix=(f"{_ELEMENT}</invoke>\n",),
    next=(f'{_ELEMENT}<invoke name="',),
    end=(f"{_ELEMENT}</tool_call>",),
    arguments=ElementArguments(_ELEMENT),
    has_quoted_name=False,
    origin="named",
    name="minimax-m3",
)

_KIMI_K3 = Dialect(
    # an answer is a thought, a response and a block of tools, each between tags of its own; the prompt opens the
    # first or, where thinking is off, the second
    begin=('<|close|>response<|sep|><|open|>tools<|sep|><|open|>call tool="',),
    middle=('" index="', Hole.INDEX, '"<|sep|>'),
    suffix=("<|close|>call<|sep|>",),
    next=('<|open|>call tool="',),
    end=("<|close|>tools<|sep|>",),
    arguments=Parameters(
        open='<|open|>argument key="',
        separator="",
        middle='" type="{}"<|sep|>',
        close="<|close|>argument<|sep|>",
        text_middle='" type="string"<|sep|>',
        text_close="<|close|>argument<|sep|>",
        has_bare_text=True,
        tells_types=True,
    ),
    has_quoted_name=False,
    first_index=1,
    reasoning=Reasoning("<|open|>think<|sep|>", "<|close|>think<|sep|><|open|>response<|sep|>"),
    text_end="<|close|>response<|sep|>",
    mark="<|close|>response<|sep|><|open|>tools<|sep|>",
    origin="named",
    name="kimi-k3",
)

_MARKS: tuple[tuple[tuple[str, ...], Dialect], ...] = (
    (("List of tools: ", "<|im_start|>"), _LFM2),
    (("<|tool_call|> followed by a JSON list",), _GRANITE),
    (("functools[",), _FIREFUNCTION),
    (("Action:\\n```json\\n[",), _COMMAND_R_PLUS),
    (("'>>>all\\n'", "'>>>'"), _FUNCTIONARY),
    (("<|channel|>final<|message|>", "functions."), _HARMONY),
    (("<|tool_call>call:", "<tool_call|>", "format_argument("), _GEMMA_4),
    ((f"'{_ELEMENT}'", "to_xml("), _MINIMAX_M3),
    (("'<|open|>' + tag", "xtml_value("), _KIMI_K3),
    (("<atem:function_calls>", "<|start|>assistant"), _ATEM),
)
"""Texts that a template has to have, all of them, for a dialect."""


def named_dialects(template: ChatTemplate) -> Sequence[Dialect]:
    """Those whose marks the template has."""
    return [dialect for marks, dialect in _MARKS if all(mark in template.source for mark in marks)]
