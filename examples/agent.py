"""The server runs the tools: question, call, result and answer through two doors, and an approval through a third.

Start the server with these very tools: .venv/bin/trammel serve --tools examples/agent_tools.py
The SDK comes with: .venv/bin/pip install 'openai>=3,<4'
"""

import os
from typing import Any

import httpx
from openai import OpenAI

URL = os.environ.get("TRAMMEL_URL", "http://127.0.0.1:8000/v1")
MODEL = "trammel-tiny"
QUESTION = "What is the weather in Paris?"


def show(run: dict[str, Any]) -> None:
    for step in run["steps"]:
        print(f"  call {step['number']}: {step['tool']}({step['arguments']})")
        print(f"    from {step['provenance']}")
        print(f"    gave {step['result']}")
    print(f"  {run['status']}: {run['answer']!r}")


def main() -> None:
    client = OpenAI(base_url=URL, api_key="not-needed")

    print("chat completion:")
    answer = client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": QUESTION}],
        tool_choice="required",  # of the first turn; after it the model is free to answer
        max_tokens=60,
        extra_body={"trammel": {"run_tools": True, "tools": ["get_weather"], "max_steps": 4}},
    )
    show(answer.model_dump()["trammel"])

    print("response:")
    response = client.responses.create(
        model=MODEL,
        input=QUESTION,
        tool_choice="required",
        max_output_tokens=60,
        max_tool_calls=3,
        tools=[{"type": "mcp", "server_label": "trammel", "allowed_tools": ["get_weather"]}],
    )
    for item in response.output:
        if item.type == "mcp_call":
            print(f"  {item.name}({item.arguments}) gave {item.output}")
    print(f"  {response.status}: {response.output_text!r}")

    print("a run whose call a person must approve:")
    body = {
        "model": MODEL,
        "messages": [{"role": "user", "content": "Delete the note about Paris"}],
        "tool_choice": "required",
        "max_tokens": 60,
        "trammel": {"tools": ["delete_note"], "max_steps": 3},
    }
    run = httpx.post(f"{URL}/runs", json=body, timeout=60).json()
    with httpx.stream("GET", f"{URL}/runs/{run['id']}/events", timeout=60) as events:
        for line in events.iter_lines():
            if line.startswith("event: "):
                print(f"  {line}")
            if line == "event: judged":  # the model may ask for more than one deletion, each to be approved
                approve(run["id"])
    show(httpx.get(f"{URL}/runs/{run['id']}").json())


def approve(run: str) -> None:
    """Whatever waits: a person would look at it first."""
    for approval in httpx.get(f"{URL}/runs/{run}").json()["approvals"]:
        print(f"  asked for {approval['tool']}({approval['arguments']}), because {approval['reasons']}")
        url = f"{URL}/runs/{run}/approvals/{approval['id']}"
        httpx.post(url, json={"approve": True, "hash": approval["hash"]}).raise_for_status()


if __name__ == "__main__":
    main()
