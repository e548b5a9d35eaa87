"""What is printed of dialects, and that the documentation has the same."""

from pathlib import Path

import pytest

from server.chat.choosing import dialect_of
from server.chat.dialect_report import dialect_facts, dialect_report, dialect_table

from . import llama_templates
from .templates import SAMPLES

BROKEN = {"deepseek-ai-DeepSeek-R1-Distill-Llama-8B"}
"""It writes calls under a condition that is never met."""
DOCUMENT = Path(__file__).parents[3] / "docs" / "dialects.md"


@pytest.mark.parametrize("name", SAMPLES)
def test_a_report_has_the_form_an_example_and_the_grammar(name: str) -> None:
    report = dialect_report(SAMPLES[name])
    call = report.split("--- A call ---\n")[1].split("\n\n---")[0]
    assert "get_weather" in call
    prompt = report.split("--- A prompt ---\n")[1].split("\n\n---")[0]
    assert call in prompt or (name == "channels" and '{"city": "Oslo", "days": 2}' in prompt)
    assert "root ::= " in report
    assert f"origin                  {dialect_of(SAMPLES[name]).origin}" in report


def test_facts_name_the_holes_of_a_form() -> None:
    facts = dialect_facts(dialect_of(SAMPLES["numbered"]))
    assert facts["call"] == "<|calls|><|call|>functions.{name}:{index}<|args|>{arguments}<|call_end|>"
    assert facts["after the last"] == "<|calls_end|>"


@pytest.mark.skipif(not llama_templates.NAMES, reason="no templates: run scripts/llama_sources.sh .venv")
def test_the_table_in_the_documentation_is_the_codes_own() -> None:
    assert dialect_table(sorted(llama_templates.FOLDER.glob("*.jinja"))).strip() in DOCUMENT.read_text()


@pytest.mark.skipif(not llama_templates.NAMES, reason="no templates: run scripts/llama_sources.sh .venv")
def test_no_template_that_shows_calls_falls_back_unless_it_is_known_to() -> None:
    found = {name: dialect_of(llama_templates.template(name)) for name in llama_templates.NAMES}
    generic = {name for name, dialect in found.items() if dialect.is_generic}
    shown = {name for name in generic if "tool_calls" in llama_templates.template(name).source}
    assert shown <= {"Kimi-K3", "MiniMax-M3", *BROKEN}
