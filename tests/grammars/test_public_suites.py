"""Schemas that others wrote: JSON Schema's own test suite, and a sample of MaskBench's real ones."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from llguidance import LLTokenizer

import grammars
from benchmarks.grammars.corpus import maskbench, suite
from benchmarks.grammars.engines import by_specification, ours
from benchmarks.grammars.judge import Judge, Verdict
from grammars import CompiledGrammar, Spacing
from grammars.formats import FORMATS
from training.corpus.archives import DataMissingError, find_corpus

Admits = Callable[[CompiledGrammar, str], bool]


def corpus(name: str) -> Path:
    try:
        return find_corpus(name)
    except DataMissingError as error:
        pytest.skip(f"PUBLIC DATA ABSENT: {error}")


def test_whatever_compiles_of_the_json_schema_test_suite_is_judged_as_the_suite_says() -> None:
    judge = Judge(LLTokenizer("byte"))
    verdicts = [judge.judge(by_specification, case) for case in suite(corpus("json-schema-test-suite"))]
    assert [verdict.name for verdict in verdicts if verdict.admitted or verdict.refused] == []
    assert sum(not verdict.error for verdict in verdicts) >= 0.86 * len(verdicts)


def test_no_format_admits_what_the_suite_calls_invalid() -> None:
    judge = Judge(LLTokenizer("byte"))
    cases = [c for c in suite(corpus("json-schema-test-suite"), "optional/format") if c.name.split(":")[0] in FORMATS]
    verdicts = [judge.judge(ours, case) for case in cases]
    assert [(verdict.name, verdict.admitted) for verdict in verdicts if verdict.admitted] == []
    assert len(verdicts) >= 16


def test_a_sample_of_real_schemas_passes() -> None:
    judge = Judge(LLTokenizer("byte"))
    verdicts: list[Verdict] = [judge.judge(ours, case) for case in maskbench(corpus("maskbench-half"), 50)]
    assert [verdict.name for verdict in verdicts if verdict.admitted] == []
    assert sum(verdict.passes for verdict in verdicts) >= 0.93 * len(verdicts)


def test_both_texts_of_a_grammar_admit_the_same_instances(lark_admits: Admits, gbnf_admits: Admits) -> None:
    compared = 0
    for case in maskbench(corpus("maskbench-half"), 60):
        try:
            grammar = grammars.compile(case.schema, spacing=Spacing.SPACED)
        except grammars.GrammarError:
            continue
        if len(grammar.gbnf) > 100_000:
            continue  # llama.cpp takes seconds for each
        for value, _ in case.instances[:4]:
            text = json.dumps(value, ensure_ascii=False)
            if len(text) < 2_000:
                assert lark_admits(grammar, text) == gbnf_admits(grammar, text), (case.name, text)
                compared += 1
    assert compared > 100
