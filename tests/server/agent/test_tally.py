"""What runs did is counted."""

from tests.server.agent.script import defined, played, runs_of


async def test_calls_faults_repeats_and_approvals_are_counted() -> None:
    number = {"number": {"type": "integer"}}
    get, remove = defined("get", "ok", number), defined("rm", effect="destructive")
    turns = [("get", {"number": 1}), ("get", {"number": "x"}), ("get", {"number": 1}), ("nope", {}), ("rm", {})]
    runs, _ = runs_of(turns, get, remove)
    run = await played(runs)
    assert runs.waiting_approvals == 1
    approval = run.state.approvals[0].approval
    assert approval
    await runs.decide(run, approval.id, approved=False)
    await run.until_rest()
    tally = runs.tally
    assert dict(tally.calls) == {("get", get.version, "ok"): 1}
    assert dict(tally.faults) == {"schema": 2}
    assert dict(tally.repeats) == {"get": 1}
    assert dict(tally.approvals) == {"asked": 1, "denied": 1}
    assert dict(tally.runs) == {("completed", ""): 1}
    assert (runs.waiting_approvals, tally.retries) == (0, 0)
