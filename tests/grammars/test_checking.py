"""`check` says whether a text is admitted, where it stops and what could have stood there."""

import grammars

GRAMMAR = grammars.compile({"type": "object", "properties": {"é": {"type": "integer"}}, "required": ["é"]})


def test_an_admitted_text_has_no_place_to_stop() -> None:
    assert grammars.check(GRAMMAR, '{"é":12}') == grammars.Verdict(True, None, "")


def test_the_first_wrong_character_is_counted_in_characters() -> None:
    verdict = grammars.check(GRAMMAR, '{"é":x}')
    assert (verdict.admitted, verdict.stopped_at) == (False, 5)
    assert verdict.expected == "one of -0123456789"


def test_a_text_that_ends_too_early_stops_at_its_end() -> None:
    verdict = grammars.check(GRAMMAR, '{"é":1')
    assert (verdict.admitted, verdict.stopped_at) == (False, 6)
    assert "}" in verdict.expected
