"""Runs cases against endpoints: requests in parallel, tasks step by step in their worlds, every answer journalled.

What is asked depends only on cases and settings, so a run broken off and started again finds its answers in the
journal and comes to the same figures, latency and all. Judging comes after the last answer: done in between, its work
would be counted as the endpoints' latency.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, Literal

from evals.case import Case, Json, read_calls
from evals.endpoint import Answer, Client
from evals.journal import Journal
from evals.judging import Step
from evals.worlds import WORLDS, Simulation

Grammar = Literal["on", "off"]
Choice = Literal["suite", "auto", "required"]


@dataclass(frozen=True, slots=True)
class Settings:
    """How to ask."""

    choice: Choice = "suite"
    """`tool_choice`: the suite's own, or one for all cases with tools."""
    temperature: float = 0.0
    max_tokens: int = 512
    seeds: int = 1
    """Times every case is asked, with the seeds 0, 1, …"""
    parallel: int = 4
    """Cases at once, over all endpoints."""


@dataclass(frozen=True, slots=True)
class Column:
    """An endpoint with or without its grammar: a column of the table."""

    client: Client
    model: str
    grammar: Grammar = "on"


@dataclass(frozen=True, slots=True)
class Episode:
    """All requests about one case, and the world after them."""

    column: Column
    case: Case
    seed: int
    steps: list[Step]
    world: Simulation | None

    @property
    def error(self) -> str:
        """Of the request that ended it, if one could not be answered."""
        return self.steps[-1].answer.error


class Runner:
    """One run over one journal."""

    def __init__(self, columns: list[Column], journal: Journal, settings: Settings) -> None:
        self._columns = columns
        self._journal = journal
        self._settings = settings
        self._places = asyncio.Semaphore(settings.parallel)

    async def run(self, cases: list[Case], tick: Callable[[], object] = lambda: None) -> list[Episode]:
        """All episodes, in an order that does not depend on who answered first. `tick`: called after each."""
        seeds = range(self._settings.seeds)
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._episode(column, case, seed, tick))
                for case in cases
                for column in self._columns
                for seed in seeds
            ]
        return [task.result() for task in tasks]

    async def _episode(self, column: Column, case: Case, seed: int, tick: Callable[[], object]) -> Episode:
        async with self._places:
            world = WORLDS[case.task.world].enter(case.task.state) if case.task else None
            steps = [step async for step in self._steps(column, case, seed, world)]
            tick()
            return Episode(column, case, seed, steps, world)

    async def _steps(self, column: Column, case: Case, seed: int, world: Simulation | None) -> AsyncIterator[Step]:
        """One request; where an end is to be reached, as many as the task takes."""
        messages = list(case.messages)
        limit = case.task.steps if case.task and case.task.final is not None else 1
        for _ in range(limit):
            answer = await self._ask(column, self._body(column, case, messages, seed))
            yield Step(list(messages), answer)
            calls = read_calls(answer.message)
            if answer.error or not calls or world is None:
                return
            messages.append(_sent_back(answer.message))
            for call, sent in zip(calls, messages[-1]["tool_calls"], strict=True):
                result = json.dumps(world.call(call.name, call.arguments), ensure_ascii=False)
                messages.append({"role": "tool", "tool_call_id": sent["id"], "content": result})

    def _body(self, column: Column, case: Case, messages: list[Json], seed: int) -> Json:
        settings = self._settings
        if case.text is not None:
            return {"model": column.model, "prompt": case.text, "max_tokens": 0, "echo": True, "logprobs": 0}
        body: Json = {
            "model": column.model,
            "messages": messages,
            "temperature": settings.temperature,
            "max_tokens": settings.max_tokens,
            "seed": seed,
        }
        choice = case.choice if settings.choice == "suite" else settings.choice
        if case.tools:
            body["tools"] = case.tools
            body |= {"tool_choice": choice} if choice else {}
        if case.schema is not None:
            wanted: Any = {"name": "answer", "schema": case.schema}
            body["response_format"] = {"type": "json_schema", "json_schema": wanted}
        if column.grammar == "off":
            body["trammel"] = {"constrain": False}
        return body

    async def _ask(self, column: Column, body: Json) -> Answer:
        endpoint = column.client.endpoint
        known = self._journal.find(endpoint, body)
        if known is not None:
            return known
        answer = await column.client.ask(body)
        self._journal.keep(endpoint, body, answer)
        return answer


def _sent_back(message: Json) -> Json:
    """What of an answer belongs into the next request."""
    calls = [
        {
            "id": str(raw.get("id") or f"call_{index}"),
            "type": "function",
            "function": {"name": call.name, "arguments": call.text},
        }
        for index, (call, raw) in enumerate(zip(read_calls(message), message["tool_calls"], strict=True))
    ]
    return {"role": "assistant", "content": message.get("content"), "tool_calls": calls}
