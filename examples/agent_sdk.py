"""The server's tools through OpenAI's Agents SDK, which is used as it is: responses, an approval, and chat completions.

Start `trammel serve --tools examples/agent_tools.py`, install openai-agents, then run this.
"""

import asyncio
import os
from typing import Any

import openai
from agents import (
    Agent,
    HostedMCPTool,
    MCPToolApprovalFunctionResult,
    MCPToolApprovalRequest,
    ModelSettings,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    Runner,
    function_tool,
    set_tracing_disabled,
)

URL = os.environ.get("TRAMMEL_URL", "http://127.0.0.1:8000/v1")
MODEL = "trammel-tiny"


@function_tool
def look_outside() -> str:
    """Look out of the window"""
    return "It is dark."


def ask_somebody(request: MCPToolApprovalRequest) -> MCPToolApprovalFunctionResult:
    print(f"  approved: {request.data.name}({request.data.arguments})")
    return {"approve": True}


def server_tools(*names: str) -> HostedMCPTool:
    """They run in the server, and only what nobody need approve runs by itself."""
    config: Any = {"type": "mcp", "server_label": "trammel", "allowed_tools": list(names)}
    return HostedMCPTool(tool_config=config, on_approval_request=ask_somebody)


async def tell(title: str, agent: Agent[Any], question: str) -> None:
    print(f"{title}:")
    result = await Runner.run(agent, question, max_turns=6)
    for item in result.new_items:
        raw: Any = item.raw_item
        if getattr(raw, "type", None) == "mcp_call":
            print(f"  the server ran {raw.name}({raw.arguments}): {raw.output or raw.error}")
        elif item.type == "tool_call_output_item":
            print(f"  we ran our own tool: {item.output}")
    print(f"  answer: {result.final_output!r}")


async def main() -> None:
    set_tracing_disabled(True)
    client = openai.AsyncOpenAI(base_url=URL, api_key="none")
    responses = OpenAIResponsesModel(model=MODEL, openai_client=client)
    settings = ModelSettings(max_tokens=80, temperature=0)
    tools = [server_tools("get_weather")]
    await tell(
        "responses",
        Agent(name="weather", model=responses, model_settings=settings, tools=tools),
        "What is the weather in Paris?",
    )
    await tell(
        "responses, with an approval",
        Agent(name="notes", model=responses, model_settings=settings, tools=[server_tools("delete_note")]),
        "Delete the note about Paris",
    )
    await tell(
        "responses, with a tool of our own beside the server's",
        Agent(
            name="both",
            model=responses,
            model_settings=ModelSettings(max_tokens=80, temperature=0, tool_choice="look_outside"),
            tools=[*tools, look_outside],
        ),
        "Look out of the window",
    )
    run = {"trammel": {"run_tools": True, "tools": ["get_weather"]}}
    await tell(
        "chat completions",
        Agent(
            name="weather",
            model=OpenAIChatCompletionsModel(model=MODEL, openai_client=client),
            model_settings=ModelSettings(max_tokens=80, temperature=0, extra_body=run),
        ),
        "What is the weather in Paris?",
    )
    await client.close()


if __name__ == "__main__":
    asyncio.run(main())
