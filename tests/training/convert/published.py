"""The same conversation in each form that published sets have it in."""

import json
from typing import Any

from tests.training.data.lines import says, user

WEATHER_TOOL: dict[str, Any] = {
    "name": "get_weather",
    "description": "The weather of a city",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}
TOOL_TEXT = json.dumps(WEATHER_TOOL)
FLAT_TOOL = {"name": "get_weather", "description": "W", "parameters": {"city": {"type": "str", "description": "C"}}}
QUESTION = "What is the weather in Oslo?"
CALL = '{"name": "get_weather", "arguments": {"city": "Oslo"}}'
RESULT = '{"sky":"clear"}'
ANSWER = "It is sunny."

FLAT = {
    "messages": [
        user(),
        {"role": "assistant", "content": '{"name": "get_weather", "parameters": {"city": "Oslo"}}'},
        {"role": "tool", "content": RESULT},
        says(),
    ],
    "tools": [FLAT_TOOL],
}
FUNCTIONS_OF_2023 = {
    "messages": [
        user(),
        {
            "role": "assistant",
            "content": None,
            "function_call": {"name": "get_weather", "arguments": '{"city":"Oslo"}'},
        },
        {"role": "function", "name": "get_weather", "content": RESULT},
        says(),
    ],
    "functions": [WEATHER_TOOL],
}
LLAMA_FACTORY = {
    "conversations": [
        {"from": "human", "value": QUESTION},
        {"from": "function_call", "value": CALL},
        {"from": "observation", "value": RESULT},
        {"from": "gpt", "value": ANSWER},
    ],
    "tools": f"[{TOOL_TEXT}]",
}
HERMES = {
    "conversations": [
        {"from": "system", "value": f"You call functions. <tools> {TOOL_TEXT} </tools> Use tags."},
        {"from": "human", "value": QUESTION},
        {"from": "gpt", "value": f"<tool_call>\n{CALL}\n</tool_call>"},
        {"from": "tool", "value": f"<tool_response>\n{RESULT}\n</tool_response>"},
        {"from": "gpt", "value": ANSWER},
    ]
}
GLAIVE = {
    "system": "SYSTEM: You are a helpful assistant with access to the following functions. "
    f"Use them if required -\n{TOOL_TEXT}\n",
    "chat": f"USER: {QUESTION}\n\n\n"
    """ASSISTANT: <functioncall> {"name": "get_weather", "arguments": '{"city": "Oslo"}'} <|endoftext|>\n\n\n"""
    f"FUNCTION RESPONSE: {RESULT}\n\n\nASSISTANT: {ANSWER} <|endoftext|>\n\n\n",
}
_APIS = [{**WEATHER_TOOL, "parameters": {**WEATHER_TOOL["parameters"], "optional": []}}, {"name": "Finish"}]
_FINAL = json.dumps({"return_type": "give_answer", "final_answer": ANSWER})
TOOLBENCH = {
    "id": "Step 4: x",
    "conversations": [
        {
            "from": "system",
            "value": f"You are AutoGPT.\nSpecifically, you have access to the following APIs: {_APIS!r}",
        },
        {"from": "user", "value": f"\n{QUESTION}\nBegin!\n"},
        {"from": "assistant", "value": '\nThought: \nAction: get_weather\nAction Input: {\n  "city": "Oslo"\n}'},
        {"from": "function", "value": RESULT},
        {"from": "assistant", "value": f"\nThought: I know.\nAction: Finish\nAction Input: {_FINAL}"},
    ],
}
