"""A tool call, its result and the answer, through the OpenAI SDK: first whole, then streamed.

Start the server with `make serve`; the SDK comes with: .venv/bin/pip install 'openai>=3,<4'
"""

import json
import os
from typing import Any

from openai import OpenAI

MODEL = "trammel-tiny"
TOOLS: Any = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "Get the weather for a city",
            "parameters": {
                "type": "object",
                "properties": {
                    "city": {"type": "string", "description": "Name of the city", "maxLength": 40},
                    "unit": {"type": "string", "description": "Unit of temperature", "enum": ["celsius", "fahrenheit"]},
                },
                "required": ["city", "unit"],
                "additionalProperties": False,
            },
            "strict": True,
        },
    }
]


def get_weather(city: str, unit: str) -> str:
    """Stands for your own code."""
    return json.dumps({"city": city, "temperature": 21 if unit == "celsius" else 70, "sky": "clear"})


def main() -> None:
    client = OpenAI(base_url=os.environ.get("TRAMMEL_URL", "http://127.0.0.1:8000/v1"), api_key="not-needed")
    messages: Any = [{"role": "user", "content": "What is the weather in Paris? In celsius please."}]

    answer = client.chat.completions.create(model=MODEL, messages=messages, tools=TOOLS, tool_choice="required")
    message = answer.choices[0].message
    messages.append(message.model_dump(exclude_none=True))
    for call in message.tool_calls or ():
        if call.type != "function":
            continue
        print(f"call:   {call.function.name}({call.function.arguments})")
        result = get_weather(**json.loads(call.function.arguments))  # always JSON, always the schema's arguments
        print(f"result: {result}")
        messages.append({"role": "tool", "tool_call_id": call.id, "content": result})
    final = client.chat.completions.create(
        model=MODEL, messages=messages, tools=TOOLS, tool_choice="none", max_tokens=60
    )
    print(f"answer: {final.choices[0].message.content}")

    print("stream: ", end="", flush=True)
    stream = client.chat.completions.create(
        model=MODEL, messages=messages[:1], tools=TOOLS, tool_choice="required", stream=True
    )
    for chunk in stream:
        for delta in chunk.choices[0].delta.tool_calls or ():
            if delta.function:
                print(delta.function.name or delta.function.arguments, end="", flush=True)
    print()


if __name__ == "__main__":
    main()
