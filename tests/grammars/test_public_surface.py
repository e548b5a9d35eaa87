"""The package's small public surface, guarded: a new name is a promise."""

import grammars


def test_the_public_names_are_these() -> None:
    assert sorted(grammars.__all__) == [
        "CompiledGrammar", "Endings", "Entry", "Fragment", "GrammarError", "InvalidGrammar", "InvalidSchema",
        "LimitExceeded", "Node", "Place", "Report",
        "Spacing", "UnsatisfiableSchema", "UnsupportedSchema", "Verdict", "check",
        "choice", "compile", "compile_schema", "content_hash",
        "emit", "json_object", "json_value", "lark_string", "literal", "merge", "optional", "repeat", "sequence",
    ]  # fmt: skip
