"""A run as OpenAI's objects."""

from server.agent.events import Spoke
from server.api.run_objects import tokens_of


def test_the_usage_of_a_run_is_that_of_all_its_turns() -> None:
    turns = [
        Spoke("", prompt_tokens=10, cached_tokens=2, completion_tokens=7, reasoning_tokens=4),
        Spoke("", prompt_tokens=20, cached_tokens=10, completion_tokens=5, reasoning_tokens=1),
    ]
    usage = tokens_of(turns)
    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (30, 12, 42)
    assert usage["prompt_tokens_details"]["cached_tokens"] == 12
    assert usage["completion_tokens_details"]["reasoning_tokens"] == 5
