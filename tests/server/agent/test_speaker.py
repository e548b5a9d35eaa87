"""A turn is heard while it is spoken, and whoever comes late or again hears no less and nothing twice."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from server.agent.events import Call, Spoke
from server.agent.loop import Loop
from server.agent.speaker import Hear, Piece, UnavailableError, unheard, with_whole_turns
from server.chat.parser import CallDelta, CallEnd, CallStart, ContentDelta, ReasoningDelta
from tests.server.agent.script import defined, runs_of, started

SPOKE = Spoke("Let me see.", (Call("call_1", "get", '{"a": 1}'),), reasoning="Hm.")


def text_of(pieces: list[Piece]) -> str:
    return "".join(piece.delta.text for piece in pieces if isinstance(piece.delta, ContentDelta))


async def heard(told: AsyncIterator[Any]) -> list[Any]:
    """Kinds of events, and pieces."""
    return [one if isinstance(one, Piece) else one[2].kind async for one in told]


async def test_every_piece_is_heard_and_comes_before_its_turn() -> None:
    runs, _ = runs_of([("get", {"x": "y"}), "It is clear."], defined("get"))
    run = await runs.start(started(runs))
    told = await heard(runs.watch(run))
    first, second = (n for n, one in enumerate(told) if one == "spoke")
    assert [type(piece.delta) for piece in told[1:first]] == [CallStart, CallDelta, CallDelta, CallEnd]
    assert len({piece.call for piece in told[1:first]}) == 1
    assert [piece.delta for piece in told[second - 2 : second]] == [ContentDelta("I"), ContentDelta("t is clear.")]
    assert told[-1] == "ended"


async def test_several_listeners_hear_the_same() -> None:
    runs, _ = runs_of(["a b c", "done"], defined("get"))
    run = await runs.start(started(runs))
    one, other = await asyncio.gather(heard(runs.watch(run)), heard(runs.watch(run)))
    assert one == other


async def test_a_slow_listener_hears_all_that_was_said_meanwhile() -> None:
    runs, _ = runs_of([("get", {"x": "y"}), "It is clear."], defined("get"))
    run = await runs.start(started(runs))
    told = runs.watch(run)
    await run.until_rest()
    assert run.state.ended
    everything = await heard(told)
    assert len([one for one in everything if isinstance(one, Piece)]) == 6
    assert everything[1:6][-1] == "spoke"


async def test_what_was_spoken_before_is_told_whole() -> None:
    runs, _ = runs_of(["It is clear."], defined("get"))
    run = await runs.start(started(runs))
    await run.until_rest()
    assert not [one async for one in runs.watch(run) if isinstance(one, Piece)]
    told = await heard(with_whole_turns(runs.watch(run)))
    assert text_of([one for one in told if isinstance(one, Piece)]) == "It is clear."


async def test_a_listener_to_the_rest_leaves_where_the_run_waits() -> None:
    runs, _ = runs_of([("rm", {})], defined("rm", effect="destructive"))
    run = await runs.start(started(runs))
    told = await heard(runs.watch(run, to_rest=True))
    assert [one for one in told if isinstance(one, str)] == ["started", "spoke", "judged"]
    await runs.cancel(run)


class Stammerer:
    """Its engine goes away in the middle of the first attempt."""

    attempts = 0

    async def speak(self, *told: Any) -> Spoke:
        hear: Hear = told[-1]
        self.attempts += 1
        await hear(Piece(ContentDelta("Hel")))
        await asyncio.sleep(0.02)
        if self.attempts == 1:
            raise UnavailableError
        await hear(Piece(ContentDelta("lo.")))
        return Spoke("Hello.")


async def test_an_attempt_that_broke_off_is_not_told_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.agent.runs._PAUSES", (0.05,) * 3)
    runs, _ = runs_of([], defined("get"))
    runs.loop = Loop({}, Stammerer())
    run = await runs.start(started(runs))
    told = await heard(with_whole_turns(runs.watch(run)))
    assert text_of([one for one in told if isinstance(one, Piece)]) == "Hello.", "the first half is not told twice"
    assert run.status == "completed"


def test_what_is_left_of_a_turn_is_what_nobody_heard() -> None:
    every = list(unheard(SPOKE, []))
    assert [type(piece.delta) for piece in every] == [ReasoningDelta, ContentDelta, CallStart, CallDelta, CallEnd]
    for count in range(len(every) + 1):
        assert every[:count] + list(unheard(SPOKE, every[:count])) == every
    part = [Piece(ContentDelta("Let ")), Piece(CallStart(0, "get"), "call_1"), Piece(CallDelta(0, '{"a'), "call_1")]
    left = list(unheard(SPOKE, part))
    assert text_of(left) == "me see."
    assert Piece(CallDelta(0, '": 1}'), "call_1") in left
    assert Piece(CallStart(0, "get"), "call_1") not in left
