"""One case at one endpoint with all its scores: a line of results.jsonl. Everything after it reads only these."""

from dataclasses import dataclass, field
from typing import Self

from evals.bfcl.matching import matches_possible
from evals.case import Case, Json
from evals.endpoint import Answer
from evals.judging import Scores, Step, claim, judge, tool_scores
from evals.run import Episode, Grammar
from evals.worlds import WORLDS, Simulation
from evals.worlds.world import has_same_effect

OUTCOMES = frozenset(
    ("choice", "called when due", "talked when due", "asked when missing", "exact match", "fuzzy match",
     "functional match", "as many calls", "AST match", "schema conformance", "short answer", "pass")
)  # fmt: skip
"""What an endpoint that gives no answer has failed in."""


@dataclass(frozen=True, slots=True)
class Record:
    """A line of results.jsonl."""

    endpoint: str
    grammar: Grammar
    suite: str
    group: str
    case: str
    seed: int
    scores: Scores = field(default_factory=dict)
    tools: Scores = field(default_factory=dict)
    """Arguments given rightly, by tool."""
    latencies: list[float] = field(default_factory=list)
    """Seconds, one a request."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    calls: int = 0
    answers: list[Json] = field(default_factory=list)
    gold: list[Json] = field(default_factory=list)
    asked: str = ""
    """The last words of the user, to be read beside the answers."""
    error: str = ""
    conversation: str = ""
    """Of a case that is a turn of one."""

    @property
    def column(self) -> str:
        """The endpoint and the grammar, as tables name them."""
        return self.endpoint if self.grammar == "on" else f"{self.endpoint}, no grammar"

    @property
    def key(self) -> tuple[str, str, int]:
        """The same for the same question to another endpoint, or in another run."""
        return self.suite, self.case, self.seed

    @classmethod
    def of(cls, episode: Episode) -> Self:
        """Judges an episode."""
        case, steps = episode.case, episode.steps
        answers = [step.answer for step in steps]
        return cls(
            endpoint=episode.column.client.endpoint.name,
            grammar=episode.column.grammar,
            suite=case.suite,
            group=case.group,
            case=case.id,
            seed=episode.seed,
            scores=_failed_scores(case, steps) if episode.error else _scores(case, steps, episode.world),
            tools={} if episode.error else tool_scores(case, steps),
            latencies=[answer.latency for answer in answers if not answer.error],
            prompt_tokens=sum(answer.prompt_tokens for answer in answers),
            completion_tokens=sum(answer.completion_tokens for answer in answers),
            calls=sum(len(step.calls) for step in steps),
            answers=[answer.message for answer in answers],
            gold=[{"name": call.name, "arguments": call.arguments} for call in case.gold] or list(case.possible or ()),
            asked=_last_words(case),
            error=episode.error,
            conversation=case.conversation,
        )

    @classmethod
    def read(cls, line: Json) -> Self:
        """A line of results.jsonl."""
        pairs = {key: {name: tuple(pair) for name, pair in line[key].items()} for key in ("scores", "tools")}
        return cls(**{**line, **pairs})


def _scores(case: Case, steps: list[Step], world: Simulation | None) -> Scores:
    scores = judge(case, steps)
    if case.possible is not None:
        is_right = matches_possible(steps[0].calls, case.possible, case.functions, case.language)
        scores["AST match"] = claim(is_right)
    if case.task is None or world is None:
        return scores
    if case.gold:
        same = has_same_effect(WORLDS[case.task.world], case.task.state, case.gold, steps[0].calls)
        scores["functional match"] = claim(same)
    if case.task.final is not None:
        scores["pass"] = claim(_has_passed(case, steps[-1], world))
    return scores


def _failed_scores(case: Case, steps: list[Step]) -> Scores:
    """All outcomes this case speaks of, failed: an endpoint must not gain by refusing what is hard."""
    silent = _scores(case, [Step(steps[0].messages, Answer({}))], _world(case))
    return {metric: (0.0, whole) for metric, (_, whole) in silent.items() if metric in OUTCOMES}


def _has_passed(case: Case, last: Step, world: Simulation) -> bool:
    """A task is done when its last answer calls nothing more, the tables are as they must be, and it says so."""
    assert case.task is not None
    content = last.content.casefold()
    return (
        not last.calls
        and all(world.state.get(table) == rows for table, rows in (case.task.final or {}).items())
        and all(text.casefold() in content for text in case.task.says)
    )


def _world(case: Case) -> Simulation | None:
    return WORLDS[case.task.world].enter(case.task.state) if case.task else None


def _last_words(case: Case) -> str:
    said = [message.get("content") for message in case.messages if message["role"] == "user"]
    return said[-1] if said and isinstance(said[-1], str) else ""
