"""What of a request about runs is refused, and in which words."""

import pytest

from server.api.errors import ApiError
from server.api.run_request import check_known, refuse_run_fields
from server.api.wire import TrammelOptions

MANY = [f"{verb}_{noun}" for verb in ("find", "make", "drop") for noun in ("order", "bill", "ticket", "lead", "road")]


@pytest.mark.parametrize(
    ("tools", "words"),
    [
        ([], "The server has no tool 'find_ordr'. It has none; start the server with --tools."),
        (["b", "a"], "The server has no tool 'find_ordr'. It has: a, b."),
    ],
)
def test_an_unknown_tool_is_told_what_there_is(tools: list[str], words: str) -> None:
    with pytest.raises(ApiError) as caught:
        check_known(tools, ["find_ordr"], "trammel.tools")
    assert (caught.value.body["error"]["message"], caught.value.body["error"]["param"]) == (words, "trammel.tools")


def test_of_many_tools_those_are_named_that_may_have_been_meant() -> None:
    with pytest.raises(ApiError) as caught:
        check_known(MANY, ["find_ordr"], "trammel.forbid")
    assert "Did you mean find_order or find_road" in caught.value.body["error"]["message"]
    assert caught.value.body["error"]["message"].endswith("GET /v1/tools lists all 15.")
    with pytest.raises(ApiError) as caught:
        check_known(MANY, ["xyz"], "trammel.forbid")
    assert caught.value.body["error"]["message"] == "The server has no tool 'xyz'. GET /v1/tools lists all 15."


@pytest.mark.parametrize("options", [{"max_steps": 3}, {"read_only": True}, {"forbid": []}, {"tools": None}])
def test_a_bound_that_would_count_for_nothing_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(ApiError) as caught:
        refuse_run_fields(TrammelOptions.model_validate(options))
    assert caught.value.body["error"]["param"] == f"trammel.{next(iter(options))}"
    assert "run_tools" in caught.value.body["error"]["message"]


def test_what_is_about_the_answer_alone_needs_no_run() -> None:
    refuse_run_fields(None)
    refuse_run_fields(TrammelOptions(constrain=False, fit=True))
