"""Schemas that others wrote: JSON Schema's own test suite, and a sample of MaskBench's real ones."""

from pathlib import Path

import pytest
from llguidance import LLTokenizer

from benchmarks.grammars.corpus import maskbench, suite
from benchmarks.grammars.engines import ours
from benchmarks.grammars.judge import Judge, Verdict
from training.corpus.archives import DataMissingError, find_corpus

KNOWN = {
    "dependentRequired: multiple dependents required",  # keys come in the schema's order only
    "type: integer type matches integers",  # 1.0 is written 1
    "vocabulary: schema that uses custom metaschema with with no validation vocabulary",
}
"""Groups with a valid instance that is refused. Formats come on top: the suite takes them for annotations, we don't."""


def corpus(name: str) -> Path:
    try:
        return find_corpus(name)
    except DataMissingError as error:
        pytest.skip(f"PUBLIC DATA ABSENT: {error}")


def test_the_json_schema_test_suite_is_never_contradicted_by_an_admitted_instance() -> None:
    verdicts = [Judge(LLTokenizer("byte")).judge(ours, case) for case in suite(corpus("json-schema-test-suite"))]
    assert [verdict.name for verdict in verdicts if verdict.admitted] == []
    compiled = [verdict for verdict in verdicts if not verdict.error]
    assert len(compiled) > 0.75 * len(verdicts)
    refused = {verdict.name for verdict in compiled if verdict.refused and not verdict.name.startswith("format: ")}
    assert refused <= KNOWN


def test_a_sample_of_real_schemas_passes() -> None:
    judge = Judge(LLTokenizer("byte"))
    verdicts: list[Verdict] = [judge.judge(ours, case) for case in maskbench(corpus("maskbench-half"), 50)]
    assert [verdict.name for verdict in verdicts if verdict.admitted] == []
    assert sum(verdict.passes for verdict in verdicts) >= 0.93 * len(verdicts)
