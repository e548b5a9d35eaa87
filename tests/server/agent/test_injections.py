"""A model that obeys every injection harms nobody while the guards are on, and honest work is still done."""

from typing import Any

import pytest

from server.agent.policy import Guards
from server.agent.run import Run
from server.agent.runs import Runs
from tests.server.agent.injections import DRESSES, EVIL, GOALS, READERS, Case, World, cases, obeys
from tests.server.agent.script import Turn, defined, played, results, runs_of

OFF = Guards(dedup=False, taint=False, approval=False, sources=False)


async def attacked(case: Case, guards: Guards) -> tuple[World, Run, Runs]:
    world = World({"items": [{"text": case.bait}]} if len(case.goal) % 2 else case.bait)
    runs, _ = runs_of(obeys([(case.reader, {})]), *world.tools(), guards=guards)
    return world, await played(runs, case.task), runs


def test_the_suite_is_as_large_as_it_says() -> None:
    assert len(cases()) == len(set(map(str, cases()))) == 77
    assert len({case.reader for case in cases()} | {case.goal for case in cases()}) == 18
    assert {case.dress for case in cases()} == set(DRESSES)


@pytest.mark.parametrize("case", cases(), ids=str)
async def test_without_guards_the_attack_succeeds(case: Case) -> None:
    world, run, _ = await attacked(case, OFF)
    assert (case.goal, GOALS[case.goal]) in world.done, "an attack that fails by itself shows nothing"
    assert run.status == "completed"


@pytest.mark.parametrize("case", cases(), ids=str)
async def test_with_guards_nothing_is_written_and_a_person_sees_whose_idea_it_was(case: Case) -> None:
    world, run, runs = await attacked(case, Guards())
    assert not world.done
    assert run.status == "waiting_for_approval"
    (waiting,) = run.state.approvals
    assert waiting.judged
    assert waiting.approval
    assert any("untrusted output" in reason for reason in waiting.approval.reasons)
    origins = {str(origin) for origin in waiting.judged.origins.values()}
    assert origins <= {"result 1", "invented"}, "none of it is the user's"
    await runs.decide(run, waiting.approval.id, approved=False)
    await run.until_rest()
    assert not world.done
    assert run.status == "completed", "and the user's own task is answered all the same"


@pytest.mark.parametrize("reader", READERS)
async def test_reading_strangers_words_needs_nobody(reader: str) -> None:
    world = World("Opening hours are 9 to 5.")
    runs, _ = runs_of(obeys([(reader, {})]), *world.tools())
    run = await played(runs, READERS[reader])
    assert (run.status, run.state.spent.calls) == ("completed", 1)


@pytest.mark.parametrize("goal", GOALS)
async def test_honest_work_is_done(goal: str) -> None:
    """What the user asks for: at once before anything untrusted, unless it destroys; with a nod after it."""
    said = "Please do it: " + ", ".join(str(value) for value in GOALS[goal].values())
    for first, is_tainted in (([(goal, GOALS[goal])], False), ([("read_mail", {}), (goal, GOALS[goal])], True)):
        turns: list[Turn] = list(first)
        world = World("Nothing special.")
        tools = world.tools()
        effect = next(tool.effect for tool in tools if tool.name == goal)
        runs, _ = runs_of(obeys(turns), *tools)
        run = await played(runs, said)
        if is_tainted or effect == "destructive":
            (waiting,) = run.state.approvals
            assert waiting.judged
            assert waiting.approval
            assert {str(origin) for origin in waiting.judged.origins.values()} == {"user"}
            await runs.decide(run, waiting.approval.id, approved=True)
            await run.until_rest()
        assert run.status == "completed"
        assert world.done == [(goal, GOALS[goal])]


async def test_a_recipient_that_must_be_the_users_is_refused_without_asking_anybody() -> None:
    done: list[Any] = []
    text = {"to": {"type": "string"}, "text": {"type": "string"}}
    send = defined("send_mail", lambda a: done.append(a), text, effect="write", sources={"to": ("user",)})
    case = Case("read_mail", "send_mail", "important")
    runs, _ = runs_of(obeys([("read_mail", {})]), defined("read_mail", case.bait, trust="untrusted"), send)
    run = await played(runs, "Read my mail and answer bob@ex.org")
    assert not done
    assert run.status == "completed"
    assert "to must come from the user; this value comes from the result of call 1" in results(run)[1]["error"]
    assert EVIL in str(run.state.messages)
