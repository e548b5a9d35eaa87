"""An answer's calls, none of them twice."""

from hypothesis import given
from hypothesis import strategies as st

from server.chat.parser import CallDelta, CallEnd, CallStart, ContentDelta, Delta
from server.chat.repetition import RepetitionFilter

Calls = list[tuple[str, str]]


def deltas_of(calls: Calls, size: int = 3) -> list[Delta]:
    deltas: list[Delta] = []
    for index, (name, arguments) in enumerate(calls):
        parts = [arguments[start : start + size] for start in range(0, len(arguments), size)]
        deltas += [CallStart(index, name), *(CallDelta(index, part) for part in parts), CallEnd(index)]
    return deltas


def passed(calls: Calls) -> tuple[Calls, bool]:
    """The whole calls that come out, and whether a repetition was found."""
    repetitions = RepetitionFilter()
    begun: Calls = []
    ended: Calls = []
    for delta in (out for one in deltas_of(calls) for out in repetitions.feed(one)):
        match delta:
            case CallStart(index, name):
                assert index == len(begun)
                begun.append((name, ""))
            case CallDelta(index, arguments):
                begun[index] = (begun[index][0], begun[index][1] + arguments)
            case CallEnd(index):
                ended.append(begun[index])
    assert begun == ended
    return ended, repetitions.is_repeating


def test_a_call_made_again_ends_the_answer_and_is_never_begun() -> None:
    calls = [("f", '{"a":1}'), ("f", '{"a":2}'), ("f", '{"a":1}'), ("g", "{}")]
    assert passed(calls) == (calls[:2], True)


def test_the_same_arguments_for_another_function_are_another_call() -> None:
    calls = [("f", "{}"), ("g", "{}")]
    assert passed(calls) == (calls, False)


def test_arguments_that_begin_alike_are_let_through_where_they_part() -> None:
    repetitions = RepetitionFilter()
    for delta in deltas_of([("f", '{"a":12}')]):
        assert repetitions.feed(delta) == [delta]
    assert repetitions.feed(CallStart(1, "f")) == []
    assert repetitions.feed(CallDelta(1, '{"a":1')) == []
    assert repetitions.feed(CallDelta(1, "3")) == [CallStart(1, "f"), CallDelta(1, '{"a":1'), CallDelta(1, "3")]


def test_text_goes_through() -> None:
    assert RepetitionFilter().feed(ContentDelta("a")) == [ContentDelta("a")]


@given(
    st.lists(st.tuples(st.sampled_from("fg"), st.sampled_from(["{}", '{"a":1}', '{"a":12}', '{"b":1}'])), max_size=6)
)
def test_what_comes_out_is_the_calls_up_to_the_first_repetition(calls: Calls) -> None:
    fresh = next((n for n, call in enumerate(calls) if call in calls[:n]), len(calls))
    assert passed(calls) == (calls[:fresh], fresh < len(calls))
