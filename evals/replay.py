"""Replays gold conversations against an endpoint and counts what it gets right, turn by turn.

Every assistant turn is asked for with the gold history before it. Read are: the choice between calling and talking,
the tool's name, each argument, and the whole call. Lines are OpenAI's fine-tuning format; a call may carry `variants`
(per argument, the values that count as right) and a line `seen` (whether its tools were trained on).

usage: python -m evals.replay GOLD.jsonl --base-url http://127.0.0.1:8000/v1 --model trammel-tiny
"""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from openai import APIError, OpenAI

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Turn:
    """One assistant turn to be predicted."""

    history: list[Json]
    tools: list[Json]
    gold: Json | None
    """The call that was made; None where the assistant talked."""
    is_seen: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an endpoint did with a turn. Names and arguments are judged where a call was due and one was made."""

    called: bool
    should_call: bool
    is_seen: bool
    name_right: bool = False
    arguments: int = 0
    arguments_right: int = 0
    exact: bool = False
    error: str = ""


def read_turns(path: Path) -> Iterator[Turn]:
    """All assistant turns of a file. Raises: ValueError, naming the line that is not JSON."""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            conversation = json.loads(line)
        except ValueError as error:
            raise ValueError(f"{path}, line {number}: {error}") from error
        for index, message in enumerate(conversation["messages"]):
            if message["role"] == "assistant":
                calls = message.get("tool_calls") or [None]
                history = [_plain(earlier) for earlier in conversation["messages"][:index]]
                yield Turn(history, conversation.get("tools", []), calls[0], bool(conversation.get("seen")))


def judge(turn: Turn, answer: Json) -> Outcome:
    """`answer`: the endpoint's message."""
    calls = answer.get("tool_calls") or []
    if not calls or turn.gold is None:
        return Outcome(bool(calls), turn.gold is not None, turn.is_seen)
    gold, made = turn.gold["function"], calls[0]["function"]
    wanted: Json = json.loads(gold["arguments"])
    given: Json = json.loads(made["arguments"])
    variants: Json = turn.gold.get("variants", {})
    right = sum(_same(given.get(key), [value, *variants.get(key, [])]) for key, value in wanted.items())
    name_right = gold["name"] == made["name"]
    exact = name_right and right == len(wanted) and set(given) == set(wanted)
    return Outcome(True, True, turn.is_seen, name_right, len(wanted), right if name_right else 0, exact)


def summarise(outcomes: list[Outcome]) -> dict[str, tuple[float, int]]:
    """Metric to its share (0 to 1) and the number of cases it is a share of."""
    due = [outcome for outcome in outcomes if outcome.should_call]
    made = [outcome for outcome in due if outcome.called]
    arguments = sum(outcome.arguments for outcome in made)
    return {
        "choice call/talk": _share(sum(o.called == o.should_call for o in outcomes), len(outcomes)),
        "tool name, where called": _share(sum(o.name_right for o in made), len(made)),
        "arguments, where called": _share(sum(o.arguments_right for o in made), arguments),
        "whole call, where called": _share(sum(o.exact for o in made), len(made)),
        "whole call, where due": _share(sum(o.exact for o in due), len(due)),
        "errors": _share(sum(bool(o.error) for o in outcomes), len(outcomes)),
    }


def replay(client: OpenAI, model: str, turns: list[Turn], parallel: int) -> list[Outcome]:
    """Ask for every turn."""
    with ThreadPoolExecutor(parallel) as pool:
        return list(pool.map(lambda turn: _ask(client, model, turn), turns))


def _ask(client: OpenAI, model: str, turn: Turn) -> Outcome:
    request: Json = {"model": model, "messages": turn.history, "temperature": 0, "max_tokens": 200}
    if turn.tools:
        request["tools"] = turn.tools
    try:
        answer = client.chat.completions.create(**request)
    except APIError as error:
        return Outcome(False, turn.gold is not None, turn.is_seen, error=str(error))
    return judge(turn, answer.choices[0].message.model_dump())


def _plain(message: Json) -> Json:
    """The message without the evaluator's fields."""
    if not message.get("tool_calls"):
        return message
    calls = [{key: value for key, value in call.items() if key != "variants"} for call in message["tool_calls"]]
    return {**message, "tool_calls": calls}


def _same(given: Any, accepted: list[Any]) -> bool:
    return any(str(given).casefold() == str(value).casefold() for value in accepted)


def _share(part: int, whole: int) -> tuple[float, int]:
    return (part / whole if whole else 0.0, whole)


def main(
    gold: Annotated[Path, typer.Argument(help="Conversations, one a line.")],
    base_url: Annotated[str, typer.Option(help="The endpoint, up to /v1.")] = "http://127.0.0.1:8000/v1",
    model: Annotated[str, typer.Option(help="The model to ask for.")] = "trammel-tiny",
    parallel: Annotated[int, typer.Option(help="Requests at once.")] = 8,
) -> None:
    """Replay gold conversations and print what the endpoint got right."""
    turns = list(read_turns(gold))
    outcomes = replay(OpenAI(base_url=base_url, api_key="none"), model, turns, parallel)
    for title, is_seen in (("tools seen in training", True), ("tools never seen in training", False)):
        group = [outcome for outcome in outcomes if outcome.is_seen == is_seen]
        if group:
            typer.echo(f"\n{title}")
            for metric, (share, count) in summarise(group).items():
                typer.echo(f"  {metric:26} {100 * share:5.1f} %  of {count}")


if __name__ == "__main__":
    typer.run(main)
