"""Fine-tune a model on your own tool with OpenAI's SDK, and use what comes of it: nothing here is ours but the address.

    trammel serve --home ./trammel-home --worker
    python examples/finetune_openai_sdk.py

With the model in the box this takes half a minute of two quiet cores.
"""

import argparse
import io
import json
import random
import sys
import time
from collections.abc import Iterator
from typing import Any

import openai
from openai.types.fine_tuning import FineTuningJob, FineTuningJobEvent

LAMP: Any = {
    "type": "function",
    "function": {
        "name": "dim_lamp",
        "description": "Dim the lamp of a room",
        "parameters": {
            "type": "object",
            "properties": {"room": {"type": "string"}, "percent": {"type": "integer"}},
            "required": ["room", "percent"],
            "additionalProperties": False,
        },
    },
}
ROOMS = ["kitchen", "hall", "cellar", "study", "attic", "garage", "bedroom", "porch", "library", "nursery"]
REQUESTS = [
    "Dim the {room} lamp to {percent} percent",
    "{room} lamp at {percent} please",
    "Set the {room} to {percent}",
]
TALK = {"Good morning": "Good morning!", "Who are you?": "I look after the lamps.", "Thanks": "You are welcome."}
_DONE = ("succeeded", "failed", "cancelled")


def training_lines(count: int, seed: int = 0) -> bytes:
    """Conversations in OpenAI's fine-tuning format, one a line; one in five is talk without a call."""
    choose = random.Random(seed)
    lines = []
    for number in range(count):
        if number % 5 == 4:
            asked, answer = choose.choice(list(TALK.items()))
            said: dict[str, Any] = {"role": "assistant", "content": answer}
        else:
            values = {"room": choose.choice(ROOMS), "percent": choose.randrange(5, 100, 5)}
            asked = choose.choice(REQUESTS).format(**values)
            function = {"name": "dim_lamp", "arguments": json.dumps(values)}
            said = {"role": "assistant", "tool_calls": [{"id": "call_1", "type": "function", "function": function}]}
        lines.append({"messages": [{"role": "user", "content": asked}, said], "tools": [LAMP]})
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


def create_job(client: openai.OpenAI, model: str, examples: int, epochs: int) -> FineTuningJob:
    """Upload the lines, and have a model fine-tuned on them."""
    lines = io.BytesIO(training_lines(examples))
    file = client.files.create(file=("lamps.jsonl", lines), purpose="fine-tune")
    return client.fine_tuning.jobs.create(
        model=model,
        training_file=file.id,
        suffix="lamps",
        seed=1,
        method={
            "type": "supervised",
            "supervised": {
                "hyperparameters": {"n_epochs": epochs, "batch_size": 4, "learning_rate_multiplier": 1.25},
            },
        },
    )


def watch(client: openai.OpenAI, job: FineTuningJob, pause: float = 1.0) -> Iterator[FineTuningJobEvent]:
    """The job's events, each once, as they come, until it has ended."""
    seen: set[str] = set()
    while True:
        is_done = client.fine_tuning.jobs.retrieve(job.id).status in _DONE
        new = [event for event in client.fine_tuning.jobs.list_events(job.id, limit=100) if event.id not in seen]
        seen.update(event.id for event in new)
        yield from reversed(new)
        if is_done:
            return
        time.sleep(pause)


def ask(client: openai.OpenAI, model: str, question: str) -> str:
    """What a model answers, with the tool at hand: a call as `name(arguments)`, or a text."""
    reply = client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": question}], tools=[LAMP], temperature=0, max_tokens=60
    )
    message = reply.choices[0].message
    calls = [call for call in message.tool_calls or [] if call.type == "function"]
    return f"{calls[0].function.name}({calls[0].function.arguments})" if calls else f'"{message.content}"'


def await_model(client: openai.OpenAI, name: str) -> None:
    """A server looks every second for what jobs have made. Raises: TimeoutError."""
    for _ in range(100):
        if name in [model.id for model in client.models.list()]:
            return
        time.sleep(0.2)
    raise TimeoutError(f"{name} is not served")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:8000/v1")
    parser.add_argument("--api-key", default="none")
    parser.add_argument("--model", default="trammel-tiny")
    parser.add_argument("--examples", type=int, default=100)
    parser.add_argument("--epochs", type=int, default=2)
    given = parser.parse_args()
    client = openai.OpenAI(base_url=given.url, api_key=given.api_key)
    job = create_job(client, given.model, given.examples, given.epochs)
    for event in watch(client, job):
        print(f"{event.level:5} {event.message}")
    job = client.fine_tuning.jobs.retrieve(job.id)
    if job.fine_tuned_model is None:
        sys.exit(f"the job has {job.status}")
    await_model(client, job.fine_tuned_model)
    for question in ("Dim the library lamp to 35 percent", "attic lamp at 70 please", "Good morning"):
        for model in (given.model, job.fine_tuned_model):
            print(f"{question!r:38} {model:32} {ask(client, model, question)}")


if __name__ == "__main__":
    main()
