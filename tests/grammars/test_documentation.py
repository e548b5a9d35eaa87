"""The page about keywords says what the compiler's table says."""

from pathlib import Path

from grammars.documentation import document
from grammars.keywords import KEYWORDS


def test_the_page_is_generated_from_the_table() -> None:
    page = Path(__file__).parents[2] / "docs" / "json-schema.md"
    assert page.read_text() == document(), "run: python -m grammars.documentation > docs/json-schema.md"


def test_every_keyword_of_the_specification_has_a_row() -> None:
    vocabulary = """type enum const multipleOf maximum exclusiveMaximum minimum exclusiveMinimum maxLength minLength
    pattern maxItems minItems uniqueItems maxContains minContains maxProperties minProperties required
    dependentRequired allOf anyOf oneOf not if then else dependentSchemas prefixItems items contains properties
    patternProperties additionalProperties propertyNames unevaluatedItems unevaluatedProperties format contentEncoding
    contentMediaType contentSchema title description default deprecated readOnly writeOnly examples $id $schema $ref
    $anchor $dynamicRef $dynamicAnchor $vocabulary $comment $defs"""
    assert set(vocabulary.split()) <= set(KEYWORDS)
